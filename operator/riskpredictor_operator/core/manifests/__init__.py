"""One pure builder per child: typed RiskPredictor in, complete manifest out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from riskpredictor_operator.core import api
from riskpredictor_operator.core.manifests.autoscaler import build_autoscaler
from riskpredictor_operator.core.manifests.deployment import build_deployment
from riskpredictor_operator.core.manifests.disruption_budget import build_disruption_budget
from riskpredictor_operator.core.manifests.service import build_service
from riskpredictor_operator.core.release import Serving
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Resource

__all__ = ["Desired", "render"]


@dataclass(frozen=True, slots=True)
class Desired:
    """The children that should exist; None where there should be none of a kind."""

    deployment: dict[str, Any]
    service: dict[str, Any]
    autoscaler: dict[str, Any] | None
    disruption_budget: dict[str, Any] | None

    def by_kind(self) -> dict[Resource, dict[str, Any]]:
        """The manifests that exist, by kind."""
        manifests = {
            api.DEPLOYMENT: self.deployment,
            api.SERVICE: self.service,
            api.AUTOSCALER: self.autoscaler,
            api.DISRUPTION_BUDGET: self.disruption_budget,
        }
        return {kind: manifest for kind, manifest in manifests.items() if manifest is not None}


def kinds_of(rp: RiskPredictor) -> tuple[Resource, ...]:
    """The kinds of children that a RiskPredictor should have."""
    wanted = {
        api.DEPLOYMENT: True,
        api.SERVICE: True,
        api.AUTOSCALER: rp.has_own_autoscaler,
        api.DISRUPTION_BUDGET: rp.has_disruption_budget,
    }
    return tuple(kind for kind, exists in wanted.items() if exists)


def render(rp: RiskPredictor, serving: Serving) -> Desired:
    """All children of a RiskPredictor.

    Args:
        rp: what is declared.
        serving: what its pods are made of: what is declared, or while the model changes step by
            step, what is served until then.
    """
    kinds = kinds_of(rp)
    return Desired(
        deployment=build_deployment(rp, serving),
        service=build_service(rp),
        autoscaler=build_autoscaler(rp) if api.AUTOSCALER in kinds else None,
        disruption_budget=build_disruption_budget(rp) if api.DISRUPTION_BUDGET in kinds else None,
    )
