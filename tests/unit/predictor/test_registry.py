"""References to registries, accounts in pull secrets, and what a registry may ask for."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

import pytest

from riskpredictor_server.store import oci
from riskpredictor_server.store.docker_config import account_of
from riskpredictor_server.store.errors import FETCH_FAILED, REJECTED, StoreError
from riskpredictor_server.store.http import Answer, HttpClient
from riskpredictor_server.store.registry import Reference, Registry, digest_of
from riskpredictor_server.store.retry import Retries
from riskpredictor_server.store.transport import FetchContext

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "url", "tag", "digest"),
    [
        ("registry.example.com/risk:v2", "https://registry.example.com/v2/risk", "v2", ""),
        (f"ghcr.io/a/b/c@{DIGEST}", "https://ghcr.io/v2/a/b/c", "", DIGEST),
        (f"r.example:5000/a/b:v2@{DIGEST}", "https://r.example:5000/v2/a/b", "v2", DIGEST),
        ("docker.io/me/risk:v2", "https://registry-1.docker.io/v2/me/risk", "v2", ""),
        ("localhost/risk:v2", "http://localhost/v2/risk", "v2", ""),
        ("localhost:5000/risk:v2", "http://localhost:5000/v2/risk", "v2", ""),
        ("127.0.0.9:5000/risk:v2", "http://127.0.0.9:5000/v2/risk", "v2", ""),
        ("[::1]:5000/risk:v2", "http://[::1]:5000/v2/risk", "v2", ""),
        ("10.0.0.7:5000/risk:v2", "https://10.0.0.7:5000/v2/risk", "v2", ""),
        ("https://127.0.0.1:5000/risk:v2", "https://127.0.0.1:5000/v2/risk", "v2", ""),
        ("http://registry.test:5000/risk:v2", "http://registry.test:5000/v2/risk", "v2", ""),
    ],
)
def test_a_reference_is_read(text: str, url: str, tag: str, digest: str) -> None:
    found = Reference.parse(text)
    assert (found.url, found.tag, found.digest) == (url, tag, digest)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry.example.com/risk", "has neither a tag nor a digest; add :TAG"),
        ("risk:v2", "must be HOST/REPOSITORY:TAG"),
        ("me/risk:v2", "must be HOST/REPOSITORY:TAG"),
        ("registry.example.com/Risk:v2", "must be HOST/REPOSITORY:TAG"),
        ("registry.example.com/../risk:v2", "must be HOST/REPOSITORY:TAG"),
        ("oci://registry.example.com/risk:v2", "must be HOST/REPOSITORY:TAG"),
        ("user:password@registry.example.com/risk:v2", "must be HOST/REPOSITORY:TAG"),
        ("registry.example.com/risk@sha256:12", "the digest must be sha256: and 64"),
        ("registry.example.com/risk@md5:" + "a" * 64, "the digest must be sha256: and 64"),
        ("", "must be HOST/REPOSITORY:TAG"),
    ],
)
def test_a_wrong_reference_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(StoreError) as caught:
        Reference.parse(text)
    assert caught.value.reason == FETCH_FAILED
    assert caught.value.message.startswith("spec.model.source.oci.reference: ")
    assert message in caught.value.message


# .dockerconfigjson


def auth(account: str) -> dict[str, str]:
    return {"auth": base64.b64encode(account.encode()).decode()}


def config(**entries: Any) -> str:
    return json.dumps({"auths": entries})


@pytest.mark.parametrize(
    "name",
    [
        "r.example", "https://r.example", "https://r.example/v1/", "r.example/v2/",
        "r.example/models", "r.example/models/risk", "https://r.example/models/",
    ],
)  # fmt: skip
def test_an_entry_names_a_registry_or_a_part_of_it(name: str) -> None:
    assert account_of(config(**{name: auth("me:a:b")}), "r.example", "models/risk") == ("me", "a:b")


@pytest.mark.parametrize("name", ["other.example", "r.example:5000", "r.example/mod", "example"])
def test_an_entry_of_another_registry_is_not_used(name: str) -> None:
    assert account_of(config(**{name: auth("me:secret")}), "r.example", "models/risk") is None


def test_the_entry_that_names_most_is_used() -> None:
    entries = {
        "r.example/models/risk": auth("most:1"), "r.example": auth("least:1"),
        "r.example/models": auth("more:1"),
    }  # fmt: skip
    assert account_of(config(**entries), "r.example", "models/risk") == ("most", "1")
    assert account_of(config(**entries), "r.example", "models/other") == ("more", "1")


@pytest.mark.parametrize("name", ["docker.io", "https://index.docker.io/v1/"])
def test_docker_hub_has_several_names(name: str) -> None:
    assert account_of(config(**{name: auth("me:x")}), "docker.io", "me/risk") == ("me", "x")


def test_user_and_password_may_stand_alone() -> None:
    entry = {"auth": "", "username": "me", "password": "x"}
    assert account_of(config(**{"r.example": entry}), "r.example", "risk") == ("me", "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be a JSON object with auths"),
        ("[]", "must be a JSON object with auths"),
        ("{}", "must be a JSON object with auths"),
        ('{"auths": []}', "must be a JSON object with auths"),
        (config(**{"r.example": 1}), "r.example: must be an object"),
        (config(**{"r.example": {"auth": "!"}}), "auth must be USER:PASSWORD in base64"),
        (config(**{"r.example": {"auth": 1}}), "auth must be USER:PASSWORD in base64"),
        (config(**{"r.example": {"identitytoken": "x"}}), "kubectl create secret docker-registry"),
        (config(**{"r.example": auth("alone")}), "has no user name and password"),
    ],
)
def test_a_wrong_pull_secret_is_told(text: str, message: str) -> None:
    with pytest.raises(StoreError) as caught:
        account_of(text, "r.example", "risk")
    assert caught.value.message.startswith("the Secret of spec.model.credentialsSecret: ")
    assert message in caught.value.message


# What a registry asks for


class Recorded:
    """A client that answers from a list, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str]]()

    def request(self, url: str, _: int, **options: Any) -> Answer:
        """See HttpClient."""
        authorization = (options["headers"] or {}).get("Authorization", "")
        self.asked.append((f"{options.get('method', 'GET')} {url}", authorization))
        return self.answers.pop(0)


