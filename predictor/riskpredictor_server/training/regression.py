"""A classifier of scikit-learn's kind over a schema's records, monotone where it says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import softmax

from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.training.design import basis_of, chains_of, chains_of_terms, fills_of
from riskpredictor_server.training.features import Term, expand
from riskpredictor_server.training.monotone import FitError, fit_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MonotoneRegression:
    """Multinomial logistic regression over the terms of a schema's features.

    ``terms`` are hinges, if the recipe names them; otherwise they are chosen from the records that
    are fitted (``design.py``). ``indicators`` are features with a term for being left out.
    """

    def __init__(
        self,
        schema: Schema,
        inverse_regularisation: float,
        terms: Sequence[Term] | None = None,
        indicators: Sequence[str] = (),
    ) -> None:
        self.schema, self.terms, self.indicators = schema, terms, indicators
        self.inverse_regularisation = inverse_regularisation

    def fit(self, rows: Sequence[Values], labels: Sequence[str]) -> Self:
        """Fit to records and their levels; raises FitError."""
        schema = self.schema
        self.fills_ = fills_of(schema, rows)
        chains = (
            chains_of(schema, rows, indicators=self.indicators)
            if self.terms is None
            else chains_of_terms(schema, self.terms)
        )
        self.terms_ = tuple(term for chain in chains for term in chain.terms)
        if not self.terms_:
            raise FitError("every feature is the same in all records: there is nothing to learn")
        table = expand(rows, self.terms_, schema.names, self.fills_)
        # A rare value must not escape the penalty, so indicators stay 0 and 1.
        fixed = np.array([term.is_indicator for term in self.terms_], dtype=bool)
        # An indicator contributes nothing where it is as in the mean record, as the others do.
        self.centre_ = np.where(fixed, table.mean(axis=0), 0.0)
        self.mean_ = np.where(fixed, 0.0, table.mean(axis=0))
        spread = table.std(axis=0)
        self.scale_ = np.where(fixed | (spread == 0), 1.0, spread)
        basis, bounded = basis_of(chains, dict(zip(self.terms_, self.scale_.tolist(), strict=True)))
        self.classes_ = np.array(schema.levels)
        self.coef_, self.intercept_ = fit_weights(
            (table - self.mean_) / self.scale_,
            np.array([schema.levels.index(level) for level in labels]),
            len(schema.levels),
            basis,
            bounded,
            self.inverse_regularisation,
        )
        return self

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """Probabilities of shape (n, levels) in the order of the levels."""
        table = (
            expand(rows, self.terms_, self.schema.names, self.fills_) - self.mean_
        ) / self.scale_
        probabilities: NDArray[np.float64] = softmax(table @ self.coef_.T + self.intercept_, axis=1)
        return probabilities
