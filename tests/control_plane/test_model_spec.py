"""``spec.model`` as users meet it: every store is accepted; a mistake is refused with its fix."""

from __future__ import annotations

import re
from typing import Any

import pytest
from unit.operator.builders import sources

from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, Refused

DIGEST, OTHER = "sha256:" + "0a" * 32, "sha256:" + "0b" * 32
HTTP = {"http": {"url": "https://models.example.com/risk/v2/"}}


def _create(api: Api, namespace: str, **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": "risk", "namespace": namespace}, "spec": spec}
    return api.create(RISKPREDICTOR, body)


def _model(**fields: Any) -> dict[str, Any]:
    return {"digest": DIGEST, "source": HTTP, **fields}


def _beside(model: dict[str, Any]) -> dict[str, Any]:
    return {"shadow": {"modelVersion": "v3", "model": model}}


ACCEPTED: dict[str, dict[str, Any]] = {
    **{next(iter(source)): source for source in sources()},
    "s3 of Amazon": {"s3": {"bucket": "my.models", "prefix": "v2/"}},
    "an endpoint with port and path": {
        "s3": {"bucket": "m", "prefix": "v2", "endpoint": "http://minio.store.svc:9000/s3"}
    },
    "an IPv6 address": {"http": {"url": "https://[fd00::1]:8443/risk@2/"}},
    "an account's web folder": {"azure": {"account": "abc", "container": "$web", "prefix": "v2"}},
    "an artifact by digest": {"oci": {"reference": f"r.example:5000/a/b@{DIGEST}"}},
    "an artifact by tag and digest": {"oci": {"reference": f"r.example/a:v2@{DIGEST}"}},
    "a whole volume": {"pvc": {"claimName": "models"}},
    "a dot in a claim's path": {"pvc": {"claimName": "models", "path": "risk.v2/..a"}},
    "an alias": {"mlflow": {"server": "http://mlflow:5000", "uri": "models:/my risk@champion"}},
    "a logged model": {"mlflow": {"server": "http://mlflow", "uri": "models:/m-0123456789abcdef"}},
    "an image of the node": {"image": {"reference": "risk:v2"}},
    "nulls of a template": {
        "s3": None, "pvc": None,
        "image": {"reference": "risk:v2", "path": None},
    },
}  # fmt: skip


@pytest.mark.parametrize("source", ACCEPTED.values(), ids=ACCEPTED)
def test_a_store_is_accepted(api: Api, namespace: str, source: dict[str, Any]) -> None:
    """Of the model that answers and of its shadow."""
    model = _model(source=source)
    body = _create(api, namespace, modelVersion="v2", model=model, **_beside(model))
    assert body["spec"]["model"]["digest"] == DIGEST
    assert body["spec"]["shadow"]["model"] == body["spec"]["model"]


def test_what_may_be_left_out_may_be_null(api: Api, namespace: str) -> None:
    model = _model(**dict.fromkeys(("credentialsSecret", "caBundle", "signature")))
    _create(api, namespace, modelVersion="v2", model=model, **_beside(model))


def _s3(**fields: Any) -> dict[str, Any]:
    return {"source": {"s3": {"bucket": "models", "prefix": "v2", **fields}}}


def _gcs(**fields: Any) -> dict[str, Any]:
    return {"source": {"gcs": {"bucket": "models", "prefix": "v2", **fields}}}


def _azure(**fields: Any) -> dict[str, Any]:
    azure = {"account": "models", "container": "risk", "prefix": "v2", **fields}
    return {"source": {"azure": azure}}


def _http(url: str) -> dict[str, Any]:
    return {"source": {"http": {"url": url}}}


def _mlflow(**fields: Any) -> dict[str, Any]:
    mlflow = {"server": "https://mlflow.example.com", "uri": "models:/risk/2", **fields}
    return {"source": {"mlflow": mlflow}}


def _oci(reference: str) -> dict[str, Any]:
    return {"source": {"oci": {"reference": reference}}}


def _image(reference: str = "risk:v2", **fields: Any) -> dict[str, Any]:
    return {"source": {"image": {"reference": reference, **fields}}}


CREDENTIALS = r"must not carry a password or query; .*spec\.model\.credentialsSecret"
ADDRESS = r"must be an http or https address, for example https://"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no digest": ({"digest": None}, r"spec\.model\.digest: Required value"),
    "digest without algorithm": (
        {"digest": "0a" * 32}, r"model\.digest must be 'sha256:' and 64 digits.*sha256sum",
    ),
    "digest in capitals": ({"digest": "sha256:" + "0A" * 32}, r"model\.digest must be 'sha256:'"),
    "no source": ({"source": None}, r"spec\.model\.source: Required value"),
    "an empty source": ({"source": {}}, r"model\.source must name exactly one of s3, gcs, azure"),
    "two sources": (
        {"source": {**HTTP, "pvc": {"claimName": "a"}}}, r"source must name exactly one .* remove",
    ),
    "s3 without bucket": (
        {"source": {"s3": {"prefix": "v2"}}}, r"source\.s3\.bucket: Required value",
    ),
    "s3 bucket as an address": (_s3(bucket="s3://models/v2"), r"s3\.bucket must be the name of a"),
    "s3 prefix from the root": (_s3(prefix="/v2"), r"s3\.prefix must not start with '/'"),
    "s3 prefix upwards": (_s3(prefix="risk/../v2"), r"s3\.prefix must not .* '\.' or '\.\.'"),
    "s3 endpoint without scheme": (_s3(endpoint="s3.example.com"), rf"s3\.endpoint {ADDRESS}"),
    "s3 endpoint of another scheme": (_s3(endpoint="ftp://s3.example.com"), rf"endpoint {ADDRESS}"),
    "s3 endpoint with password": (
        _s3(endpoint="https://me:secret@s3.example.com"), rf"s3\.endpoint {CREDENTIALS}",
    ),
    "s3 region": (_s3(region="eu central"), r"s3\.region must be the name of a region"),
    "gcs bucket as an address": (_gcs(bucket="gs://models"), r"gcs\.bucket must be the name of a"),
    "gcs prefix from the root": (_gcs(prefix="/v2"), r"gcs\.prefix must not start with '/'"),
    "gcs endpoint": (_gcs(endpoint="storage"), rf"gcs\.endpoint {ADDRESS}"),
    "gcs endpoint with password": (
        _gcs(endpoint="https://a:b@c.example.com"), rf"gcs\.endpoint {CREDENTIALS}",
    ),
    "azure account": (_azure(account="Models"), r"azure\.account must be the name of a storage"),
    "azure container": (_azure(container="risk/v2"), r"azure\.container must be the name of a"),
    "azure prefix upwards": (_azure(prefix=".."), r"azure\.prefix must not .*'\.\.'"),
    "azure endpoint": (_azure(endpoint="blob"), rf"azure\.endpoint {ADDRESS}"),
    "azure endpoint with its token": (
        _azure(endpoint="https://m.blob.core.windows.net/?sv=1&sig=x"),
        rf"azure\.endpoint {CREDENTIALS}",
    ),
    "url without scheme": (_http("models.example.com/v2"), rf"http\.url {ADDRESS}"),
    "url with password": (_http("https://a:b@models.example.com/"), rf"http\.url {CREDENTIALS}"),
    "url with a user": (_http("https://token@models.example.com/"), rf"http\.url {CREDENTIALS}"),
    "url with a signature": (_http("https://m.example.com/?token=x"), rf"http\.url {CREDENTIALS}"),
    "artifact without registry": (_oci("risk:v2"), r"oci\.reference must be a registry, a name"),
    "artifact without tag": (
        _oci("r.example/risk"), r"oci\.reference must be a registry, a name and a tag or digest",
    ),
    "artifact with a scheme": (_oci("oci://r.example/risk:v2"), r"oci\.reference must be"),
    "claim's path from the root": (
        {"source": {"pvc": {"claimName": "a", "path": "/v2"}}}, r"pvc\.path must be relative",
    ),
    "claim's path upwards": (
        {"source": {"pvc": {"claimName": "a", "path": "v2/../../x"}}}, r"pvc\.path must .*'\.\.'",
    ),
    "no claim": ({"source": {"pvc": {"path": "v2"}}}, r"pvc\.claimName: Required value"),
    "mlflow server": (_mlflow(server="mlflow"), rf"mlflow\.server {ADDRESS}"),
    "mlflow server with password": (
        _mlflow(server="https://a:b@m.example.com"), rf"mlflow\.server {CREDENTIALS}",
    ),
    "mlflow stage": (
        _mlflow(uri="models:/risk/Production"), r"mlflow\.uri must be models:/NAME/VERSION.*stage",
    ),
    "mlflow uri of a run": (_mlflow(uri="runs:/abc/model"), r"mlflow\.uri must be models:"),
    "mlflow path upwards": (_mlflow(path="../x"), r"mlflow\.path must be relative"),
    "image without tag": (_image("r.example/risk"), r"image\.reference must be an image name with"),
    "image's relative path": (_image(path="model"), r"image\.path must start with '/'"),
    "an image as a whole": (
        _image(path="/"), r"image\.path must start with '/', name a folder and not .*/model",
    ),
    "an image as a whole, said otherwise": (_image(path="//."), r"image\.path must .* a folder"),
    "image's path upwards": (_image(path="/model/.."), r"image\.path must .*'\.\.'"),
    "a Secret without name": (
        {"credentialsSecret": {}}, r"credentialsSecret\.name: Required value",
    ),
    "a bundle without key": ({"caBundle": {"configMap": "a"}}, r"caBundle\.key: Required value"),
    "a bundle's key": (
        {"caBundle": {"configMap": "a", "key": "../x"}}, r"caBundle\.key must be a key of a",
    ),
    "a signature without key": ({"signature": {}}, r"signature\.publicKey: Required value"),
    "a signature's key": (
        {"signature": {"publicKey": {"configMap": "a", "key": "a/b"}}},
        r"publicKey\.key must be a key of a ConfigMap",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("where", ["spec.model", "spec.shadow.model"])
def test_a_mistake_is_refused_with_its_fix(
    api: Api, namespace: str, where: str, fields: dict[str, Any], message: str
) -> None:
    model = {name: value for name, value in _model(**fields).items() if value is not None}
    spec = {"model": model} if where == "spec.model" else _beside(model)
    message = message.replace(r"spec\.model", re.escape(where))
    with pytest.raises(Refused, match=message) as caught:
        _create(api, namespace, modelVersion="v2", **spec)
    assert caught.value.status == 422
    named = re.findall(r"spec\.(?:shadow\.)?model(?!V)", str(caught.value))
    assert set(named) == {where}, "no other field is spoken of"


def test_a_digest_does_not_change_under_a_model_version(api: Api, namespace: str) -> None:
    key = Key(namespace, "risk")
    _create(api, namespace, modelVersion="v2", model=_model())

    def declare(version: str, digest: str) -> None:
        model = {"digest": digest}
        api.patch(RISKPREDICTOR, key, {"spec": {"modelVersion": version, "model": model}})

    with pytest.raises(Refused, match=r"model\.digest must not change .*give the changed model a"):
        declare("v2", OTHER)
    declare("v3", OTHER)
    declare("v2", DIGEST)
    with pytest.raises(Refused, match=r"or, where the digest was mistyped, declare the former"):
        declare("v2", OTHER)
    # The way out that the message tells.
    declare("v1", DIGEST)
    declare("v2", OTHER)


def test_the_place_of_a_model_may_change(api: Api, namespace: str) -> None:
    key = Key(namespace, "risk")
    _create(api, namespace, modelVersion="v2", model=_model())
    moved = {"http": None, "pvc": {"claimName": "models"}}
    api.patch(RISKPREDICTOR, key, {"spec": {"model": {"source": moved}}})
    api.patch(RISKPREDICTOR, key, {"spec": {"model": None}})
    api.patch(RISKPREDICTOR, key, {"spec": {"model": _model()}})


@pytest.mark.parametrize("name", ["RISKPREDICTOR_MODEL", "RISKPREDICTOR_MODEL_DIGEST"])
def test_the_variables_of_the_fetch_step_are_the_operators_where_there_is_a_store(
    api: Api, namespace: str, name: str
) -> None:
    template = {"env": [{"name": name, "value": "x"}]}
    with pytest.raises(Refused, match=r"podTemplate\.env must not set RISKPREDICTOR_MODEL.*remove"):
        _create(api, namespace, modelVersion="v2", model=_model(), podTemplate=template)
    _create(api, namespace, modelVersion="v2", podTemplate=template)
