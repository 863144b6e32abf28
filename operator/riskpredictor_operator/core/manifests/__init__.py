"""One pure builder per child: typed RiskPredictor in, complete manifest out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from riskpredictor_operator.core.manifests.autoscaler import build_autoscaler
from riskpredictor_operator.core.manifests.deployment import RenderOptions, build_deployment
from riskpredictor_operator.core.manifests.service import build_service
from riskpredictor_operator.core.spec import RiskPredictor

__all__ = ["Desired", "RenderOptions", "render"]


@dataclass(frozen=True, slots=True)
class Desired:
    """The children that should exist; no autoscaler for a predictor of fixed size."""

    deployment: dict[str, Any]
    service: dict[str, Any]
    autoscaler: dict[str, Any] | None


def render(rp: RiskPredictor, options: RenderOptions) -> Desired:
    """All children of a RiskPredictor."""
    return Desired(
        deployment=build_deployment(rp, options),
        service=build_service(rp),
        autoscaler=build_autoscaler(rp) if rp.autoscaled else None,
    )
