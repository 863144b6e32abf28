"""Specification of the live children: whose they are, and what is kept of them."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import KEY, NOW, UID, Object, changed, manifests, predictor
from unit.operator.live_objects import SCALING_ACTIVE, condition, live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.observed import Ownership, ownership_of, owns_replicas, trim

OURS = live(api.SERVICE, manifests(predictor())[api.SERVICE])
OWNER = OURS["metadata"]["ownerReferences"][0]


def owned_by(*owners: Object, **metadata: Any) -> Object:
    return {**OURS, "metadata": {**OURS["metadata"], "ownerReferences": [*owners], **metadata}}


def owner(**changes: Any) -> Object:
    return {**OWNER, **changes}


CHILDREN = {
    "nothing there": (None, Ownership.MISSING),
    "ours": (OURS, Ownership.OURS),
    "ours, with a second owner that does not control": (
        owned_by(owner(uid="x", controller=False), OWNER), Ownership.OURS
    ),
    "ours, by another version of the API": (
        owned_by(owner(apiVersion="healthtech.dev/v1beta1")), Ownership.OURS
    ),
    "ours, labels removed": (owned_by(OWNER, labels={}), Ownership.OURS),
    "ours, being deleted": (owned_by(OWNER, deletionTimestamp=NOW), Ownership.TERMINATING),
    "an earlier namesake's": (owned_by(owner(uid="older")), Ownership.LEFTOVER),
    "an earlier namesake's, being deleted": (
        owned_by(owner(uid="older"), deletionTimestamp=NOW), Ownership.LEFTOVER
    ),
    "made here, owner taken away": (owned_by(), Ownership.ORPHAN),
    "made here, nobody controls it": (owned_by(owner(controller=False)), Ownership.ORPHAN),
    "a stranger without an owner": (owned_by(labels={}), Ownership.FOREIGN),
    "a stranger with our selector label only": (
        owned_by(labels={api.LABEL_PREDICTOR: KEY.name}), Ownership.FOREIGN
    ),
    "an orphan of another predictor": (
        owned_by(labels={**OURS["metadata"]["labels"], api.LABEL_PREDICTOR: "other"}),
        Ownership.FOREIGN,
    ),
    "another kind's": (owned_by(owner(kind="Rollout", uid="x")), Ownership.FOREIGN),
    "a kind of the same name in another group": (
        owned_by(owner(apiVersion="serving.knative.dev/v1")), Ownership.FOREIGN
    ),
    "another predictor's": (owned_by(owner(uid="x", name="other")), Ownership.FOREIGN),
}  # fmt: skip


@pytest.mark.parametrize(("child", "expected"), CHILDREN.values(), ids=CHILDREN)
def test_whose(child: Object | None, expected: Ownership) -> None:
    assert ownership_of(child, KEY, UID) is expected


def entry(manager: str, operation: str, *fields: str) -> Object:
    return {
        "manager": manager, "operation": operation,
        "fieldsV1": {"f:spec": {name: {} for name in fields}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "owns"),
    [
        pytest.param([], False, id="no entries"),
        pytest.param([entry(api.FIELD_MANAGER, "Apply", "f:replicas")], True, id="own apply"),
        pytest.param([entry(api.FIELD_MANAGER, "Apply", "f:template")], False, id="other fields"),
        pytest.param([entry(api.FIELD_MANAGER, "Update", "f:replicas")], False, id="own update"),
        pytest.param([entry(api.HANDOVER_MANAGER, "Apply", "f:replicas")], False, id="handed over"),
        pytest.param([entry("kubectl", "Update", "f:replicas")], False, id="somebody else"),
        pytest.param([{"manager": api.FIELD_MANAGER, "operation": "Apply"}], False, id="no fields"),
    ],
)
def test_who_owns_replicas(entries: list[Object], owns: bool) -> None:
    assert owns_replicas({"metadata": {"managedFields": entries}}) is owns
    assert owns_replicas({"metadata": {}}) is False


class TestTrim:
    """What is kept of an object, and so what counts as a change of it."""

    @staticmethod
    def autoscaler(**status: Any) -> Object:
        body = live(api.AUTOSCALER, manifests(predictor())[api.AUTOSCALER])
        return dict(trim(api.AUTOSCALER, {**body, "status": status}))

    @staticmethod
    def fixed_deployment() -> Object:
        return live(api.DEPLOYMENT, manifests(predictor(replicas=3))[api.DEPLOYMENT])

    def test_who_owns_replicas_survives_and_the_rest_of_managed_fields_does_not(self) -> None:
        fixed = self.fixed_deployment()
        fixed["metadata"]["managedFields"].append({"manager": "kubectl", "operation": "Update"})
        trimmed = trim(api.DEPLOYMENT, fixed)
        assert owns_replicas(trimmed)
        assert len(trimmed["metadata"]["managedFields"]) == 1

    def test_managed_fields_go_where_the_operator_does_not_own_replicas(self) -> None:
        let_go = changed(self.fixed_deployment(), [], "metadata", "managedFields")
        assert "managedFields" not in trim(api.DEPLOYMENT, let_go)["metadata"]

    def test_an_autoscalers_metrics_are_no_change(self) -> None:
        metric = {"resource": {"current": {"averageUtilization": 83}}}
        moved = {**SCALING_ACTIVE, "currentMetrics": [metric], "currentReplicas": 4}
        times = [{**c, "lastTransitionTime": "now"} for c in SCALING_ACTIVE["conditions"]]
        assert self.autoscaler(**{**moved, "conditions": times}) == self.autoscaler(
            **SCALING_ACTIVE
        )

    def test_an_autoscalers_condition_is_one(self) -> None:
        failing = [condition("ScalingActive", "False", "FailedGetResourceMetric")]
        assert self.autoscaler(conditions=failing) != self.autoscaler(**SCALING_ACTIVE)

    def test_annotations_are_kept_of_children_only(self) -> None:
        body = predictor()
        body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied": "everything"}
        assert "annotations" not in trim(api.RISKPREDICTOR, body)["metadata"]
        assert body["metadata"]["annotations"], "the original is left as it was"
        manifest = manifests(predictor())[api.SERVICE]
        child = live(api.SERVICE, manifest)
        trimmed = trim(api.SERVICE, child)
        assert trimmed["metadata"]["annotations"] == child["metadata"]["annotations"]
