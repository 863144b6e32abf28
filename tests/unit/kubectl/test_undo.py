"""Applying the printed change to the spec gives back the very template that ran before.

The operator's own builder makes the templates: they are what a cluster would remember.
"""

from __future__ import annotations

import copy
import json
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


DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
S3 = {"s3": {"bucket": "models", "prefix": "risk/$v2", "region": "eu-central-1"}}
OCI = {"oci": {"reference": "registry.example.com/models/risk:v2"}}


def _stored_model(digest: str, source: Spec, version: str = "v2", image: str = "runtime") -> Spec:
    """The pod template of a model from a store, as the operator makes it."""
    template: Spec = copy.deepcopy(_template({"modelVersion": version, "image": {"tag": image}}))
    value = json.dumps(source).replace("$", "$$")
    template["metadata"]["annotations"] = {
        "healthtech.dev/model-digest": digest,
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "models",
    }
    pod = template["spec"]
    pod["initContainers"] = [
        {"name": "fetch-model", "env": [{"name": "RISKPREDICTOR_MODEL_SOURCE", "value": value}]}
    ]
    pod["containers"][0]["env"].append({"name": "RISKPREDICTOR_MODEL", "value": "/models/stable"})
    pod["volumes"] = [{"name": "models", "emptyDir": {}}]
    return template


def _declared(digest: str, source: Spec, version: str = "v2", **more: Any) -> Spec:
    return _stored({"modelVersion": version, "model": {"digest": digest, "source": source}, **more})


def test_version_digest_and_source_of_a_model_from_a_store_come_back_together() -> None:
    now, then = _stored_model(OTHER, OCI, "v3"), _stored_model(DIGEST, S3)
    assert patch(_declared(OTHER, OCI, "v3"), now, then) == {
        "modelVersion": "v2",
        "model": {"digest": DIGEST, "source": {"s3": S3["s3"], "oci": None}},
    }


def test_a_source_that_stays_is_not_named() -> None:
    now, then = _stored_model(OTHER, S3, "v3"), _stored_model(DIGEST, S3)
    change = patch(_declared(OTHER, S3, "v3"), now, then)
    assert change == {"modelVersion": "v2", "model": {"digest": DIGEST}}


def test_the_way_back_from_a_store_to_an_image_and_to_a_store() -> None:
    image, store = _template(PLAIN), _stored_model(DIGEST, S3)
    assert patch(_declared(DIGEST, S3), store, image) == {"modelVersion": "v1", "model": None}
    assert patch(_stored(PLAIN), image, store) == {
        "modelVersion": "v2",
        "model": {"digest": DIGEST, "source": S3},
        "image": {"tag": "runtime"},
    }


def test_what_a_fetch_needs_comes_back_too() -> None:
    now, then = _stored_model(DIGEST, S3), _stored_model(DIGEST, S3)
    key = {"items": [{"key": "release.pub", "path": "release.pub"}]}
    then["spec"]["volumes"] += [
        {"name": "model-credentials", "secret": {"secretName": "store"}},
        {"name": "model-ca", "configMap": {"name": "ca", "items": [{"key": "ca.crt"}]}},
        {"name": "model-key", "configMap": {"name": "keys", **key}},
    ]
    change = patch(_declared(DIGEST, S3), now, then)
    assert change == {"model": {
        "credentialsSecret": {"name": "store"},
        "caBundle": {"configMap": "ca", "key": "ca.crt"},
        "signature": {"publicKey": {"configMap": "keys", "key": "release.pub"}},
    }}  # fmt: skip


def test_an_image_named_for_a_model_from_a_store_comes_back() -> None:
    now, then = _stored_model(OTHER, S3, "v3", "runtime-2"), _stored_model(DIGEST, S3)
    change = patch(_declared(OTHER, S3, "v3", image={"tag": "runtime-2"}), now, then)
    assert change["image"] == {"tag": "runtime"}


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (S3, "s3://models/risk/$v2"),
        ({"gcs": {"bucket": "models", "prefix": "risk/v2/"}}, "gs://models/risk/v2"),
        ({"azure": {"account": "ward", "container": "m", "prefix": "v2"}}, "az://ward/m/v2"),
        ({"http": {"url": "https://models.example.com/v2/"}}, "https://models.example.com/v2/"),
        (OCI, "oci://registry.example.com/models/risk:v2"),
        ({"pvc": {"claimName": "models"}}, "claim models"),
        ({"mlflow": {"server": "https://m.example.com", "uri": "models:/risk/2"}},
         "models:/risk/2 of https://m.example.com"),
        ({"image": {"reference": "example.com/risk:v2"}}, "image example.com/risk:v2"),
        ({"tape": {"shelf": "7"}}, "tape"),
    ],
)  # fmt: skip
def test_the_history_says_where_a_model_came_from(source: Spec, place: str) -> None:
    old, new = _replica_set(1, PLAIN), _replica_set(2, PLAIN)
    new["spec"]["template"] = _stored_model(DIGEST, source)
    found = revisions({"metadata": {"uid": "d"}}, [old, new])
    assert [(one.model, one.digest, one.source) for one in found] == [
        ("v1", "", ""), ("v2", DIGEST, place),
    ]  # fmt: skip
