"""A web server that misbehaves: what is tried again, what is refused, and what is never told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from store.conftest import LOOPBACK, Pod

from support.stores.connect_proxy import tunnelling
from support.stores.http import PASSWORD, WebServer, dribble, refuse, serve, stall, truncate
from support.stores.server import Authority


@pytest.fixture
def server(tmp_path: Path, model: Path) -> Iterator[WebServer]:
    """One that has v1 and no whims yet."""
    with serve(LOOPBACK, tmp_path / "server") as store:
        store.put(model)
        yield store


@pytest.fixture
def card(model: Path) -> bytes:
    """The first file that is asked for."""
    return (model / "card.json").read_bytes()


def source(server: WebServer, path: str = "/risk/v2/") -> dict[str, dict[str, str]]:
    return {"http": {"url": server.url + path}}


def test_a_busy_server_is_asked_again_when_it_said(server: WebServer, pod: Pod) -> None:
    server.misbehave(refuse(503, b"maintenance", Retry_After="0"), refuse(429, Retry_After="0"))
    done = pod.fetch(server, source(server))
    assert done.status == 0, done.log
    assert "HTTP 503 Service Unavailable: maintenance" in done.log
    assert "next in 0.0 s" in done.log
    assert len(server.site.requests) == 2 + 3


def test_a_time_to_wait_that_is_longer_than_the_time_left(server: WebServer, pod: Pod) -> None:
    server.misbehave(refuse(503, Retry_After="120"))
    done = pod.fetch(server, source(server))
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "the time for the whole fetch, 60 s, is over" in done.message
    assert len(server.site.requests) == 1


def test_a_server_that_stays_down_is_asked_five_times(server: WebServer, pod: Pod) -> None:
    server.misbehave(*[refuse(502, b"no upstream", Retry_After="0")] * 9)
    done = pod.fetch(server, source(server))
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "HTTP 502 Bad Gateway: no upstream" in done.message
    assert "5 attempts failed" in done.message
    assert len(server.site.requests) == 5


def test_a_refusal_is_final(server: WebServer, pod: Pod) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "ask the team of models"}]}'
    server.misbehave(refuse(403, body))
    done = pod.fetch(server, source(server))
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "HTTP 403 Forbidden: DENIED ask the team of models" in done.message
    assert "spec.model.credentialsSecret" in done.message
    assert len(server.site.requests) == 1


def test_a_body_that_ends_early_is_asked_for_again(
    server: WebServer, pod: Pod, card: bytes
) -> None:
    server.misbehave(truncate(card, 100))
    done = pod.fetch(server, source(server))
    assert done.status == 0, done.log
    assert f"the transfer ended after {len(card) - 100} bytes, 100 early" in done.log
    assert "range" not in server.site.requests[1][1]


def test_a_body_with_an_entity_tag_goes_on_where_it_ended(
    server: WebServer, pod: Pod, card: bytes
) -> None:
    tag = f'"{hashlib.sha256(card).hexdigest()[:12]}"'
    server.misbehave(truncate(card, 100, {"ETag": tag}))
    done = pod.fetch(server, source(server))
    assert done.status == 0, done.log
    assert server.site.requests[1][1]["range"] == f"bytes={len(card) - 100}-"
    assert done.files()["card.json"] == card


def test_a_file_that_changed_meanwhile_is_read_from_its_start(
    server: WebServer, pod: Pod, card: bytes
) -> None:
    server.misbehave(truncate(b"x" * 500, 100, {"ETag": '"old"'}))
    done = pod.fetch(server, source(server))
    assert done.status == 0, done.log
    assert done.files()["card.json"] == card


def test_silence_in_the_middle_of_a_body_is_not_waited_for(
    server: WebServer, pod: Pod, card: bytes
) -> None:
    server.misbehave(stall(card, seconds=30))
    done = pod.fetch(server, source(server), FETCH_IDLE_TIMEOUT="0.3")
    assert done.status == 0, done.log
    assert "no answer within the time allowed" in done.log


def test_silence_that_lasts_ends_at_the_deadline(server: WebServer, pod: Pod, card: bytes) -> None:
    server.misbehave(*[stall(card, seconds=5)] * 9)
    done = pod.fetch(server, source(server), FETCH_TIMEOUT="1", FETCH_IDLE_TIMEOUT="5")
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "the time for the whole fetch, 1 s, is over" in done.message
    assert done.files() == {}


def test_a_redirect_that_leaves_https_is_refused(
    server: WebServer, pod: Pod, tmp_path: Path
) -> None:
    plain = WebServer(LOOPBACK, tmp_path / "plain", secure=False)
    try:
        server.misbehave(refuse(302, Location=f"{plain.url}/card.json?signature=secret"))
        done = pod.fetch(server, source(server))
        assert (done.status, done.reason) == (1, "ModelFetchFailed")
        assert f"redirects to {plain.url}/card.json, which is not encrypted" in done.message
        assert "signature" not in done.log + done.message
        assert not plain.site.requests
    finally:
        plain.stop()


def test_a_redirect_to_another_host_does_not_get_the_password(
    server: WebServer, pod: Pod, card: bytes
) -> None:
    elsewhere = server.url.replace(LOOPBACK, "localhost")
    server.misbehave(
        refuse(307, Location=f"{elsewhere}/signed"),
        lambda handler: handler.answer(200, card),
    )
    done = pod.fetch(server, source(server))
    assert done.status == 0, done.log
    [first, second, *_] = server.site.requests
    assert "authorization" in first[1]
    assert second[0] == "/signed"
    assert "authorization" not in second[1]


def test_a_token_is_sent_as_bearer(server: WebServer, pod: Pod) -> None:
    server.site.guarded = False
    done = pod.fetch(server, source(server), credentials={"token": "a-token-of-a-test"})
    assert done.status == 0, done.log
    assert server.site.requests[0][1]["authorization"] == "Bearer a-token-of-a-test"


def test_a_wrong_password_is_not_told(server: WebServer, pod: Pod) -> None:
    server.misbehave(refuse(401, f"no user with the password {PASSWORD}".encode()))
    done = pod.fetch(server, source(server))
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "HTTP 401 Unauthorized: no user with the password ***" in done.message
    assert PASSWORD not in done.log


def test_a_signed_address_is_used_whole_and_shown_without_its_query(
    server: WebServer, pod: Pod
) -> None:
    server.site.guarded = False
    done = pod.fetch(server, source(server, "/risk/v2?sig=of-a-test"), digest="sha256:" + "0" * 64)
    assert server.site.requests[0][0] == "/risk/v2/card.json?sig=of-a-test"
    assert f"{server.url}/risk/v2" in done.message
    assert "of-a-test" not in done.log + done.message


@pytest.mark.parametrize("other", [False, True], ids=["no authority", "another authority"])
def test_a_certificate_of_an_authority_that_is_not_declared(
    server: WebServer, pod: Pod, tmp_path: Path, other: bool
) -> None:
    authority = Authority(tmp_path / "other").file if other else None
    done = pod.fetch(server, source(server), authority=authority)
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "the certificate is not trusted" in done.message
    assert "spec.model.caBundle" in done.message
    assert not server.site.requests


def test_a_declared_authority_is_trusted_beside_those_of_the_system(
    server: WebServer, pod: Pod, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", "Other CA").file
    done = pod.fetch(server, source(server), authority=other, SSL_CERT_FILE=str(server.authority))
    assert done.status == 0, done.log


def test_a_bundle_without_certificates(server: WebServer, pod: Pod, tmp_path: Path) -> None:
    empty = tmp_path / "ca.crt"
    empty.write_text("not a certificate")
    done = pod.fetch(server, source(server), authority=empty)
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "spec.model.caBundle must name a key with PEM certificates" in done.message


def test_a_card_that_is_too_large_is_refused(server: WebServer, pod: Pod) -> None:
    (server.root / "risk/v2/card.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    done = pod.fetch(server, source(server))
    assert (done.status, done.reason) == (1, "ModelRejected")
    assert "larger than the 4194304 bytes that are allowed" in done.message


def test_through_a_proxy_that_asks_for_a_password(server: WebServer, pod: Pod) -> None:
    with tunnelling(LOOPBACK, "predictor:of-the-proxy") as proxy:
        done = pod.fetch(server, source(server), HTTPS_PROXY=proxy.url)
        assert done.status == 0, done.log
        assert {f"{LOOPBACK}:{server.url.rpartition(':')[2]}"} == set(proxy.tunnels)
        refused = pod.fetch(
            server, source(server), version="v0", HTTPS_PROXY=proxy.url.replace("of-the", "wrong")
        )
        assert (refused.status, refused.reason) == (1, "ModelFetchFailed")
        assert "407" in refused.message
        assert "wrong-proxy" not in refused.log + refused.message


def test_no_proxy_for_hosts_that_are_excepted(server: WebServer, pod: Pod) -> None:
    with tunnelling(LOOPBACK) as proxy:
        done = pod.fetch(server, source(server), HTTPS_PROXY=proxy.url, NO_PROXY=LOOPBACK)
        assert done.status == 0, done.log
        assert not proxy.tunnels


def test_a_server_that_is_gone_is_not_needed_where_there_is_a_copy(
    server: WebServer, pod: Pod, model: Path
) -> None:
    server.stop()
    gone = pod.fetch(server, source(server), FETCH_TIMEOUT="1")
    assert (gone.status, gone.reason) == (1, "ModelFetchFailed")
    assert "Connection refused" in gone.message
    done = pod.fetch(server, source(server), MODEL_COPY=str(model))
    assert done.status == 0, done.log
    assert "without the store" in done.log


def test_a_token_on_several_lines_is_refused_and_not_told(server: WebServer, pod: Pod) -> None:
    server.site.guarded = False
    done = pod.fetch(server, source(server), credentials={"token": "first-half\nsecond-half"})
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "Authorization must be one line of ASCII" in done.message
    assert "half" not in done.log + done.message


def test_a_server_that_never_ends_its_head_is_given_up(server: WebServer, pod: Pod) -> None:
    server.misbehave(*[dribble] * 9)
    done = pod.fetch(server, source(server), FETCH_TIMEOUT="1")
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "the time for the whole fetch, 1 s, is over" in done.message
    assert done.files() == {}


def test_whom_a_registry_redirects_to_cannot_ask_who_we_are(server: WebServer, pod: Pod) -> None:
    elsewhere = server.url.replace(LOOPBACK, "localhost")
    server.misbehave(
        refuse(307, Location=f"{elsewhere}/blob"),
        refuse(401, b"who?", WWW_Authenticate=f'Bearer realm="{elsewhere}/realm",service="x"'),
        *[refuse(200, b'{"token": "T"}')] * 9,
    )
    done = pod.fetch(server, {"oci": {"reference": f"{server.url}/risk:v2"}})
    assert (done.status, done.reason) == (1, "ModelFetchFailed")
    assert "HTTP 401 Unauthorized: who?" in done.message
    assert [path for path, _ in server.site.requests] == ["/v2/risk/manifests/v2", "/blob"]


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_an_optional_model_leaves_its_reason_in_the_place_of_a_former_one(
    server: WebServer, pod: Pod, card: bytes, silent: bool
) -> None:
    first = pod.fetch(server, source(server), MODEL_OPTIONAL="on")
    assert (first.status, first.files()["card.json"]) == (0, card), first.log
    if silent:
        server.misbehave(stall(card, seconds=30))
    other = {"username": "predictor", "password": "a-password-that-is-wrong"}
    done = pod.fetch(
        server, source(server), credentials=other, digest=f"sha256:{'0' * 64}",
        MODEL_OPTIONAL="on", FETCH_TIMEOUT="1",
    )  # fmt: skip
    assert done.status == 0, done.log
    assert set(done.files()) == {"ERROR"}
    said = json.loads(done.files()["ERROR"])
    assert said["reason"] == "ModelFetchFailed"
    assert ("within the time allowed" if silent else "HTTP 401") in said["message"]
    assert f"ModelFetchFailed: {said['message']}" in done.log
    assert "a-password-that-is-wrong" not in done.log + said["message"]
    again = pod.fetch(server, source(server), MODEL_OPTIONAL="on")
    assert (again.status, again.files()) == (0, first.files()), again.log
