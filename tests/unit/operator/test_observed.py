"""Specification of ownership: whose an object with the name of a child is."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import KEY, NOW, UID, Object, manifests, predictor
from unit.operator.live import live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.observed import Child, Ownership, classify, owns_replicas

OURS = live(api.SERVICE, manifests(predictor())[api.SERVICE])
OWNER = OURS["metadata"]["ownerReferences"][0]


def owned_by(*owners: Object, **metadata: Any) -> Object:
    return {**OURS, "metadata": {**OURS["metadata"], "ownerReferences": [*owners], **metadata}}


def owner(**changes: Any) -> Object:
    return {**OWNER, **changes}


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        pytest.param(None, Ownership.MISSING, id="nothing there"),
        pytest.param(OURS, Ownership.OURS, id="ours"),
        pytest.param(
            owned_by(owner(uid="x", controller=False), OWNER), Ownership.OURS,
            id="ours, with a second owner that does not control",
        ),
        pytest.param(
            owned_by(owner(apiVersion="healthtech.dev/v1beta1")), Ownership.OURS,
            id="ours, written by another version of the API",
        ),
        pytest.param(owned_by(OWNER, labels={}), Ownership.OURS, id="ours, labels removed"),
        pytest.param(
            owned_by(OWNER, deletionTimestamp=NOW), Ownership.TERMINATING, id="ours, being deleted"
        ),
        pytest.param(
            owned_by(owner(uid="older")), Ownership.LEFTOVER, id="an earlier namesake's"
        ),
        pytest.param(
            owned_by(owner(uid="older"), deletionTimestamp=NOW), Ownership.LEFTOVER,
            id="an earlier namesake's, being deleted",
        ),
        pytest.param(owned_by(), Ownership.ORPHAN, id="made here, owner taken away"),
        pytest.param(
            owned_by(owner(controller=False)), Ownership.ORPHAN, id="made here, nobody controls it"
        ),
        pytest.param(owned_by(labels={}), Ownership.FOREIGN, id="a stranger without an owner"),
        pytest.param(
            owned_by(labels={api.LABEL_PREDICTOR: KEY.name}), Ownership.FOREIGN,
            id="a stranger with our selector label only",
        ),
        pytest.param(
            owned_by(labels={**OURS["metadata"]["labels"], api.LABEL_PREDICTOR: "other"}),
            Ownership.FOREIGN, id="an orphan of another predictor",
        ),
        pytest.param(
            owned_by(owner(kind="Rollout", uid="x")), Ownership.FOREIGN, id="another kind's"
        ),
        pytest.param(
            owned_by(owner(apiVersion="serving.knative.dev/v1")), Ownership.FOREIGN,
            id="a kind of the same name in another group",
        ),
        pytest.param(
            owned_by(owner(uid="x", name="other")), Ownership.FOREIGN, id="another predictor's"
        ),
    ],
)  # fmt: skip
def test_whose(child: Object | None, expected: Ownership) -> None:
    assert classify(child, KEY, UID) is expected


@pytest.mark.parametrize("ownership", list(Ownership))
def test_only_a_child_that_is_ours_counts_as_ours(ownership: Ownership) -> None:
    child = Child(OURS, ownership)
    assert (child.ours is OURS) == (ownership is Ownership.OURS)
    assert child.uid == "uid-of-services"
    assert Child(None, Ownership.MISSING).uid == ""


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
