"""Serves any scikit-learn classifier, for models that are not linear.

Needs scikit-learn and joblib at run time (the ``sklearn`` extra; of the image, ``EXTRAS=sklearn``);
pandas too, if the classifier was fitted on a table with names. With pandas that is about 140 MiB of
memory and two to three seconds of CPU at start. Linear models therefore do not use it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from riskpredictor_server.model.classifier_file import of_another_version, unpickle, written_by
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.scorer import Scored, ScoredMany


class PipelineScorer:
    """Scores with ``predict_proba`` of a fitted classifier.

    It gets what it was fitted on: a table with the names of its columns, or else an array with the
    features in the order of the schema. A feature that was left out is NaN (None where the
    pipeline was told to look for None).
    """

    explains = False

    def __init__(self, pipeline: Any, schema: Schema, written: str = "") -> None:
        """``written`` is the version of scikit-learn that wrote it, if it was read from a file.

        Raises ValueError if it does not classify records of ``schema`` into its levels.
        """
        self.pipeline, self.schema, self._written = pipeline, schema, written
        self.order, self.note = _order_of_levels(pipeline, schema.levels)
        """Where each level is in the classifier's classes; and what was assumed, if anything."""
        names = getattr(pipeline, "feature_names_in_", None)
        self.inputs = tuple(schema.names) if names is None else _inputs(names, schema)
        """Per input of the classifier the feature's name, or its own where the schema lacks it."""
        self._names = None if names is None else [str(name) for name in names]
        count = getattr(pipeline, "n_features_in_", None)
        if names is None and count not in (None, len(schema.names)):
            raise ValueError(
                f"it was fitted on {count} columns without names, the schema declares"
                f" {len(schema.names)} features: {', '.join(schema.names)}"
            )
        self._missing = None if _looks_for_none(pipeline) else math.nan
        _refuse_changed_meaning(pipeline)

    def predict_proba(self, rows: Sequence[Values]) -> Any:
        """Probabilities as an array of shape (n, levels), columns in the order of the levels.

        Raises whatever the classifier raises, and ValueError if it gives no probabilities.
        """
        table = self._table(rows)
        try:
            with warnings.catch_warnings():
                # That a value is unknown to an encoder which was told to ignore it is no news.
                warnings.simplefilter("ignore")
                found = self.pipeline.predict_proba(table)[:, self.order]
        except (AttributeError, ImportError, TypeError) as error:
            other = of_another_version(self._written, error)
            if other:
                raise other from error
            raise
        if not np.isfinite(found).all():
            raise ValueError("its probabilities are not numbers (NaN)")
        return found

    def score(self, values: Values) -> Scored:
        """Score one record."""
        return Scored(self.score_many([values]).probabilities[0], None)

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score a batch in one vectorised call."""
        return ScoredMany([*map(tuple, self.predict_proba(rows).tolist())], None)

    def _table(self, rows: Sequence[Values]) -> Any:
        columns = {
            feature.name: self._column(feature.type == "category", values)
            for feature, values in zip(self.schema.features, zip(*rows, strict=True), strict=True)
        }
        if self._names is None:
            return np.column_stack([*columns.values()])
        import pandas

        known = zip(self._names, self.inputs, strict=True)
        # An object, lest pandas makes text of its own of it, with NaN for None.
        return pandas.DataFrame(
            {
                own: pandas.Series(columns[name], dtype=columns[name].dtype)
                for own, name in known
                if name in columns
            }
        )

    def _column(self, is_text: bool, values: Sequence[Any]) -> Any:
        if is_text:
            return np.array([self._missing if x is None else x for x in values], dtype=object)
        return np.array([math.nan if x is None else x for x in values], dtype=float)


def load_pipeline(data: bytes, schema: Schema) -> PipelineScorer:
    """Unpickle a classifier. Only for bytes whose digest was checked: a pickle runs code.

    Raises ValueError with what to do, and ModuleNotFoundError for a module that is not installed.
    """
    return PipelineScorer(unpickle(data), schema, written_by(data))


def _order_of_levels(pipeline: Any, levels: Sequence[str]) -> tuple[list[int], str]:
    if not hasattr(pipeline, "predict_proba"):
        kind = type(pipeline).__name__
        if not hasattr(pipeline, "predict"):
            raise ValueError(
                f"it holds a {kind}, not a classifier: dump the fitted pipeline itself"
            )
        raise ValueError(
            f"it has no predict_proba, so no probabilities: calibrate the {kind}"
            " (CalibratedClassifierCV) or choose another classifier"
        )
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(pipeline)
    except NotFittedError:
        raise ValueError("it is not fitted: call fit() before joblib.dump()") from None
    except TypeError:
        pass  # not of scikit-learn, and without fit()
    classes = [each.item() if isinstance(each, np.generic) else each for each in pipeline.classes_]
    if sorted(map(str, classes)) == sorted(levels):
        return [[*map(str, classes)].index(level) for level in levels], ""
    if classes == [*range(len(levels))]:
        pairs = ", ".join(f"{number} is {level}" for number, level in enumerate(levels))
        return [*range(len(levels))], f"its classes are numbers, taken in this order: {pairs}"
    raise ValueError(
        f"its classes are {classes}, they must be {[*levels]} or 0 to {len(levels) - 1}"
    )


def _inputs(names: Sequence[Any], schema: Schema) -> tuple[str, ...]:
    features = {alias: each.name for each in schema.features for alias in each.aliases}
    features |= {name: name for name in schema.names}
    inputs = tuple(features.get(str(name), str(name)) for name in names)
    unused = [name for name in schema.names if name not in inputs]
    if unused:
        raise ValueError(
            f"it was not fitted on {', '.join(unused)}, which the schema declares;"
            f" its inputs are {', '.join(map(str, names))}"
        )
    return inputs


def _looks_for_none(pipeline: Any) -> bool:
    """Whether a missing text is None to the classifier, instead of NaN."""
    return any(
        getattr(each, "missing_values", math.nan) is None
        or any(value is None for values in getattr(each, "categories_", ()) for value in values)
        for each in _estimators(pipeline)
    )


def _estimators(estimator: Any) -> Iterator[Any]:
    yield estimator
    inner = [
        part[1]
        for name in ("steps", "transformers_", "transformer_list", "estimators")
        for part in getattr(estimator, name, None) or ()
        if isinstance(part, tuple)
    ]
    inner += [getattr(estimator, name, None) for name in ("best_estimator_", "estimator")]
    for each in inner:
        if hasattr(each, "get_params"):
            yield from _estimators(each)


def _refuse_changed_meaning(pipeline: Any) -> None:
    """Refuse a regression from which the installed scikit-learn computes other probabilities.

    Until 1.7, ``multi_class`` said how; later versions do not look at it.
    """
    for each in _estimators(pipeline):
        how = getattr(each, "multi_class", None)
        if type(each).__name__ not in ("LogisticRegression", "LogisticRegressionCV") or how is None:
            continue
        if "multi_class" in each.get_params():
            continue  # that version knows it
        several = len(each.classes_) > 2
        if several and (how == "ovr" or each.solver == "liblinear"):
            raise ValueError(
                "it was fitted one level against the rest (multi_class='ovr') by an older"
                " scikit-learn, and the installed one would compute other probabilities from it:"
                " fit it again, as a multinomial LogisticRegression or with OneVsRestClassifier"
            )
        if not several and how == "multinomial":
            raise ValueError(
                "it was fitted for two levels with multi_class='multinomial' by an older"
                " scikit-learn, and the installed one would compute other probabilities from it:"
                " fit it again"
            )
