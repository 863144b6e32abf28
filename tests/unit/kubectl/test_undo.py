"""Applying the printed change to the spec gives back the very template that ran before.

The operator's own builder makes the templates: they are what a cluster would remember.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from unit.operator.builders import OPTIONS, predictor, rendered

from riskpredictor_kubectl.history import REVISION, revisions
from riskpredictor_kubectl.model_change import Model
from riskpredictor_kubectl.model_source import place
from riskpredictor_kubectl.undo import patch
from riskpredictor_operator.core.manifests import render
from riskpredictor_operator.core.release import Candidate, Serving, declared
from riskpredictor_operator.core.spec import parse

Spec = dict[str, Any]
Change = dict[str, Any]

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

"""Models that are in their images."""
STORED: dict[str, Spec] = {
    "v2": {
        "modelVersion": "v2",
        "model": {
            "digest": f"sha256:{'a' * 64}",
            "source": {"s3": {"bucket": "models", "prefix": "$(POD_NAME)/$$v2", "region": "eu-1"}},
        },
    },
    "v3": {
        "modelVersion": "v3",
        "model": {
            "digest": f"sha256:{'b' * 64}",
            "source": {"s3": {"bucket": "models", "prefix": "$(POD_NAME)/$$v2", "region": "eu-1"}},
        },
    },
    "v3 elsewhere": {
        "modelVersion": "v3",
        "model": {
            "digest": f"sha256:{'b' * 64}",
            "source": {"oci": {"reference": "registry.example.com/models/risk:v3"}},
        },
    },
    "of another server": {
        "modelVersion": "v2",
        "image": {"tag": "runtime-2"},
        "model": {
            "digest": f"sha256:{'a' * 64}",
            "source": {"image": {"reference": "example.com/risk:v2", "path": "/artifact"}},
        },
    },
    "with all that a fetch needs": {
        "modelVersion": "v2",
        "model": {
            "digest": f"sha256:{'a' * 64}",
            "source": {"pvc": {"claimName": "models", "path": "risk/v2"}},
            "credentialsSecret": {"name": "store"},
            "caBundle": {"configMap": "ca", "key": "ca.crt"},
            "signature": {"publicKey": {"configMap": "keys", "key": "release.pub"}},
        },
        "podTemplate": {
            "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "x"},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        },
    },
}
"""Models from stores."""
EVERY = SPECS | {f"stored {name}": spec for name, spec in STORED.items()}


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


def _on_trial(spec: Spec, stable: Spec, *, aborted: bool = False) -> tuple[Any, Model]:
    """The template of a model that is on trial beside another one, or was aborted; the model."""
    rp, before = (parse(predictor(**each)) for each in (spec, stable))
    release = declared(rp, OPTIONS)
    candidate = Candidate(release, "0123456789ab", "Canary-10", 10.0, 100.0, "NeverLower",
                          "X-Subject-Key", "cases")  # fmt: skip
    serving = Serving(declared(before, OPTIONS), None if aborted else candidate)
    template = render(rp, serving).deployment["spec"]["template"]
    return template, Model(release.version, release.digest, release.image)


@pytest.mark.parametrize("aborted", [False, True], ids=["on trial", "aborted"])
@pytest.mark.parametrize("then", EVERY)
@pytest.mark.parametrize("now", EVERY)
def test_the_stable_model_comes_back_while_another_is_on_trial(
    now: str, then: str, aborted: bool
) -> None:
    spec = _stored(EVERY[now])
    template, model = _on_trial(EVERY[now], EVERY[then], aborted=aborted)
    change = patch(spec, template, _template(EVERY[then]), model)
    assert _template(_merged(spec, change)) == _template(EVERY[then])


def test_a_step_of_a_trial_that_has_ended_is_its_stable_model() -> None:
    now = {"modelVersion": "v2"}
    step, _ = _on_trial(now, PLAIN)
    assert patch(_stored(now), _template(now), step) == {"modelVersion": "v1"}


def test_a_model_that_is_observed_cannot_be_the_one_that_comes_back() -> None:
    now = {"modelVersion": "v2", "shadow": {"modelVersion": "v1"}}
    assert patch(_stored(now), _template({"modelVersion": "v2"}), _template(PLAIN)) == {
        "modelVersion": "v1", "shadow": None,
    }  # fmt: skip


@pytest.mark.parametrize("then", EVERY)
@pytest.mark.parametrize("now", EVERY)
def test_the_change_brings_the_old_template_back(now: str, then: str) -> None:
    spec = _stored(EVERY[now])
    change = patch(spec, _template(EVERY[now]), _template(EVERY[then]))
    assert _template(_merged(spec, change)) == _template(EVERY[then])


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


DIGEST, OTHER = STORED["v2"]["model"]["digest"], STORED["v3"]["model"]["digest"]
S3, OCI = STORED["v2"]["model"]["source"], STORED["v3 elsewhere"]["model"]["source"]


def _change(now: Spec, then: Spec) -> Change:
    return patch(_stored(now), _template(now), _template(then))


def test_version_digest_and_source_of_a_model_from_a_store_come_back_together() -> None:
    assert _change(STORED["v3 elsewhere"], STORED["v2"]) == {
        "modelVersion": "v2",
        "model": {"digest": DIGEST, "source": {"s3": S3["s3"], "oci": None}},
    }


@pytest.mark.parametrize("spec", STORED.values(), ids=STORED)
def test_a_model_from_a_store_that_stays_is_no_change(spec: Spec) -> None:
    assert _change(spec, spec) == {}


def test_a_source_that_stays_is_not_named() -> None:
    change = _change(STORED["v3"], STORED["v2"])
    assert change == {"modelVersion": "v2", "model": {"digest": DIGEST}}


def test_a_server_that_is_tagged_as_its_model_from_a_store_comes_back_with_its_tag() -> None:
    """There the default tag is that of the runtime image, not the model's version."""
    tagged = {name: {**STORED[name], "image": {"tag": name}} for name in ("v2", "v3")}
    assert _change(tagged["v3"], tagged["v2"])["image"] == {"tag": "v2"}
    assert _change(STORED["v3"], tagged["v2"])["image"] == {"tag": "v2"}


