"""Scores with the exported linear form of a model.

Pure Python: for one record cheaper than numpy, and a pod needs neither numpy nor scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, inf
from typing import Any

from riskpredictor_server.model.scorer import Scored, ScoredMany
from riskpredictor_server.model.vitals import RISK_LEVELS, VITAL_NAMES, Values

SCORER_FORMAT = "riskpredictor-scorer/1"

_Slope = tuple[float, float, float, float, float, float]
"""Sign, knot; weights of Low, Medium, High and of High less Low, per unit of distance."""


class LinearScorer:
    """Computes multinomial logistic regression over standardised hinge terms, exactly.

    The fitted pipeline is ``softmax(W · (f - mean) / scale + b)`` for hinge terms ``f`` (see
    training/features.py). Most hinges of most patients are 0, so the constant
    ``b - W · mean / scale`` is computed once and only active terms cost anything.
    The contribution of a vital is the sum over its terms of
    ``(w_High - w_Low) · (f - mean) / scale``, in log-odds: with ``baseline``, which is
    ``b_High - b_Low``, the contributions add up to ln(P(High) / P(Low)).
    """

    explains = True

    def __init__(self, form: Mapping[str, Any]) -> None:
        """``form`` is the decoded scorer.json; raises ValueError that names what is wrong in it."""
        found = form.get("format") if isinstance(form, Mapping) else type(form).__name__
        if found != SCORER_FORMAT:
            raise ValueError(f"format is {found!r}, this server reads {SCORER_FORMAT}")
        if form.get("classes") != list(RISK_LEVELS):
            raise ValueError(f"classes must be {', '.join(RISK_LEVELS)}")
        try:
            self._read(form)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ValueError(f"malformed linear form: {error!r}") from error

    def _read(self, form: Mapping[str, Any]) -> None:
        base = [float(b) for b in form["intercepts"]]
        low0, _, high0 = base
        self.baseline = high0 - low0
        shares = [0.0] * len(VITAL_NAMES)
        terms: list[list[_Slope]] = [[] for _ in VITAL_NAMES]
        span = [[-inf, inf] for _ in VITAL_NAMES]
        for term in form["terms"]:
            index = VITAL_NAMES.index(term["vital"])
            sign = {"above": 1.0, "below": -1.0}[term["side"]]
            knot, mean, scale = float(term["knot"]), float(term["mean"]), float(term["scale"])
            low, medium, high = (float(w) / scale for w in term["weights"])
            base[0] -= low * mean
            base[1] -= medium * mean
            base[2] -= high * mean
            shares[index] -= (high - low) * mean
            terms[index].append((sign, knot, low, medium, high, high - low))
            edge, nearest = (0, max) if sign < 0 else (1, min)
            span[index][edge] = nearest(span[index][edge], knot)
        self._base = tuple(base)
        self._shares = tuple(shares)
        self._vitals = tuple(
            (index, lowest, highest, tuple(terms[index]))
            for index, (lowest, highest) in enumerate(span)
        )

    def score(self, values: Values) -> Scored:
        """Score one record."""
        low, medium, high = self._base
        shares = [*self._shares]
        for index, lowest, highest, terms in self._vitals:
            x = values[index]
            # Between its knots a vital has no active term, as most vitals of most patients.
            if lowest <= x <= highest:
                continue
            for sign, knot, w_low, w_medium, w_high, w_share in terms:
                distance = (x - knot) * sign
                if distance > 0.0:
                    low += w_low * distance
                    medium += w_medium * distance
                    high += w_high * distance
                    shares[index] += w_share * distance
        # Subtracting the largest exponent keeps exp() from overflowing.
        top = max(low, medium, high)
        low, medium, high = exp(low - top), exp(medium - top), exp(high - top)
        total = low + medium + high
        return Scored((low / total, medium / total, high / total), tuple(shares))  # type: ignore[arg-type]

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score a batch by vital; adds in the order of :meth:`score`, so results are identical."""
        count = len(rows)
        lows, mediums, highs = ([start] * count for start in self._base)
        columns = [[start] * count for start in self._shares]
        for (index, lowest, highest, terms), column in zip(
            self._vitals, zip(*rows, strict=True), strict=True
        ):
            shares = columns[index]
            for row, x in enumerate(column):
                if lowest <= x <= highest:
                    continue
                for sign, knot, w_low, w_medium, w_high, w_share in terms:
                    distance = (x - knot) * sign
                    if distance > 0.0:
                        lows[row] += w_low * distance
                        mediums[row] += w_medium * distance
                        highs[row] += w_high * distance
                        shares[row] += w_share * distance
        for row, (low, medium, high) in enumerate(zip(lows, mediums, highs, strict=True)):
            # max() of three takes four times as long.
            top = low if low > medium else medium  # noqa: FURB136
            if high > top:
                top = high
            low, medium, high = exp(low - top), exp(medium - top), exp(high - top)
            total = low + medium + high
            lows[row] = low / total
            mediums[row] = medium / total
            highs[row] = high / total
        return ScoredMany(lows, mediums, highs, list(zip(*columns, strict=True)))
