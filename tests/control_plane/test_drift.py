"""Whatever a person or a tool changes in a child comes back as declared, within a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from riskpredictor_operator.core.api import CHILDREN, Key, Resource
from support.api import AUTOSCALER, DEPLOYMENT, SERVICE, Api, Body, eventually
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

REPAIR_SECONDS = 1.0

CONTAINER = "/spec/template/spec/containers/0"
POD = "/spec/template/spec"

# (kind, JSON pointer, another valid value; None removes the field). Every owned field that the API
# server lets anybody change is here; tests/unit walks all of them, including the immutable ones.
EDITS: list[tuple[Resource, str, object]] = [
    (DEPLOYMENT, "/metadata/labels/app", "other"),
    (DEPLOYMENT, "/metadata/labels/app.kubernetes.io~1managed-by", None),
    (DEPLOYMENT, "/metadata/labels/healthtech.dev~1riskpredictor", None),
    (DEPLOYMENT, "/metadata/annotations/healthtech.dev~1applied-hash", "0"),
    (DEPLOYMENT, "/spec/strategy/rollingUpdate/maxSurge", 3),
    (DEPLOYMENT, "/spec/strategy/rollingUpdate/maxUnavailable", 1),
    (DEPLOYMENT, "/spec/progressDeadlineSeconds", 900),
    (DEPLOYMENT, "/spec/template/metadata/labels/healthtech.dev~1model-version", "v0"),
    (DEPLOYMENT, f"{POD}/automountServiceAccountToken", True),
    (DEPLOYMENT, f"{POD}/enableServiceLinks", True),
    (DEPLOYMENT, f"{POD}/terminationGracePeriodSeconds", 10),
    (DEPLOYMENT, f"{POD}/securityContext", None),
    (DEPLOYMENT, f"{POD}/securityContext/runAsUser", 0),
    (DEPLOYMENT, f"{POD}/topologySpreadConstraints", None),
    (DEPLOYMENT, f"{CONTAINER}/image", "evil:1"),
    (DEPLOYMENT, f"{CONTAINER}/imagePullPolicy", "Always"),
    (DEPLOYMENT, f"{CONTAINER}/ports/0/containerPort", 6000),
    (DEPLOYMENT, f"{CONTAINER}/env", None),
    (DEPLOYMENT, f"{CONTAINER}/resources/limits/cpu", "2"),
    (DEPLOYMENT, f"{CONTAINER}/resources/requests/memory", "1Mi"),
    (DEPLOYMENT, f"{CONTAINER}/resources", None),
    (DEPLOYMENT, f"{CONTAINER}/startupProbe", None),
    (DEPLOYMENT, f"{CONTAINER}/readinessProbe/httpGet/path", "/"),
    (DEPLOYMENT, f"{CONTAINER}/livenessProbe", None),
    (DEPLOYMENT, f"{CONTAINER}/lifecycle", None),
    (DEPLOYMENT, f"{CONTAINER}/securityContext/readOnlyRootFilesystem", False),
    (DEPLOYMENT, f"{CONTAINER}/securityContext/allowPrivilegeEscalation", None),
    (SERVICE, "/metadata/labels/app", None),
    (SERVICE, "/spec/selector/healthtech.dev~1riskpredictor", "other"),
    (SERVICE, "/spec/ports/0/targetPort", 1),
    (SERVICE, "/spec/ports/0/port", 81),
    (SERVICE, "/spec/type", "NodePort"),
    (AUTOSCALER, "/metadata/labels/app", "other"),
    (AUTOSCALER, "/spec/minReplicas", 1),
    (AUTOSCALER, "/spec/maxReplicas", 50),
    (AUTOSCALER, "/spec/metrics/0/resource/target/averageUtilization", 10),
    (AUTOSCALER, "/spec/behavior/scaleDown/stabilizationWindowSeconds", 0),
    (AUTOSCALER, "/spec/behavior/scaleUp/policies/0/value", 1),
    (AUTOSCALER, "/spec/scaleTargetRef/name", "other"),
]


@pytest.fixture
def key(predictors: Predictors) -> Key:
    key = predictors.create()
    predictors.wait(key)
    return key


@pytest.mark.parametrize(
    ("resource", "pointer", "value"), EDITS, ids=lambda v: getattr(v, "kind", str(v))
)
def test_an_edited_field_is_repaired(
    api: Api, key: Key, resource: Resource, pointer: str, value: object
) -> None:
    before = _owned(api.need(resource, key))
    operation = {"op": "remove" if value is None else "replace", "path": pointer}
    if value is not None:
        operation["value"] = value  # type: ignore[assignment]

    def edit() -> None:
        edited = api.patch(resource, key, [operation], kind="json")
        assert _owned(edited) != before, "the edit changed nothing"

    _repaired(edit, lambda: _owned(api.need(resource, key)) == before, f"{resource.kind} {pointer}")


@pytest.mark.parametrize("resource", CHILDREN, ids=lambda r: r.kind)
def test_a_deleted_child_comes_back(api: Api, key: Key, resource: Resource) -> None:
    deleted: set[str] = set()

    def delete() -> None:
        deleted.add(api.need(resource, key)["metadata"]["uid"])
        api.delete(resource, key)

    def back() -> bool:
        child = api.get(resource, key)
        return child is not None and child["metadata"]["uid"] not in deleted

    _repaired(delete, back, f"deleted {resource.kind}")


def test_a_deployment_scaled_to_nothing_comes_back(api: Api, key: Key) -> None:
    """The autoscaler takes 0 for switched off and would leave it there."""
    _repaired(
        lambda: api.patch(DEPLOYMENT, key, {"spec": {"replicas": 0}}),
        lambda: api.need(DEPLOYMENT, key)["spec"]["replicas"] >= 2,
        "replicas 0",
    )


def test_what_others_add_stays(api: Api, key: Key) -> None:
    """A restart by kubectl and somebody's label are theirs, not drift."""
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    api.patch(DEPLOYMENT, key, {"spec": {"template": {"metadata": {"annotations": stamp}}}})
    api.patch(SERVICE, key, {"metadata": {"labels": {"team": "cardiology"}}})
    time.sleep(REPAIR_SECONDS)
    template = api.need(DEPLOYMENT, key)["spec"]["template"]
    assert template["metadata"]["annotations"] == stamp
    assert api.need(SERVICE, key)["metadata"]["labels"]["team"] == "cardiology"


def _repaired(damage: Callable[[], object], check: Callable[[], bool], what: str) -> None:
    """The better of two repairs counts: in one of them, the machine may have stalled."""
    slow = []
    for _ in range(2):
        damage()
        started = time.monotonic()
        eventually(check, within=10, every=0.01, what=what)
        seconds = time.monotonic() - started
        if seconds < REPAIR_SECONDS:
            return
        slow.append(round(seconds, 2))
    raise AssertionError(f"{what} took too long, twice: {slow} s")


def _owned(body: Body) -> Body:
    """What nobody but the operator should change: everything but bookkeeping, replicas and status.

    A node port that the API server hands out while the type is NodePort goes with the type.
    """
    metadata = {
        name: body["metadata"].get(name) for name in ("labels", "annotations", "ownerReferences")
    }
    metadata["annotations"] = {
        name: value
        for name, value in (metadata["annotations"] or {}).items()
        if name.startswith("healthtech.dev/")
    }
    spec = {name: value for name, value in body["spec"].items() if name != "replicas"}
    return {"metadata": metadata, "spec": spec}
