"""The state of a RiskPredictor that the stories wait for and show."""

from __future__ import annotations

from dataclasses import dataclass

from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.resources import autoscaler_of
from riskpredictor_kubectl.view import Summary, summary


@dataclass(frozen=True)
class State(Summary):
    """A row of the live table."""

    running: int
    """Pods that exist, ready or not."""

    @property
    def settled(self) -> bool:
        """Whether the declared model is the one that runs."""
        return self.ready == "True" and self.serving == self.model


def read(client: Client, name: str) -> State:
    """Read it from the cluster."""
    predictor = client.predictor(client.namespace, name)
    one = summary(predictor, autoscaler_of(client, predictor))
    return State(**vars(one), running=(predictor.get("status") or {}).get("replicas", 0))