def registry(http: Recorded, **credentials: str) -> Registry:
    context = FetchContext(cast(HttpClient, http), Retries(1), credentials)
    return Registry(Reference.parse("r.example/risk:v2"), context)


def challenge(text: str) -> Answer:
    return Answer(401, {"www-authenticate": text}, b"")


BEARER = 'Bearer realm="https://tokens.example/t",service="r.example",scope="repository:risk:pull"'
ACCOUNT = {"username": "me", "password": "x"}
BASIC = "Basic bWU6eA=="


def test_a_token_is_kept_for_the_next_request() -> None:
    for answer in (b'{"token": "T"}', b'{"access_token": "T"}'):
        http = Recorded(challenge(BEARER), *(Answer(200, {}, b) for b in (answer, b"1", b"2")))
        asking = registry(http, **ACCOUNT)
        assert [asking.get("a", 9).body, asking.get("b", 9).body] == [b"1", b"2"]
        assert http.asked == [
            ("GET https://r.example/v2/risk/a", ""),
            (
                "GET https://tokens.example/t?service=r.example&scope=repository%3Arisk%3Apull",
                BASIC,
            ),
            ("GET https://r.example/v2/risk/a", "Bearer T"),
            ("GET https://r.example/v2/risk/b", "Bearer T"),
        ]


def test_another_host_does_not_learn_who_asks() -> None:
    elsewhere = Answer(202, {"location": "https://blobs.example/upload?state=1"}, b"")
    http = Recorded(
        challenge("Basic realm=x"), Answer(404, {}, b""), elsewhere, Answer(201, {}, b"")
    )  # fmt: skip
    registry(http, **ACCOUNT).upload(b"data")
    assert [account for _, account in http.asked] == ["", BASIC, BASIC, ""]
    assert http.asked[-1][0].startswith("PUT https://blobs.example/upload?state=1&digest=sha256:")


