"""Applying the printed change to the spec gives back the very template that ran before.

The operator's own builder makes the templates: they are what a cluster would remember.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from unit.operator.builders import predictor, rendered

from riskpredictor_kubectl.history import REVISION, revisions
from riskpredictor_kubectl.undo import patch

Spec = dict[str, Any]

PLAIN: Spec = {"modelVersion": "v1"}
SPECS: dict[str, Spec] = {
    "plain": PLAIN,
    "v2": {"modelVersion": "v2"},
    "another tag": {"image": {"tag": "v1-hotfix"}},
    "the tag said twice": {"modelVersion": "v2", "image": {"tag": "v2"}},
    "another image": {"modelVersion": "v2", "image": {"repository": "example.com:5000/team/risk"}},
    "pinned": {"modelVersion": "v2", "image": {"digest": f"sha256:{'1' * 64}"}},
    "pinned, from a registry with a port": {
        "image": {
            "repository": "example.com:5000/risk",
            "tag": "v7",
            "digest": f"sha256:{'2' * 64}",
        },
    },
    "pulled": {"image": {"pullPolicy": "Always", "pullSecrets": [{"name": "door"}]}},
    "larger": {"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}},
    "no limits": {"resources": {"limits": {}}},
    "placed": {
        "modelVersion": "v3",
        "podTemplate": {
            "labels": {"team": "icu"},
            "annotations": {"note": "x"},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
            "serviceAccountName": "reader",
            "env": [{"name": "RISKPREDICTOR_MAX_BATCH", "value": "100"}],
            "securityContext": {"runAsUser": 1000, "runAsNonRoot": False},
            "terminationGracePeriodSeconds": 60,
            "topologySpreadConstraints": [
                {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
            ],
        },
    },
}


def _stored(spec: Spec) -> Spec:
    """With the defaults that the API server fills in."""
    full: Spec = predictor(**spec)["spec"]
    return full


def _template(spec: Spec) -> Any:
    return rendered(predictor(**spec)).deployment["spec"]["template"]


def _merged(target: Any, change: Any) -> Any:
    """JSON merge patch, RFC 7396."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


@pytest.mark.parametrize("then", SPECS)
@pytest.mark.parametrize("now", SPECS)
def test_the_change_brings_the_old_template_back(now: str, then: str) -> None:
    spec = _stored(SPECS[now])
    change = patch(spec, _template(SPECS[now]), _template(SPECS[then]))
    assert _template(_merged(spec, change)) == _template(SPECS[then])


def test_only_what_differs_is_named() -> None:
    now = {"modelVersion": "v2", "minReplicas": 3}
    assert patch(_stored(now), _template(now), _template(PLAIN)) == {"modelVersion": "v1"}
    assert patch(_stored(PLAIN), _template(PLAIN), _template(PLAIN)) == {}


def test_a_restart_by_hand_is_no_declaration() -> None:
    then = copy.deepcopy(_template(PLAIN))
    then["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "2026-01-31"}
    then["metadata"]["labels"]["pod-template-hash"] = "5f7"
    assert patch(_stored(PLAIN), _template(PLAIN), then) == {}


def _replica_set(number: int, spec: Spec, *, pods: int = 0, owner: str = "d") -> Spec:
    return {
        "metadata": {
            "annotations": {REVISION: str(number)}, "creationTimestamp": "2026-01-31T10:00:00Z",
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"template": _template(spec)},
        "status": {"replicas": pods, "readyReplicas": pods},
    }  # fmt: skip


def test_the_history_is_in_order_and_only_of_this_deployment() -> None:
    sets = [
        _replica_set(10, {"modelVersion": "v3"}, pods=1),
        _replica_set(9, {"modelVersion": "v2"}, pods=2),
        _replica_set(2, PLAIN),
        _replica_set(11, PLAIN, owner="somebody else's"),
    ]
    found = revisions({"metadata": {"uid": "d"}}, sets)
    assert [(one.number, one.model, one.state) for one in found] == [
        (2, "v1", ""), (9, "v2", "serving"), (10, "v3", "declared, serving"),
    ]  # fmt: skip


def test_what_an_earlier_operator_rendered_by_itself_is_not_declared() -> None:
    now, then = _template({"modelVersion": "v2"}), _template(PLAIN)
    pod = then["spec"]
    pod["securityContext"] |= {"runAsUser": 10001, "runAsGroup": 10001}
    del pod["nodeSelector"]
    for constraint in pod["topologySpreadConstraints"]:
        del constraint["matchLabelKeys"]
    assert patch(_stored({"modelVersion": "v2"}), now, then) == {"modelVersion": "v1"}
