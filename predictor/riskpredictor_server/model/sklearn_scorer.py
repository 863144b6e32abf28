"""Serves any scikit-learn classifier, for models that are not linear.

Needs scikit-learn and joblib at run time (the ``sklearn`` extra; of the image, ``EXTRAS=sklearn``),
about 90 MiB of memory and a second of CPU at start. Linear models therefore do not use it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.scorer import Scored, ScoredMany

# A classifier fitted on a table with column names is given rows without; __init__ checks the names.
warnings.filterwarnings("ignore", message="X does not have valid feature names")


class PipelineScorer:
    """Scores with ``predict_proba`` of a fitted classifier over the raw features."""

    explains = False

    def __init__(self, pipeline: Any, schema: Schema) -> None:
        """Raises ValueError if it does not classify the schema's features into its levels."""
        classes = [str(name) for name in getattr(pipeline, "classes_", ())]
        if sorted(classes) != sorted(schema.levels):
            raise ValueError(f"its classes are {classes}, they must be {list(schema.levels)}")
        if not hasattr(pipeline, "predict_proba"):
            raise ValueError("it has no predict_proba; calibrate it or choose another classifier")
        names = getattr(pipeline, "feature_names_in_", None)
        if names is not None and list(names) != list(schema.names):
            raise ValueError(f"its inputs are {list(names)}, they must be {list(schema.names)}")
        self.pipeline = pipeline
        self._order = [classes.index(level) for level in schema.levels]

    def predict_proba(self, rows: Any) -> Any:
        """Probabilities as an array of shape (n, levels), columns in the order of the levels.

        ``rows`` has shape (n, features). scikit-learn's own columns are sorted by class name.
        """
        return self.pipeline.predict_proba(rows)[:, self._order]

    def score(self, values: Values) -> Scored:
        """Score one record."""
        return Scored(self.score_many([values]).probabilities[0], None)

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score a batch in one vectorised call."""
        return ScoredMany([tuple(row) for row in self.predict_proba(list(rows)).tolist()], None)


def load_pipeline(data: bytes, schema: Schema) -> PipelineScorer:
    """Unpickle a classifier. Only for bytes whose digest was checked: a pickle runs code."""
    import joblib

    return PipelineScorer(joblib.load(io.BytesIO(data)), schema)
