"""The monitor: what it reads from a cluster, and shows on the narrowest common terminal."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console
from unit.kubectl import bodies

from riskdemo import state
from riskdemo.dashboard import render
from riskdemo.snapshot import Snapshot, take
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.names import LABEL


class Answers:
    """Stands for the client of a cluster."""

    namespace = "ward"

    def __init__(self, predictor: bodies.Body | None, *, cpu: str = "28m", memory: str = "17Mi"):
        self._predictor = predictor
        pod = bodies.pod("risk-77b644dcbd-2x7kz")
        pod["metadata"]["labels"][LABEL] = "risk"
        usage = {"containers": [{"usage": {"cpu": cpu, "memory": memory}}]}
        event = bodies.event("RiskPredictor", "risk", "ImagePullFailed", "cannot be pulled")
        event["involvedObject"]["namespace"] = "ward"
        autoscaler = bodies.autoscaler(35)
        autoscaler["metadata"]["ownerReferences"] = bodies.OWNER
        self.objects: dict[str, list[Any]] = {
            "/apis/autoscaling/v2/namespaces/ward/horizontalpodautoscalers": [autoscaler],
            "/api/v1/namespaces/ward/pods": [pod],
            "/api/v1/namespaces/ward/events": [event],
            "/apis/metrics.k8s.io/v1beta1/namespaces/ward/pods": [pod | usage],
        }

    def predictors(self, _: str) -> list[Any]:
        return [self._predictor] if self._predictor else []

    def predictor(self, *_: str) -> Any:
        return self._predictor

    def items(self, path: str, **_: str) -> list[Any]:
        if path not in self.objects:
            raise PluginError("not found")
        return self.objects[path]

    def find(self, path: str) -> Any:
        collection, _, _ = path.rpartition("/")
        return next(iter(self.items(collection)))


def _take(client: Any) -> Snapshot:
    return take(client, "ward")


def _shown(client: Answers) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(render(_take(client)))
    return out.getvalue()


def test_a_pod_has_a_line_with_what_it_uses() -> None:
    text = _shown(Answers(bodies.ready()))
    (line,) = (line for line in text.splitlines() if "2x7kz" in line)
    cells = line.split()
    assert cells[:-1] == ["risk-77b644dcbd-2x7kz", "v1", "Running", "yes", "0", "28m", "17Mi"]
    assert "pods 1 of 3 ready (2 to 5)  CPU █████░" in text


def test_it_says_why_a_predictor_is_not_ready() -> None:
    text = _shown(Answers(bodies.broken("ImagePullFailed")))
    assert "ward/risk  model v1, serving v1  not Ready: ImagePullFailed" in text
    assert "ImagePullFailed: so it is" in text
    assert "ward/risk" in text.splitlines()[-1], "the Event names the RiskPredictor"


def test_without_predictors_it_says_what_to_do() -> None:
    assert "kubectl apply -f deploy/samples/minimal.yaml" in _shown(Answers(None))


def test_without_metrics_it_says_so() -> None:
    client = Answers(bodies.ready())
    del client.objects["/apis/metrics.k8s.io/v1beta1/namespaces/ward/pods"]
    assert "! metrics-server does not answer" in _shown(client)
    (pod,) = json.loads(_take(client).json())["predictors"][0]["pods"]
    assert (pod["cpu"], pod["memory"]) == (None, None)


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        ("12345678n", "45056Ki", (12, 44)),
        ("250m", "128Mi", (250, 128)),
        ("2", "1Gi", (2000, 1024)),
        ("900u", "134217728", (1, 128)),
        ("0", "0", (0, 0)),
    ],
)
def test_usage_is_in_millicores_and_mebibytes(
    cpu: str, memory: str, expected: tuple[int, int]
) -> None:
    (pod,) = _take(Answers(bodies.ready(), cpu=cpu, memory=memory)).predictors[0].pods
    assert (pod.cpu, pod.memory) == expected


def test_a_state_is_settled_when_the_declared_model_serves() -> None:
    client: Any = Answers(bodies.ready())
    now = state.read(client, "risk")
    assert (now.settled, now.wanted_pods, now.cpu_percent) == (True, 3, 35)
    client._predictor["spec"]["modelVersion"] = "v2"
    assert not state.read(client, "risk").settled
