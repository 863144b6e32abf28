"""Specification of the pods that hold a candidate: what is added to those without one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from unit.operator.builders import Object, declared, sources

from riskpredictor_operator.core import api
from riskpredictor_operator.core.manifests import render
from riskpredictor_operator.core.model import parse_model
from riskpredictor_operator.core.release import Candidate, Release, Serving

STABLE_DIGEST, DIGEST = "sha256:" + "0a" * 32, "sha256:" + "0b" * 32
HTTP = {"http": {"url": "https://models.example.com/risk/v2/"}}
IN_IMAGE = Release("v1", "ours/model:v1", None)
CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
RESOURCES = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"cpu": "200m", "memory": "256Mi"},
}
MODELS_VOLUME = {"name": "models", "emptyDir": {"sizeLimit": "1Gi"}}
MODELS_MOUNT = {"name": "models", "mountPath": "/models"}
COPY_VOLUME = {
    "name": "candidate-copy",
    "configMap": {"name": "risk-model-0b0b0b0b0b0b", "optional": True, "defaultMode": 0o444},
}
COPY_MOUNT = {"name": "candidate-copy", "mountPath": "/etc/riskpredictor/copy", "readOnly": True}


def from_store(version: str, digest: str, source: Object = HTTP, **model: Any) -> Release:
    found = parse_model({"model": {"digest": digest, "source": source, **model}})
    return Release(version, "run:1", found)


def trial(release: Release, **changes: Any) -> Candidate:
    """A candidate in a canary of ten percent."""
    whole = Candidate(
        release, "00c0ffee0001", "Canary-10", 10.0, 100.0, "NeverLower", "X-Subject-Key", None
    )
    return dataclasses.replace(whole, **changes)


def template(stable: Release, candidate: Candidate | None, **spec: Any) -> Any:
    rp = declared(modelVersion="of-the-spec", **spec)
    return render(rp, Serving(stable, candidate)).deployment["spec"]["template"]


ENV = [
    {"name": "RISKPREDICTOR_CANDIDATE", "value": "/models/candidate"},
    {"name": "RISKPREDICTOR_CANDIDATE_PERCENT", "value": "10"},
    {"name": "RISKPREDICTOR_SAMPLE", "value": "100"},
    {"name": "RISKPREDICTOR_GUARD", "value": "NeverLower"},
    {"name": "RISKPREDICTOR_ROLLOUT_ID", "value": "00c0ffee0001"},
    {"name": "RISKPREDICTOR_SUBJECT_HEADER", "value": "X-Subject-Key"},
]


def test_a_candidate_in_an_image_beside_a_model_in_an_image() -> None:
    plain = template(IN_IMAGE, None)
    server = plain["spec"]["containers"][0]
    assert template(IN_IMAGE, trial(Release("v2", "ours/model:v2", None))) == {
        "metadata": {
            "labels": {**plain["metadata"]["labels"], "healthtech.dev/candidate-version": "v2"},
            "annotations": {
                "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "models",
                "healthtech.dev/stage": "Canary-10",
                "healthtech.dev/rollout-id": "00c0ffee0001",
            },
        },
        "spec": {
            **plain["spec"],
            "initContainers": [
                {
                    "name": "copy-candidate",
                    "image": "ours/model:v2",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["cp", "-R", "-f", "/model/.", "/models/candidate"],
                    "resources": RESOURCES,
                    "volumeMounts": [MODELS_MOUNT],
                    "securityContext": CONFINED,
                }
            ],
            "containers": [
                {
                    **server,
                    "env": [server["env"][0], *ENV],
                    "volumeMounts": [{**MODELS_MOUNT, "readOnly": True}],
                }
            ],
            "volumes": [MODELS_VOLUME],
        },
    }
    assert plain["metadata"]["labels"]["healthtech.dev/model-version"] == "v1"
    assert server["image"] == "ours/model:v1"


def test_a_candidate_from_a_store_beside_a_model_from_a_store() -> None:
    """The stable one comes as ever; the candidate by the same means, and never fails the pod."""
    stable = from_store("v1", STABLE_DIGEST)
    plain, made = (
        template(stable, each) for each in (None, trial(from_store("v2", DIGEST)))
    )  # fmt: skip
    first, second = made["spec"]["initContainers"]
    assert [first] == plain["spec"]["initContainers"]
    assert second == {
        **first,
        "name": "fetch-candidate",
        "env": [
            {"name": "RISKPREDICTOR_MODEL", "value": "/models/candidate"},
            {"name": "RISKPREDICTOR_MODEL_VERSION", "value": "v2"},
            {"name": "RISKPREDICTOR_MODEL_DIGEST", "value": DIGEST},
            {
                "name": "RISKPREDICTOR_MODEL_SOURCE",
                "value": '{"http":{"url":"https://models.example.com/risk/v2/"}}',
            },
            {"name": "RISKPREDICTOR_MODEL_COPY", "value": "/etc/riskpredictor/copy"},
            {"name": "RISKPREDICTOR_MODEL_OPTIONAL", "value": "on"},
        ],
        "volumeMounts": [MODELS_MOUNT, COPY_MOUNT],
    }
    assert made["spec"]["volumes"] == [*plain["spec"]["volumes"], COPY_VOLUME]
    of_plain, of_made = (each["spec"]["containers"][0] for each in (plain, made))
    pod_name, *rest = of_plain["env"]
    assert of_made == {**of_plain, "env": [pod_name, *ENV, *rest]}
    assert made["metadata"] == {
        "labels": {
            **plain["metadata"]["labels"],
            "healthtech.dev/candidate-version": "v2",
            "healthtech.dev/candidate-source": "http",
        },
        "annotations": {
            **plain["metadata"]["annotations"],
            "healthtech.dev/candidate-digest": DIGEST,
            "healthtech.dev/stage": "Canary-10",
            "healthtech.dev/rollout-id": "00c0ffee0001",
        },
    }


def test_a_candidate_in_the_image_of_a_store_goes_through_a_folder_of_its_own() -> None:
    stable = from_store("v1", STABLE_DIGEST, {"image": {"reference": "r.example/risk:v1"}})
    source = {"image": {"reference": "r.example/risk:v2", "path": "/opt/risk"}}
    init = template(stable, trial(from_store("v2", DIGEST, source)))["spec"]["initContainers"]
    assert [each["name"] for each in init] == [
        "copy-model", "fetch-model", "copy-candidate", "fetch-candidate",
    ]  # fmt: skip
    assert init[0]["command"][-1] == "/models/incoming"
    assert init[2]["image"] == "r.example/risk:v2"
    assert init[2]["command"] == ["cp", "-R", "-f", "/opt/risk/.", "/models/candidate-incoming"]
    env = {entry["name"]: entry["value"] for entry in init[3]["env"]}
    assert env["RISKPREDICTOR_MODEL_INCOMING"] == "/models/candidate-incoming"


def test_what_a_candidate_needs_may_be_missing_and_is_mounted_in_its_init_container_alone() -> None:
    """Else the pods that answer with the stable model would not start."""
    release = from_store(
        "v2", DIGEST, {"pvc": {"claimName": "models"}},
        credentialsSecret={"name": "model-store"},
        caBundle={"configMap": "private-ca", "key": "ca.crt"},
        signature={"publicKey": {"configMap": "model-keys", "key": "release.pub"}},
    )  # fmt: skip
    pod = template(IN_IMAGE, trial(release))["spec"]
    assert pod["volumes"] == [
        MODELS_VOLUME,
        COPY_VOLUME,
        {
            "name": "candidate-credentials",
            "secret": {"secretName": "model-store", "defaultMode": 0o444, "optional": True},
        },
        *(
            {
                "name": name,
                "configMap": {
                    "name": config_map,
                    "items": [{"key": key, "path": key}],
                    "optional": True,
                    "defaultMode": 0o444,
                },
            }
            for name, config_map, key in (
                ("candidate-ca", "private-ca", "ca.crt"),
                ("candidate-key", "model-keys", "release.pub"),
            )
        ),
        {
            "name": "candidate-source",
            "persistentVolumeClaim": {"claimName": "models", "readOnly": True},
        },
    ]
    assert [mount["name"] for mount in pod["initContainers"][0]["volumeMounts"]] == [
        volume["name"] for volume in pod["volumes"]
    ]
    assert [mount["name"] for mount in pod["containers"][0]["volumeMounts"]] == ["models"]


def test_the_hospitals_cases_are_the_predictors_alone_and_may_come_later() -> None:
    pod = template(IN_IMAGE, trial(from_store("v2", DIGEST), cases="ward-cases"))["spec"]
    assert pod["volumes"][-1] == {
        "name": "candidate-cases",
        "configMap": {"name": "ward-cases", "optional": True, "defaultMode": 0o444},
    }
    server = pod["containers"][0]
    mount = {
        "name": "candidate-cases",
        "mountPath": "/etc/riskpredictor/cases",
        "readOnly": True,
    }
    assert server["volumeMounts"][1:] == [mount]
    assert {"name": "RISKPREDICTOR_CASES", "value": "/etc/riskpredictor/cases"} in server["env"]
    assert all(
        mount not in init["volumeMounts"] for init in pod["initContainers"]
    ), "the fetch step reads no cases"  # fmt: skip


def test_without_a_subject_header_there_is_no_variable_for_it() -> None:
    candidate = trial(Release("v2", "ours/model:v2", None), subject_header=None)
    names = {e["name"] for e in template(IN_IMAGE, candidate)["spec"]["containers"][0]["env"]}
    assert names == {"POD_NAME", *(e["name"] for e in ENV)} - {"RISKPREDICTOR_SUBJECT_HEADER"}


@pytest.mark.parametrize(
    ("percent", "text"),
    [(0.0, "0"), (10.0, "10"), (0.01, "0.01"), (33.333333333, "33.333333333"), (99, "99")],
)
def test_a_share_is_told_to_its_last_digit(percent: float, text: str) -> None:
    candidate = trial(Release("v2", "ours/model:v2", None), percent=percent)
    server = template(IN_IMAGE, candidate)["spec"]["containers"][0]
    assert {"name": "RISKPREDICTOR_CANDIDATE_PERCENT", "value": text} in server["env"]


def test_every_variable_of_a_candidate_is_one_that_nobody_else_may_set() -> None:
    candidate = trial(from_store("v2", DIGEST, {"image": {"reference": "a"}}), cases="ward-cases")
    pod = template(IN_IMAGE, candidate)["spec"]
    told = {entry["name"] for entry in pod["containers"][0]["env"]} - {"POD_NAME"}
    assert told == api.CANDIDATE_ENV
    assert {entry["name"] for entry in pod["initContainers"][1]["env"]} <= api.FETCH_ENV


def test_the_users_variables_and_resources_are_those_of_every_container() -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}
    resources = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "96Mi"}}
    stable, candidate = from_store("v1", STABLE_DIGEST), trial(from_store("v2", DIGEST))
    pod = template(stable, candidate, podTemplate={"env": [proxy]}, resources=resources)["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["env"][-1] == proxy
        assert container["resources"] == resources


@pytest.mark.parametrize("stable", [None, HTTP], ids=["in the image", "from a store"])
@pytest.mark.parametrize("source", [None, *sources()], ids=lambda s: next(iter(s or {"none": 0})))
def test_a_pod_with_a_candidate_may_do_nothing_that_the_restricted_profile_forbids(
    stable: Object | None, source: Object | None
) -> None:
    release = Release("v2", "ours/model:v2", None)
    if source is not None:
        release = from_store("v2", DIGEST, source)
    serves = IN_IMAGE if stable is None else from_store("v1", STABLE_DIGEST, stable)
    pod = template(serves, trial(release, cases="ward-cases"))["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == CONFINED
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    names = [volume["name"] for volume in pod["volumes"]]
    assert len(set(names)) == len(names)
    assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])
    init = [container["name"] for container in pod["initContainers"]]
    assert len(set(init)) == len(init)


def test_what_is_declared_of_models_and_image_is_not_looked_at() -> None:
    """It may be the candidate, or what was aborted."""
    stable = from_store("v1", STABLE_DIGEST)
    other = {"digest": DIGEST, "source": {"pvc": {"claimName": "other"}}}
    spec = {"model": other, "image": {"repository": "other", "tag": "other"}}
    made = template(stable, None, **spec)
    assert made == template(stable, None)
    assert "other" not in str(made)


def test_what_was_aborted_stands_on_the_deployment_alone() -> None:
    rp = declared(childMetadata={"annotations": {"team": "a"}})
    plain, made = (
        render(rp, Serving(IN_IMAGE, aborted=keys)).deployment
        for keys in ((), ("00c0ffee0001", "00c0ffee0002"))
    )
    annotations = made["metadata"]["annotations"]
    assert annotations["healthtech.dev/aborted"] == "00c0ffee0001,00c0ffee0002"
    assert annotations["team"] == "a"
    assert "healthtech.dev/aborted" not in plain["metadata"]["annotations"]
    assert made["spec"] == plain["spec"], "to remember restarts nobody"


def test_a_dollar_sign_is_no_variable_of_kubernetes() -> None:
    candidate = trial(Release("v2", "ours/model:v2", None), subject_header="X-$(POD_NAME)")
    server = template(IN_IMAGE, candidate)["spec"]["containers"][0]
    assert {"name": "RISKPREDICTOR_SUBJECT_HEADER", "value": "X-$$(POD_NAME)"} in server["env"]
