"""Any scikit-learn classifier behind the Scorer protocol: for models that are not linear.

Needs scikit-learn and joblib at run time (the ``sklearn`` extra; of the image, ``EXTRAS=sklearn``);
costs about 90 MiB and a second of CPU at start, which is why linear models never come here.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from riskpredictor_server.api.records import RISK_LEVELS, VITAL_NAMES, Values
from riskpredictor_server.model.linear_scorer import Scored, ScoredMany

# Fitted on a table with names, asked with rows without: their order was checked.
warnings.filterwarnings("ignore", message="X does not have valid feature names")


class PipelineScorer:
    """``predict_proba`` of a fitted classifier over the four raw vitals."""

    explains = False

    def __init__(self, pipeline: Any) -> None:
        """Raises ValueError if it is no classifier of the vitals to the three levels."""
        classes = [str(name) for name in getattr(pipeline, "classes_", ())]
        if sorted(classes) != sorted(RISK_LEVELS):
            raise ValueError(f"its classes are {classes}, they must be {list(RISK_LEVELS)}")
        if not hasattr(pipeline, "predict_proba"):
            raise ValueError("it has no predict_proba; calibrate it or choose another classifier")
        names = getattr(pipeline, "feature_names_in_", None)
        if names is not None and list(names) != list(VITAL_NAMES):
            raise ValueError(f"its inputs are {list(names)}, they must be {list(VITAL_NAMES)}")
        self.pipeline = pipeline
        self._order = [classes.index(level) for level in RISK_LEVELS]

    def score(self, values: Values) -> Scored:
        """Score one checked record."""
        (low,), (medium,), (high,), _ = self.score_many([values])
        return Scored((low, medium, high), None)

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score a batch in one vectorised call."""
        table = self.pipeline.predict_proba(list(rows))[:, self._order]
        low, medium, high = table.T.tolist()
        return ScoredMany(low, medium, high, None)


def load_pipeline(data: bytes) -> PipelineScorer:
    """Unpickle a classifier. Only for bytes whose digest was checked: a pickle runs code."""
    import joblib

    return PipelineScorer(joblib.load(io.BytesIO(data)))
