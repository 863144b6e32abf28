"""Real pods that do not come up, and the reason and advice that the status gives for each.

All are declared at once, each in a namespace of its own, and looked at one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from riskpredictor_operator.core.api import POD
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
RISCV = r"\177ELF\002\001\001" + r"\000" * 9 + r"\002\000\363\000\001\000\000\000"
"""The beginning of a program for a processor that no node has, for printf."""
BROKEN_IMAGES = {
    "crash": 'ENTRYPOINT ["/opt/venv/bin/python", "-c", "raise SystemExit(3)"]',
    "unsound": "USER 0\nRUN echo {} > /model/scorer.json\nUSER 10001:0",
    "no-program": 'ENTRYPOINT ["/nowhere/to-be-found"]',
    "foreign": f"USER 0\nRUN printf '{RISCV}' > /program && chmod 755 /program\nUSER 10001:0\n"
    'ENTRYPOINT ["/program"]',
    "root": "USER 0",
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
    added: Body = field(default_factory=dict)
    """What somebody adds to the pods of a predictor that is Ready."""


def _python(name: str, program: str, **more: object) -> Body:
    """A container as a mesh or an agent adds it."""
    return {
        "name": name,
        "image": "health-predictor:v1",
        "command": ["/opt/venv/bin/python", "-c", program],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        **more,
    }


SLEEP = "import time; time.sleep(3600)"
NEVER = {"exec": {"command": ["/opt/venv/bin/python", "-c", "raise SystemExit(1)"]}}
GATE = "example.com/target-registered"


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
        ("no node can run the pod", "correct spec.podTemplate.nodeSelector"),
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
        ('serviceaccount "nobody" not found', "correct spec.podTemplate.serviceAccountName"),
        {"podTemplate": {"serviceAccountName": "nobody"}},
    ),
    "foreign-processor": Case(
        "CrashLooping",
        ("if it says exec format error, the image is built for another processor architecture",),
        {"modelVersion": "foreign"},
    ),
    "as-root": Case(
        "ContainerStartFailed",
        ("image will run as root)", "build the image with a USER that is a number other than 0"),
        {"modelVersion": "root"},
    ),
    "init-crash": Case(
        "CrashLooping",
        ("init container prepare of image", "(last exit code 7); see kubectl logs -c prepare"),
        available=True,
        added={"initContainers": [_python("prepare", "raise SystemExit(7)")]},
    ),
    "init-image": Case(
        "ImagePullFailed",
        ("image elsewhere/none:1 of init container prepare cannot be pulled",),
        available=True,
        added={"initContainers": [_python("prepare", "", image="elsewhere/none:1")]},
    ),
    "init-hangs": Case(
        "PodsBlocked",
        ("init container migrate has been running since", "the predictor starts when it ends"),
        available=True,
        added={"initContainers": [_python("migrate", SLEEP)]},
    ),
    "sidecar-crash": Case(
        "CrashLooping",
        ("container agent of image", "(last exit code 3)", "-c agent --previous"),
        available=True,
        # Never ready, or the pod would be for a moment, and the old one go.
        added={"containers": [_python("agent", "raise SystemExit(3)", readinessProbe=NEVER)]},
    ),
    "native-sidecar-unready": Case(
        "PodsBlocked",
        ("sidecar mesh runs but is not ready; see kubectl logs -c mesh",),
        available=True,
        added={
            "initContainers": [_python("mesh", SLEEP, restartPolicy="Always", readinessProbe=NEVER)]
        },
    ),
    "readiness-gate": Case(
        "PodsBlocked",
        (f"readiness gate {GATE} has not been set",),
        available=True,
        added={"readinessGates": [{"conditionType": GATE}]},
    ),
    "volume": Case(
        "PodsBlocked",
        ("the pod's volumes or network are not ready since", "kubectl describe pod"),
        available=True,
        added={
            "volumes": [{"name": "late", "secret": {"secretName": "nowhere"}}],
            "containers": [
                {"name": "predictor", "volumeMounts": [{"name": "late", "mountPath": "/late"}]}
            ],
        },
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
    predictors = _predictors(cluster, api, name)
    key = predictors.create(**spec)
    if case.added:
        predictors.wait(key)
        added = {
            "apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind,
            "metadata": {"name": key.name, "namespace": name},
            "spec": {"template": {"spec": case.added}},
        }  # fmt: skip
        api.patch(DEPLOYMENT, key, added, kind="apply")
    return key


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


def test_a_readiness_gate_that_is_set_at_last(
    cluster: LocalCluster, api: Api, declared: dict[str, Key]
) -> None:
    key = declared["readiness-gate"]
    predictors = _predictors(cluster, api, key.namespace)
    predictors.wait(key, "False", "PodsBlocked")
    for pod in api.items(POD, key.namespace):
        conditions = [*pod["status"]["conditions"], {"type": GATE, "status": "True"}]
        name = Key(key.namespace, pod["metadata"]["name"])
        api.patch(POD, name, {"status": {"conditions": conditions}}, sub="status")
    predictors.wait(key)
