"""The identity of a pod instead of a Secret: what EKS and GKE provide, served by the test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from store.conftest import LOOPBACK, Pod, Stores

from support.stores.gcs import Gcs
from support.stores.http import Misbehaviour, WebServer, refuse
from support.stores.s3 import KEY, S3, SECRET


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[WebServer]:
    """What gives out credentials, by plain HTTP as on a node."""
    server = WebServer(LOOPBACK, tmp_path / "provider", secure=False)
    yield server
    server.stop()


@pytest.fixture
def s3(stores: Stores, model: Path) -> S3:
    """The gateway, with v1 in it."""
    store = cast(S3, stores["s3"])
    store.put(model)
    return store


def answer(body: str, content_type: str = "application/json") -> Misbehaviour:
    return refuse(200, body.encode(), Content_Type=content_type)


def test_eks_pod_identity(s3: S3, pod: Pod, provider: WebServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("token-of-the-pod")
    credentials = {
        "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": "",
        "Expiration": "2099-01-01T00:00:00Z",
    }  # fmt: skip
    provider.misbehave(*[answer(json.dumps(credentials))] * 3)
    done = pod.fetch(
        s3,
        s3.source(),
        credentials={},
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{provider.url}/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
    )
    assert done.status == 0, done.log
    [(path, fields)] = provider.site.requests
    assert path == "/v1/credentials"
    assert fields["authorization"] == "token-of-the-pod"


STS = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>
<SecretAccessKey>{secret}</SecretAccessKey><SessionToken></SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


@pytest.mark.parametrize("granted", [True, False], ids=["granted", "refused"])
def test_eks_web_identity(s3: S3, pod: Pod, tmp_path: Path, granted: bool) -> None:
    sts = WebServer(LOOPBACK, tmp_path / "sts")
    try:
        no = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        said = answer(STS.format(key=KEY, secret=SECRET), "text/xml")
        sts.misbehave(*[said if granted else refuse(403, no.encode())] * 9)
        token, bundle = tmp_path / "token", tmp_path / "bundle.crt"
        token.write_text("token-of-the-pod")
        assert s3.authority
        assert sts.authority
        bundle.write_text(s3.authority.read_text() + sts.authority.read_text())
        done = pod.fetch(
            s3, s3.source(), credentials={}, authority=bundle,
            AWS_WEB_IDENTITY_TOKEN_FILE=str(token),
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/models",
            AWS_ENDPOINT_URL_STS=sts.url,
        )  # fmt: skip
        if granted:
            assert done.status == 0, done.log
        else:
            assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
            assert "HTTP 403 Forbidden: AccessDenied" in done.message
            assert "the identity of the pod" in done.message
        assert "token-of-the-pod" not in done.log + done.message
        assert len(sts.site.requests) == 1
    finally:
        sts.stop()


def test_gke_workload_identity(stores: Stores, pod: Pod, provider: WebServer, model: Path) -> None:
    store = cast(Gcs, stores["gcs"])
    source = store.put(model)
    token = {"access_token": "token-of-the-pod", "expires_in": 3600, "token_type": "Bearer"}
    provider.misbehave(*[answer(json.dumps(token))] * 3)
    done = pod.fetch(
        store, source, credentials={}, GCE_METADATA_HOST=provider.url.removeprefix("http://")
    )
    assert done.status == 0, done.log
    paths = {path.partition("?")[0] for path, _ in provider.site.requests}
    assert paths == {"/computeMetadata/v1/instance/service-accounts/default/token"}


def test_aks_workload_identity(pod: Pod, provider: WebServer, model: Path, tmp_path: Path) -> None:
    """The provider is also the store, for the emulator knows no tokens without HTTPS."""
    shutil.copytree(model, provider.root / "models" / "risk" / "v2")
    provider.site.guarded = False
    (tmp_path / "token").write_text("token-of-the-service-account")
    provider.misbehave(answer(json.dumps({"access_token": "token-of-the-pod", "expires_in": 3600})))
    source = {
        "account": "hospital", "container": "models", "prefix": "risk/v2", "endpoint": provider.url,
    }  # fmt: skip
    done = pod.fetch(
        provider, {"azure": source}, credentials={},
        AZURE_FEDERATED_TOKEN_FILE=str(tmp_path / "token"),
        AZURE_CLIENT_ID="client", AZURE_TENANT_ID="tenant", AZURE_AUTHORITY_HOST=provider.url,
    )  # fmt: skip
    assert done.status == 0, done.log
    [asked, *read] = provider.site.requests
    assert asked[0] == "/tenant/oauth2/v2.0/token"
    assert {fields["authorization"] for _, fields in read} == {"Bearer token-of-the-pod"}
    assert len(read) == 3
