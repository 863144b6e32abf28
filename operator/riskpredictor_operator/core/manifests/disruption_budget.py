"""The PodDisruptionBudget that lets a drain take one predictor pod at a time."""

from __future__ import annotations

from typing import Any

from riskpredictor_operator.core import api, metadata
from riskpredictor_operator.core.spec import RiskPredictor


def build_disruption_budget(rp: RiskPredictor) -> dict[str, Any]:
    """PodDisruptionBudget ``maxUnavailable: 1``.

    Not ``minAvailable``, which would stop every drain while a single pod is left.
    """
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": metadata.selector_labels(rp)},
        # By default a version whose pods do not get ready would stop every drain until it does.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return metadata.child(rp, api.DISRUPTION_BUDGET, spec)
