"""Real pods that do not come up, and the reason and advice that the status gives for each.

All are declared at once, each in a namespace of its own, and looked at one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from riskpredictor_operator.kube import Key
from support.api import DEPLOYMENT, NAMESPACE, RISKPREDICTOR, Api, Body, eventually
from support.cluster import LocalCluster, build_image
from support.diagnosis import explain
from support.predictors import Predictors

SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}

GREEDY = (
    "import runpy; held = b'x' * (96 << 20); "
    "runpy.run_module('riskpredictor_server', run_name='__main__')"
)
"""Serves, and holds 96 MiB that it touched."""
BROKEN_IMAGES = {
    "crash": 'ENTRYPOINT ["/opt/venv/bin/python", "-c", "raise SystemExit(3)"]',
    "unsound": "USER 0\nRUN echo {} > /model/scorer.json\nUSER 10001:10001",
    "no-program": 'ENTRYPOINT ["/nowhere/to-be-found"]',
    "greedy": f'ENTRYPOINT ["/opt/venv/bin/python", "-c", "{GREEDY}"]',
}
"""What is added to the predictor's image to break it."""


@dataclass(frozen=True)
class Case:
    """What is declared on top of a small predictor, and what is to be said about it."""

    reason: str
    says: tuple[str, ...]
    spec: Body = field(default_factory=dict)
    pods: str = ""
    """How many a ResourceQuota allows."""
    available: bool = False


CASES = {
    "image-missing": Case(
        "ImagePullFailed",
        ("image elsewhere/none:v1 cannot be pulled", "check spec.modelVersion and spec.image"),
        {"image": {"repository": "elsewhere/none"}},
    ),
    "image-never-pulled": Case(
        "ImagePullFailed",
        ("cannot be pulled (ErrImageNeverPull)",),
        {"image": {"repository": "elsewhere/none", "pullPolicy": "Never"}},
    ),
    "crash": Case(
        "CrashLooping",
        ("keeps exiting (last exit code 3)", "kubectl logs --previous"),
        {"modelVersion": "crash"},
    ),
    "unsound": Case(
        "PodsNotReady", ("GET /ready does not answer 200",), {"modelVersion": "unsound"}
    ),
    "no-program": Case(
        "ContainerStartFailed",
        ("health-predictor:no-program cannot be started", "/nowhere/to-be-found"),
        {"modelVersion": "no-program"},
    ),
    "out-of-memory": Case(
        "OutOfMemory",
        ("spec.resources.limits.memory; raise it",),
        {
            "modelVersion": "greedy",
            "resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "1", "memory": "64Mi"}},
        },
    ),
    "node-selector": Case(
        "Unschedulable",
        ("no node can run the pod", "spec.podTemplate's constraints"),
        {"podTemplate": {"nodeSelector": {"disk": "none-has-this"}}},
    ),
    "too-large": Case(
        "Unschedulable",
        ("Insufficient cpu", "lower spec.resources.requests"),
        {"resources": {"requests": {"cpu": "100"}, "limits": {"cpu": "100"}}},
    ),
    "quota": Case(
        "QuotaExceeded",
        ("exceeded quota: full", "raise it"),
        {"minReplicas": 2},
        pods="1",
        available=True,
    ),
    "refused": Case(
        "PodsRefused",
        ('serviceaccount "nobody" not found', "change the policy or spec.podTemplate"),
        {"podTemplate": {"serviceAccountName": "nobody"}},
    ),
}


@pytest.fixture(scope="module")
def broken_images(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Variants of the predictor's image that cannot work."""
    folder = tmp_path_factory.mktemp("images")
    for name, change in BROKEN_IMAGES.items():
        (folder / name).write_text(f"FROM health-predictor:v1\n{change}\n")
        build_image(f"health-predictor:{name}", folder / name)
    cluster.load_images(*(f"health-predictor:{name}" for name in BROKEN_IMAGES))


@pytest.fixture(scope="module")
def declared(cluster: LocalCluster, api: Api, broken_images: None) -> Iterator[dict[str, Key]]:
    """A RiskPredictor for every case, in a namespace that has the case's name."""
    for name in CASES:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        api.create(NAMESPACE, {"metadata": {"name": name, "labels": labels}})
    try:
        yield {name: _declare(cluster, api, name, case) for name, case in CASES.items()}
    finally:
        for name in CASES:
            api.delete(NAMESPACE, Key("", name))


def _declare(cluster: LocalCluster, api: Api, name: str, case: Case) -> Key:
    if case.pods:
        api.limit(name, pods=case.pods)
    spec = {"minReplicas": 1, "resources": SMALL, **case.spec}
    return _predictors(cluster, api, name).create(**spec)


def _predictors(cluster: LocalCluster, api: Api, namespace: str) -> Predictors:
    return Predictors(api, namespace, partial(explain, cluster))


@pytest.mark.parametrize("name", CASES)
def test_the_status_gives_the_cause_and_what_to_do(
    cluster: LocalCluster, api: Api, declared: dict[str, Key], name: str
) -> None:
    case, key = CASES[name], declared[name]
    predictors = _predictors(cluster, api, name)
    predictors.wait(key, "False", case.reason, within=60)
    message = predictors.condition(key)["message"]
    print(f"{case.reason}: {message}")
    for part in case.says:
        assert part in message
    # Not given up yet: the cause may go away by itself until the deadline of the roll-out.
    assert predictors.condition(key, "Reconciling")["reason"] == case.reason
    available = "True" if case.available else "False"
    eventually(lambda: predictors.condition(key, "Available")["status"] == available)
    ending = "v1 still answers" if case.available else "nothing answers yet"
    eventually(lambda: predictors.condition(key)["message"].endswith(f"meanwhile {ending}"))


@pytest.mark.parametrize("name", ["image-missing", "crash", "unsound", "no-program"])
def test_the_reason_does_not_flicker_while_kubernetes_tries_again(
    api: Api, cluster: LocalCluster, declared: dict[str, Key], name: str
) -> None:
    case, key = CASES[name], declared[name]
    _predictors(cluster, api, name).wait(key, "False", case.reason, within=60)
    events = api.request("GET", f"/api/v1/namespaces/{name}/events")["items"]
    told = [e["reason"] for e in events if e["involvedObject"]["kind"] == "RiskPredictor"]
    assert told.count(case.reason) == 1, told


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("image-missing", {"image": None}),
        ("crash", {"modelVersion": "v1"}),
        ("out-of-memory", {"resources": SMALL}),
        ("node-selector", {"podTemplate": None}),
        ("refused", {"podTemplate": None}),
    ],
)
def test_mended_it_becomes_ready(
    cluster: LocalCluster, api: Api, declared: dict[str, Key], name: str, spec: Body
) -> None:
    predictors = _predictors(cluster, api, name)
    predictors.patch(declared[name], **spec)
    body = predictors.wait(declared[name], within=60)
    assert body["status"]["servingVersion"] == body["spec"]["modelVersion"]
    assert api.need(DEPLOYMENT, declared[name])["status"]["availableReplicas"] == 1
    assert api.need(RISKPREDICTOR, declared[name])["metadata"].get("finalizers") is None
