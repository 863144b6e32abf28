"""What the cluster says about one predictor at a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskdemo.shell import Kubectl


@dataclass(frozen=True)
class State:
    """One row of the live table."""

    model: str
    serving: str
    ready: str
    reason: str
    message: str
    cpu: int | None
    """Average CPU use in percent of the request; None while unknown."""
    cpu_target: int
    """Above which the autoscaler adds pods, in percent of the request."""
    desired: int | None
    """None until the autoscaler has said how many it wants."""
    running: int
    ready_pods: int

    @property
    def settled(self) -> bool:
        """Whether what is declared is what runs."""
        return self.ready == "True" and self.serving == self.model


def read(kubectl: Kubectl, name: str) -> State:
    """Ask the API server for the RiskPredictor and its autoscaler."""
    predictor = kubectl.json("get", "riskpredictor", name)
    found = kubectl.json("get", "hpa", f"--field-selector=metadata.name={name}")["items"]
    autoscaler = found[0] if found else {}
    status = predictor.get("status") or {}
    ready = condition(status, "Ready")
    desired = predictor["spec"].get("replicas")
    if desired is None:
        desired = (autoscaler.get("status") or {}).get("desiredReplicas") or None
    return State(
        model=predictor["spec"]["modelVersion"],
        serving=status.get("servingVersion", ""),
        ready=ready.get("status", "Unknown"),
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
        cpu=cpu_percent(autoscaler),
        cpu_target=predictor["spec"]["targetCPUUtilizationPercentage"],
        desired=desired,
        running=status.get("replicas", 0),
        ready_pods=status.get("readyReplicas", 0),
    )


def condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One condition; empty if there is none of that type."""
    return next((c for c in status.get("conditions") or () if c["type"] == name), {})


def cpu_percent(autoscaler: Mapping[str, Any]) -> int | None:
    """Average CPU use that an autoscaler last saw, in percent of the request."""
    for metric in (autoscaler.get("status") or {}).get("currentMetrics") or ():
        current = (metric.get("resource") or {}).get("current") or {}
        if "averageUtilization" in current:
            return int(current["averageUtilization"])
    return None
