"""S3 by a server that checks every signature: what is refused, and in whose words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
from store.conftest import LOOPBACK, Pod, Stores

from support.stores.connect_proxy import tunnelling
from support.stores.http import DATED, WebServer, refuse, stall, truncate
from support.stores.s3 import DOMAIN, KEY, S3, SECRET
from support.stores.server import Authority


@pytest.fixture(scope="module")
def s3(stores: Stores, model: Path) -> S3:
    """The gateway, with v1 in it."""
    store = cast(S3, stores["s3"])
    store.put(model)
    return store


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        (
            {"AWS_ACCESS_KEY_ID": "AKIANOBODY", "AWS_SECRET_ACCESS_KEY": SECRET},
            "No user exists with the provided access key ID",
        ),
        ({}, "AccessDenied"),
    ],
    ids=["wrong secret", "unknown key", "no credentials"],
)
def test_wrong_credentials_are_told_in_the_words_of_the_store(
    s3: S3, pod: Pod, credentials: dict[str, str], words: str
) -> None:
    done = pod.fetch(s3, s3.source(), credentials=credentials)
    assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
    assert "s3://models/risk/v2/card.json: HTTP 40" in done.message
    assert words in done.message
    assert "spec.model.credentialsSecret" in done.message
    assert SECRET not in done.log + done.message
    assert "attempt" not in done.log


def test_a_bucket_that_is_not_there(s3: S3, pod: Pod) -> None:
    done = pod.fetch(s3, s3.source(bucket="model"))
    assert (done.status, done.reason) == (1, "ModelNotFound"), done.log
    assert "NoSuchBucket" in done.message


def test_a_wrong_region_is_named(s3: S3, pod: Pod) -> None:
    done = pod.fetch(s3, s3.source(region="us-east-1"))
    assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
    assert "eu-central-1" in done.message


def test_virtual_host_style_through_a_proxy(s3: S3, pod: Pod) -> None:
    port = urlsplit(s3.endpoint).port
    with tunnelling(LOOPBACK) as proxy:
        source = s3.source(endpoint=f"https://{DOMAIN}:{port}", pathStyle=False)
        done = pod.fetch(s3, source, HTTPS_PROXY=proxy.url)
        assert done.status == 0, done.log
        assert set(proxy.tunnels) == {f"models.{DOMAIN}:{port}"}


def test_a_proxy_that_refuses_is_named(s3: S3, pod: Pod) -> None:
    with tunnelling(LOOPBACK, "predictor:of-the-proxy") as proxy:
        wrong = proxy.url.replace("of-the", "wrong")
        done = pod.fetch(s3, s3.source(), HTTPS_PROXY=wrong)
        assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
        assert f"{s3.endpoint}: the proxy refuses to connect" in done.message
        assert "wrong-proxy" not in done.log + done.message


@pytest.mark.parametrize("other", [False, True], ids=["no authority", "another authority"])
def test_a_certificate_of_an_authority_that_is_not_declared(
    s3: S3, pod: Pod, tmp_path: Path, other: bool
) -> None:
    authority = Authority(tmp_path / "other").file if other else None
    done = pod.fetch(s3, s3.source(), authority=authority)
    assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
    assert "certificate is not trusted" in done.message
    assert "spec.model.caBundle" in done.message


def test_a_declared_authority_is_trusted_beside_those_of_the_system(
    s3: S3, pod: Pod, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", "Other CA").file
    done = pod.fetch(s3, s3.source(), authority=other, SSL_CERT_FILE=str(s3.authority))
    assert done.status == 0, done.log


class TestAStoreThatMisbehaves:
    """A bucket that anybody may read, by plain HTTP, of a server that does as the test says."""

    @pytest.fixture
    def server(self, tmp_path: Path, model: Path) -> Iterator[WebServer]:
        server = WebServer(LOOPBACK, tmp_path / "server", secure=False)
        server.credentials, server.site.guarded = {}, False
        shutil.copytree(model, server.root / "models" / "risk" / "v2")
        yield server
        server.stop()

    @staticmethod
    def source(server: WebServer) -> dict[str, dict[str, str]]:
        return {"s3": {"bucket": "models", "prefix": "risk/v2", "endpoint": server.url}}

    def test_a_public_bucket_needs_no_credentials(self, server: WebServer, pod: Pod) -> None:
        done = pod.fetch(server, self.source(server))
        assert done.status == 0, done.log
        assert not any("authorization" in fields for _, fields in server.site.requests)

    def test_what_passes_by_itself_is_tried_again(
        self, server: WebServer, pod: Pod, model: Path
    ) -> None:
        card = (model / "card.json").read_bytes()
        slow_down = b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
        server.misbehave(refuse(503, slow_down), truncate(card, 50, DATED), stall(card, 30, DATED))
        done = pod.fetch(server, self.source(server), FETCH_IDLE_TIMEOUT="0.5")
        assert done.status == 0, done.log
        assert "HTTP 503 Service Unavailable: SlowDown Reduce your rate" in done.log
        assert "the transfer broke off" in done.log
        assert "no answer within the time allowed" in done.log

    def test_a_store_that_is_down(self, server: WebServer, pod: Pod) -> None:
        server.stop()
        done = pod.fetch(server, self.source(server))
        assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
        assert f"{server.url}: no connection; check the address in" in done.message
        assert "5 attempts failed" in done.message

    def test_an_object_that_is_too_large_is_not_read(self, server: WebServer, pod: Pod) -> None:
        (server.root / "models/risk/v2/card.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))
        done = pod.fetch(server, self.source(server))
        assert (done.status, done.reason) == (1, "ModelRejected"), done.log
        assert "4194305 bytes, more than the 4194304 that are allowed" in done.message
