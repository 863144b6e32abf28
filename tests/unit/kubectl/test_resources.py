"""What is read from the cluster about one RiskPredictor."""

from __future__ import annotations

from typing import Any, cast

import pytest
from unit.kubectl import bodies

from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import ServerError
from riskpredictor_kubectl.resources import gather

AUTOSCALERS = "/apis/autoscaling/v2/namespaces/ward/horizontalpodautoscalers"
BUDGET = "/apis/policy/v1/namespaces/ward/poddisruptionbudgets/risk"


class _Cluster:
    """A client of a cluster that has these objects, by path."""

    def __init__(self, predictor: bodies.Body, objects: dict[str, Any]) -> None:
        self._predictor = predictor
        self._objects = objects

    def predictor(self, *_: str) -> bodies.Body:
        return self._predictor

    def find(self, path: str) -> bodies.Body | None:
        found = self._objects.get(path)
        if isinstance(found, Exception):
            raise found
        return cast("bodies.Body | None", found)

    def items(self, path: str, **_: str) -> list[bodies.Body]:
        return cast("list[bodies.Body]", self._objects.get(path, []))


def _gather(predictor: bodies.Body, **objects: Any) -> Any:
    by_path = {AUTOSCALERS: objects.get("autoscalers", []), BUDGET: objects.get("budget")}
    by_path |= {f"{AUTOSCALERS}/risk": objects.get("autoscaler")}
    return gather(cast("Client", _Cluster(predictor, by_path)), "ward", "risk")


def _scaling(kind: str, name: str) -> bodies.Body:
    autoscaler = bodies.autoscaler()
    autoscaler["metadata"] |= {"name": f"keda-{kind}-{name}", "ownerReferences": []}
    autoscaler["spec"]["scaleTargetRef"] |= {"kind": kind, "name": name}
    return autoscaler


@pytest.mark.parametrize("kind", ["Deployment", "RiskPredictor"])
def test_with_an_external_autoscaler_the_one_that_scales_it_is_found(kind: str) -> None:
    others = [_scaling("StatefulSet", "risk"), _scaling("Deployment", "shop")]
    external = bodies.predictor(autoscaler="External")
    found = _gather(external, autoscalers=[*others, _scaling(kind, "risk")])
    assert found.autoscaler["metadata"]["name"] == f"keda-{kind}-risk"
    assert _gather(external, autoscalers=others).autoscaler is None


def test_otherwise_it_is_the_one_of_its_name() -> None:
    own = bodies.autoscaler()
    found = _gather(bodies.ready(), autoscaler=own, autoscalers=[_scaling("Deployment", "risk")])
    assert found.autoscaler is own


def test_who_may_not_read_disruption_budgets_sees_the_rest() -> None:
    refused = ServerError(403, "Forbidden", "no")
    assert _gather(bodies.ready(), budget=refused).disruption_budget is None
    budget = bodies.disruption_budget()
    assert _gather(bodies.ready(), budget=budget).disruption_budget is budget
    with pytest.raises(ServerError):
        _gather(bodies.ready(), budget=ServerError(500, "", "boom"))