def test_the_way_back_from_a_store_to_an_image_and_to_a_store() -> None:
    assert _change(STORED["v2"], PLAIN) == {"modelVersion": "v1", "model": None}
    assert _change(PLAIN, STORED["v2"]) == {
        "modelVersion": "v2",
        "model": {"digest": DIGEST, "source": S3},
        # Which image the operator takes by itself is not known here.
        "image": {"tag": "runtime"},
    }


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"s3": {"bucket": "models", "prefix": "risk/v2"}}, "s3://models/risk/v2"),
        ({"gcs": {"bucket": "models", "prefix": "risk/v2/"}}, "gs://models/risk/v2"),
        ({"azure": {"account": "ward", "container": "m", "prefix": "v2"}}, "az://ward/m/v2"),
        ({"http": {"url": "https://models.example.com/v2/"}}, "https://models.example.com/v2/"),
        ({"oci": {"reference": "example.com/models/risk:v2"}}, "oci://example.com/models/risk:v2"),
        ({"pvc": {"claimName": "models"}}, "claim models"),
        ({"mlflow": {"server": "https://m.example.com", "uri": "models:/risk/2"}},
         "models:/risk/2 of https://m.example.com"),
        ({"image": {"reference": "example.com/risk:v2"}}, "image example.com/risk:v2"),
    ],
)  # fmt: skip
def test_the_history_says_where_a_model_came_from(source: Spec, said: str) -> None:
    stored = {"modelVersion": "v2", "model": {"digest": DIGEST, "source": source}}
    sets = [_replica_set(1, PLAIN), _replica_set(2, stored)]
    assert [(r.model, r.digest, r.source) for r in revisions({"metadata": {"uid": "d"}}, sets)] == [
        ("v1", "", ""), ("v2", DIGEST, said),
    ]  # fmt: skip


def test_a_store_of_a_newer_operator_is_named_by_its_kind() -> None:
    assert place({"tape": {"shelf": "7"}}) == "tape"
