"""Specification of the pods whose model comes from a store: what is added to those of today."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.operator.builders import Object, predictor, rendered, sample, sources

from riskpredictor_operator.core.model import SOURCES
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.spec import parse

DIGEST = "sha256:" + "0a1b2c3d" * 8
HTTP = {"http": {"url": "https://models.example.com/risk/v2/"}}
CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
RESOURCES = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"cpu": "200m", "memory": "256Mi"},
}
COPY_VOLUME = {
    "name": "model-copy",
    "configMap": {"name": "risk-model-0a1b2c3d0a1b", "optional": True, "defaultMode": 0o444},
}
COPY_MOUNT = {"name": "model-copy", "mountPath": "/etc/riskpredictor/copy", "readOnly": True}


def template(source: Object, model: Object | None = None, **spec: Any) -> Object:
    """The pod template of a predictor of ``modelVersion: v2``."""
    whole = {"digest": DIGEST, "source": source, **(model or {})}
    body = predictor(modelVersion="v2", model=whole, **spec)
    found: Object = rendered(body).deployment["spec"]["template"]
    return found


def fetch(source: Object, *, env: tuple[Object, ...] = (), mounts: tuple[Object, ...] = ()) -> Any:
    """The init container as it should be."""
    return {
        "name": "fetch-model",
        "image": "health-predictor:runtime",
        "imagePullPolicy": "IfNotPresent",
        "args": ["fetch"],
        "env": [
            {"name": "RISKPREDICTOR_MODEL", "value": "/models/stable"},
            {"name": "RISKPREDICTOR_MODEL_VERSION", "value": "v2"},
            {"name": "RISKPREDICTOR_MODEL_DIGEST", "value": DIGEST},
            {
                "name": "RISKPREDICTOR_MODEL_SOURCE",
                "value": json.dumps(source, separators=(",", ":"), sort_keys=True),
            },
            {"name": "RISKPREDICTOR_MODEL_COPY", "value": "/etc/riskpredictor/copy"},
            *env,
        ],
        "resources": RESOURCES,
        "volumeMounts": [{"name": "models", "mountPath": "/models"}, COPY_MOUNT, *mounts],
        "securityContext": CONFINED,
    }


def test_the_smallest_one() -> None:
    today = rendered(predictor(modelVersion="v2")).deployment["spec"]["template"]
    predictor_today = today["spec"]["containers"][0]
    assert template(HTTP) == {
        "metadata": {
            "labels": {**today["metadata"]["labels"], "healthtech.dev/model-source": "http"},
            "annotations": {
                "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "models",
                "healthtech.dev/model-digest": DIGEST,
            },
        },
        "spec": {
            **today["spec"],
            "initContainers": [fetch(HTTP)],
            "containers": [
                {
                    **predictor_today,
                    "image": "health-predictor:runtime",
                    "env": [
                        *predictor_today["env"],
                        {"name": "RISKPREDICTOR_MODEL", "value": "/models/stable"},
                    ],
                    "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "models", "emptyDir": {"sizeLimit": "1Gi"}}, COPY_VOLUME],
        },
    }


@pytest.mark.parametrize(
    "source", [s for s in sources() if not {"pvc", "image"} & set(s)], ids=lambda s: next(iter(s))
)
def test_of_a_remote_store_only_the_address_differs(source: Object) -> None:
    made = template(source)
    assert made["metadata"]["labels"]["healthtech.dev/model-source"] in source
    assert made["spec"]["initContainers"] == [fetch(source)]
    assert made["spec"]["volumes"] == template(HTTP)["spec"]["volumes"]


def test_the_sample_shows_every_kind_of_store() -> None:
    assert [next(iter(source)) for source in sources()] == list(SOURCES)


def test_a_claim_is_mounted_read_only_in_the_init_container() -> None:
    source = {"pvc": {"claimName": "models", "path": "risk/v2"}}
    pod = template(source)["spec"]
    mount = {"name": "model-source", "mountPath": "/models-source", "readOnly": True}
    claim = {"claimName": "models", "readOnly": True}
    assert pod["initContainers"] == [fetch(source, mounts=(mount,))]
    assert pod["volumes"][1:] == [
        COPY_VOLUME, {"name": "model-source", "persistentVolumeClaim": claim},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "folder"),
    [(None, "/model/."), ("/", "/."), ("/opt/risk/", "/opt/risk/.")],
    ids=["by default", "the root", "another folder"],
)
def test_an_image_is_copied_by_an_init_container_of_its_own_that_runs_first(
    path: str | None, folder: str
) -> None:
    source = {"image": {"reference": "r.example/risk:v2", "path": path}}
    pod = template(source, image={"pullPolicy": "Always"})["spec"]
    told = {"image": {k: v for k, v in source["image"].items() if v is not None}}
    assert pod["initContainers"] == [
        {
            "name": "copy-model",
            "image": "r.example/risk:v2",
            "imagePullPolicy": "Always",
            "command": ["cp", "-R", "-f", folder, "/models/incoming"],
            "resources": RESOURCES,
            "volumeMounts": [{"name": "models", "mountPath": "/models"}],
            "securityContext": CONFINED,
        },
        {**fetch(told), "imagePullPolicy": "Always"},
    ]


def test_credentials_certificates_and_keys_are_in_the_init_container_alone() -> None:
    pod = template(
        HTTP,
        {
            "credentialsSecret": {"name": "model-store"},
            "caBundle": {"configMap": "private-ca", "key": "ca.crt"},
            "signature": {"publicKey": {"configMap": "model-keys", "key": "release.pub"}},
        },
    )["spec"]
    where = {
        "model-credentials": "/etc/riskpredictor/credentials",
        "model-ca": "/etc/riskpredictor/ca",
        "model-key": "/etc/riskpredictor/key",
    }
    assert pod["initContainers"] == [
        fetch(
            HTTP,
            env=(
                {"name": "RISKPREDICTOR_MODEL_CREDENTIALS", "value": where["model-credentials"]},
                {"name": "RISKPREDICTOR_MODEL_CA", "value": f"{where['model-ca']}/ca.crt"},
                {
                    "name": "RISKPREDICTOR_MODEL_PUBLIC_KEY",
                    "value": f"{where['model-key']}/release.pub",
                },
            ),
            mounts=tuple(
                {"name": name, "mountPath": path, "readOnly": True} for name, path in where.items()
            ),
        )
    ]
    assert pod["volumes"][2:] == [
        {
            "name": "model-credentials",
            "secret": {"secretName": "model-store", "defaultMode": 0o444},
        },
        {
            "name": "model-ca",
            "configMap": {
                "name": "private-ca",
                "items": [{"key": "ca.crt", "path": "ca.crt"}],
                "defaultMode": 0o444,
            },
        },
        {
            "name": "model-key",
            "configMap": {
                "name": "model-keys",
                "items": [{"key": "release.pub", "path": "release.pub"}],
                "defaultMode": 0o444,
            },
        },
    ]
    assert [m["name"] for m in pod["containers"][0]["volumeMounts"]] == ["models"]


def test_the_fetch_step_has_the_users_variables_and_the_predictors_resources() -> None:
    resources = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "96Mi"}}
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}
    pod = template(HTTP, podTemplate={"env": [proxy]}, resources=resources)["spec"]
    init, server = pod["initContainers"][0], pod["containers"][0]
    assert init["env"][-1] == server["env"][-1] == proxy
    assert init["resources"] == server["resources"] == resources


def test_a_dollar_sign_is_no_variable_of_kubernetes() -> None:
    source = {"azure": {"account": "models", "container": "$web", "prefix": "$(RISK)/v2"}}
    env = {v["name"]: v["value"] for v in template(source)["spec"]["initContainers"][0]["env"]}
    assert env["RISKPREDICTOR_MODEL_SOURCE"] == (
        '{"azure":{"account":"models","container":"$$web","prefix":"$$(RISK)/v2"}}'
    )


def test_what_the_user_says_of_evictions_counts_and_of_the_digest_does_not() -> None:
    annotations = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "models,cache",
        "healthtech.dev/model-digest": "mine",
    }
    made = template(HTTP, podTemplate={"annotations": annotations})["metadata"]["annotations"]
    assert made == {**annotations, "healthtech.dev/model-digest": DIGEST}


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "r:5000/run:1", id="the operator's"),
        pytest.param({"repository": "mine"}, "mine:1", id="own repository"),
        pytest.param({"tag": "2"}, "r:5000/run:2", id="own tag"),
        pytest.param({"digest": "sha256:0a"}, "r:5000/run:1@sha256:0a", id="own digest"),
        pytest.param({"repository": "mine", "tag": "2"}, "mine:2", id="both"),
    ],
)
def test_image(image: Object, reference: str) -> None:
    body = predictor(model={"digest": DIGEST, "source": HTTP}, image=image)
    options = RenderOptions(runtime_image="r:5000/run:1")
    pod = rendered(body, options).deployment["spec"]["template"]
    containers = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    assert {container["image"] for container in containers} == {reference}


def test_the_digest_of_the_operators_image_goes_with_its_repository_and_tag() -> None:
    options = RenderOptions(runtime_image="run:1@sha256:0b")
    images = [
        rendered(predictor(model={"digest": DIGEST, "source": HTTP}, image=image), options)
        .deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        for image in ({}, {"tag": "2"}, {"repository": "mine"})
    ]  # fmt: skip
    assert images == ["run:1@sha256:0b", "run:2", "mine:1"]


def test_the_sample_is_read() -> None:
    rp = parse(sample("model-from-a-store"))
    assert rp.model is not None
    assert (rp.model.kind, rp.model.credentials_secret) == ("s3", "model-store")