def test_what_is_there_already_is_not_sent() -> None:
    http = Recorded(Answer(200, {}, b""))
    registry(http).upload(b"data")
    assert len(http.asked) == 1


@pytest.mark.parametrize("text", ["", "Negotiate", "Digest realm=x"])
def test_an_unknown_challenge_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="only Basic and Bearer are known"):
        registry(Recorded(challenge(text)), **ACCOUNT).get("a", 9)


@pytest.mark.parametrize("body", [b"{}", b'{"token": 1}'])
def test_an_answer_without_a_token_is_told(body: bytes) -> None:
    http = Recorded(challenge(BEARER), Answer(200, {}, body))
    with pytest.raises(StoreError, match=r"got no token from https://tokens\.example/t"):
        registry(http, **ACCOUNT).get("a", 9)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"[" * 200_000])
def test_an_answer_that_is_no_object_is_told(body: bytes) -> None:
    http = Recorded(challenge(BEARER), Answer(200, {}, body))
    with pytest.raises(StoreError, match=r"the token of r\.example/risk: not") as caught:
        registry(http).get("a", 9)
    assert caught.value.reason == REJECTED


# A registry that answers with something else


def opened(reference: str, *answers: bytes) -> str:
    """The message of the refusal."""
    http = Recorded(*(Answer(200, {}, body) for body in answers))
    context = FetchContext(cast(HttpClient, http), Retries(1), {})
    with pytest.raises(StoreError) as caught:
        oci.open({"reference": reference}, context).read("card.json", 9)
    return f"{caught.value.reason}: {caught.value.message}"


def test_another_manifest_than_the_one_declared_is_refused() -> None:
    message = opened(f"r.example/risk@{DIGEST}", b'{"layers": []}')
    assert message.startswith(f"ModelDigestMismatch: the manifest {DIGEST} of r.example/risk is")


def test_another_blob_than_the_one_named_is_refused() -> None:
    layer = {
        "digest": DIGEST, "size": 2, "mediaType": "application/json",
        "annotations": {"org.opencontainers.image.title": "card.json"},
    }  # fmt: skip
    message = opened("r.example/risk:v2", json.dumps({"layers": [layer]}).encode(), b"{}")
    assert message.startswith(f"ModelDigestMismatch: the blob {DIGEST} of r.example/risk is")


def test_a_file_of_model_pack_is_named_by_its_path() -> None:
    layer = {
        "digest": digest_of(b"{}"), "size": 2,
        "mediaType": "application/vnd.cncf.model.weight.config.v1.raw",
        "annotations": {"org.cncf.model.filepath": "risk/card.json"},
    }  # fmt: skip
    manifest = json.dumps({"layers": [layer]}).encode()
    http = Recorded(Answer(200, {}, manifest), Answer(200, {}, b"{}"))
    context = FetchContext(cast(HttpClient, http), Retries(1), {})
    reader = oci.open({"reference": "r.example/risk:v2"}, context)
    assert reader.read("card.json", 9) == b"{}"


@pytest.mark.parametrize("listed", ["[1]", '{"a": 1}', "true"])
def test_a_malformed_index_is_refused(listed: str) -> None:
    http = Recorded(Answer(200, {}, b'{"manifests": %s}' % listed.encode()))
    context = FetchContext(cast(HttpClient, http), Retries(1), {})
    with pytest.raises(StoreError) as caught:
        oci.open({"reference": "r.example/risk:v2"}, context)
    assert caught.value.reason == REJECTED


def test_what_is_no_manifest_is_refused() -> None:
    assert "the manifest v2 of r.example/risk: not valid JSON" in opened("r.example/risk:v2", b"x")
    message = opened("r.example/risk:v2", b'{"blobs": []}')
    assert message.startswith("ModelRejected: the manifest v2 of r.example/risk lists no layers")
