"""Any autoscaler is told: every type of metric, several, none, and those not seen yet."""

from __future__ import annotations

from itertools import combinations

import pytest
from unit.kubectl import bodies
from unit.kubectl.bodies import container_resource, resource

from riskpredictor_kubectl.autoscalers import cpu_percent, text

PERCENT = {"averageUtilization": 70}
SEEN = {"averageUtilization": 12, "averageValue": "12m"}
QUEUE = {"name": "queue_length"}
EUROPE = {**QUEUE, "selector": {"matchLabels": {"region": "europe"}}}
GATE = {"kind": "Ingress", "name": "gate", "apiVersion": "networking.k8s.io/v1"}

METRICS = {
    "CPU of the pods": (resource(target=PERCENT), resource(current=SEEN), "CPU 12% of 70%"),
    "CPU of the pods, absolute": (
        resource(target={"averageValue": "200m"}), resource(current=SEEN), "CPU 12m of 200m a pod",
    ),
    "CPU of the predictor": (
        container_resource(target=PERCENT), container_resource(current=SEEN), "CPU 12% of 70%",
    ),
    "CPU of a container beside it": (
        container_resource(container="proxy", target=PERCENT),
        container_resource(container="proxy", current={"averageUtilization": 91}),
        "CPU of proxy 91% of 70%",
    ),
    "memory": (
        resource("memory", target=PERCENT),
        resource("memory", current={"averageUtilization": 55}),
        "memory 55% of 70%",
    ),
    "a number of the pods": (
        {"type": "Pods", "pods": {"metric": QUEUE, "target": {"averageValue": "20"}}},
        {"type": "Pods", "pods": {"metric": QUEUE, "current": {"averageValue": "1500m"}}},
        "queue_length 1500m of 20 a pod",
    ),
    "a number from outside": (
        {"type": "External", "external": {"metric": QUEUE, "target": {"value": "20"}}},
        {"type": "External", "external": {"metric": QUEUE, "current": {"value": "0"}}},
        "queue_length 0 of 20",
    ),
    "the same number, of a part": (
        {"type": "External", "external": {"metric": EUROPE, "target": {"averageValue": "3"}}},
        {"type": "External", "external": {"metric": EUROPE, "current": {"averageValue": "9"}}},
        "queue_length 9 of 3 a pod",
    ),
    "a number of another object": (
        {"type": "Object",
         "object": {"metric": QUEUE, "describedObject": GATE, "target": {"value": "2k"}}},
        {"type": "Object",
         "object": {"metric": QUEUE, "describedObject": GATE, "current": {"value": "1k"}}},
        "queue_length of Ingress/gate 1k of 2k",
    ),
}  # fmt: skip
"""A metric, what the autoscaler saw of it, and the words for both."""

BOUNDS = "wants 3 of 2-5"


@pytest.mark.parametrize("kind", METRICS)
def test_a_metric_of_any_type_is_told(kind: str) -> None:
    metric, seen, words = METRICS[kind]
    assert text(bodies.autoscaler_with([metric], [seen])) == f"{words}, {BOUNDS}"


@pytest.mark.parametrize(("first", "second"), [*combinations(METRICS, 2)])
def test_of_several_each_has_its_own_number(first: str, second: str) -> None:
    (one, seen, words), (other, other_seen, other_words) = METRICS[first], METRICS[second]
    shown = text(bodies.autoscaler_with([one, other], [other_seen, seen]))
    assert shown == f"{words}, {other_words}, {BOUNDS}"


@pytest.mark.parametrize("seen", [None, [], [{"type": ""}], [{"type": "Pods", "pods": None}]])
@pytest.mark.parametrize("kind", METRICS)
def test_what_was_not_seen_is_unknown(kind: str, seen: list[bodies.Body] | None) -> None:
    metric, _, words = METRICS[kind]
    autoscaler = bodies.autoscaler_with([metric], seen)
    name, _, target = words.rpartition(" of ")
    assert text(autoscaler) == f"{name.rpartition(' ')[0]} <unknown> of {target}, {BOUNDS}"
    assert cpu_percent(autoscaler) is None


@pytest.mark.parametrize("metrics", [None, []])
def test_one_without_a_metric_has_bounds(metrics: list[bodies.Body] | None) -> None:
    assert text(bodies.autoscaler_with(metrics, None)) == BOUNDS


def test_one_that_nobody_looked_at_has_bounds_and_a_target() -> None:
    new = bodies.autoscaler()
    new["status"] = {}
    del new["spec"]["minReplicas"]
    assert text(new) == "CPU <unknown> of 70%, bounds 1-5"


def test_a_type_that_is_not_known_is_named() -> None:
    shown = text(bodies.autoscaler_with([{"type": "Moon", "moon": {"phase": "full"}}], None))
    assert shown == f"metric of type Moon, {BOUNDS}"


@pytest.mark.parametrize(
    ("seen", "percent"),
    [
        ([resource(current=SEEN)], 12),
        ([container_resource(current=SEEN)], 12),
        ([resource("memory", current={"averageUtilization": 91}), resource(current=SEEN)], 12),
        ([resource("memory", current={"averageUtilization": 91})], None),
        ([container_resource(container="proxy", current={"averageUtilization": 91})], None),
        ([resource(current={"averageUtilization": 0})], 0),
        ([resource(current={"averageValue": "12m"})], None),
    ],
)
def test_the_cpu_of_the_predictor_is_no_other_number(
    seen: list[bodies.Body], percent: int | None
) -> None:
    assert cpu_percent(bodies.autoscaler_with(None, seen)) == percent
