"""S3 by a server that checks every signature: what is refused, and in whose words."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
from store.conftest import LOOPBACK, Pod, Stores

from support.stores.connect_proxy import tunnelling
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


@pytest.mark.parametrize("other", [False, True], ids=["no authority", "another authority"])
def test_a_certificate_of_an_authority_that_is_not_declared(
    s3: S3, pod: Pod, tmp_path: Path, other: bool
) -> None:
    authority = Authority(tmp_path / "other").file if other else None
    done = pod.fetch(s3, s3.source(), authority=authority)
    assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
    assert "certificate is not trusted" in done.message
    assert "spec.model.caBundle" in done.message
