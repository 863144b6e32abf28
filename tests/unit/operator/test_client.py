"""Specification of requests to the API server, over loopback: what is sent, what errors become."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from unit.operator.builders import KEY, Object, manifests, predictor
from unit.operator.loopback import connected_to

from riskpredictor_operator.core import api
from riskpredictor_operator.kube import ApiError, Key
from riskpredictor_operator.runtime.client import LEASE, LIST_PAGE, Client
from riskpredictor_operator.runtime.write_guard import LeadershipLostError

SERVICE = manifests(predictor())[api.SERVICE]
LEASE_BODY: Object = {"metadata": {"namespace": "system", "name": "lease", "resourceVersion": "1"}}
SERVICES = "/api/v1/namespaces/shop/services"
PREDICTORS = "/apis/healthtech.dev/v1alpha1/namespaces/shop/riskpredictors"


Asked = tuple[str, str, dict[str, str], str, Any]
"""Method, path, query, content type and body of a request."""


class Server:
    """Answers in order what it is told to; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[web.Response] = []
        self.heads = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.heads += 1
        text = await request.text()
        self.asked.append(
            (
                request.method, request.path, dict(request.query), request.content_type,
                json.loads(text) if text else None,
            )
        )  # fmt: skip
        if not self.answers:
            await asyncio.sleep(60)
        return self.answers.pop(0)

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(web.Response(status=status, text=text, headers=named))


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with connected_to(server) as connected:
        yield connected


OURS = {"fieldManager": "riskpredictor-operator"}
PORTS = [{"op": "replace", "path": "/spec/ports", "value": []}]
STATUS = {"replicas": 2, "url": None}
WRITES: dict[str, tuple[Callable[[Client], Awaitable[Any]], Asked]] = {
    "apply": (
        lambda c: c.apply(api.SERVICE, SERVICE, manager="me"),
        ("PATCH", f"{SERVICES}/risk", {"fieldManager": "me", "force": "true"},
         "application/apply-patch+yaml", SERVICE),
    ),
    "change": (
        lambda c: c.change(api.SERVICE, KEY, PORTS),
        ("PATCH", f"{SERVICES}/risk", OURS, "application/json-patch+json", PORTS),
    ),
    "create": (
        lambda c: c.create(api.SERVICE, SERVICE),
        ("POST", SERVICES, OURS, "application/json", SERVICE),
    ),
    "replace": (
        lambda c: c.replace(api.SERVICE, SERVICE),
        ("PUT", f"{SERVICES}/risk", OURS, "application/json", SERVICE),
    ),
    "delete": (
        lambda c: c.delete(api.SERVICE, KEY, "the-uid"),
        ("DELETE", f"{SERVICES}/risk", {}, "application/json",
         {"propagationPolicy": "Background", "preconditions": {"uid": "the-uid"}}),
    ),
    "patch_status": (
        lambda c: c.patch_status(api.RISKPREDICTOR, KEY, "the-uid", STATUS),
        ("PATCH", f"{PREDICTORS}/risk/status", OURS, "application/merge-patch+json",
         {"metadata": {"uid": "the-uid"}, "status": STATUS}),
    ),
}  # fmt: skip
each_write = pytest.mark.parametrize("verb", WRITES)


@each_write
async def test_what_a_write_sends(server: Server, client: Client, verb: str) -> None:
    write, request = WRITES[verb]
    server.answer({"kind": "Any"})
    assert await write(client) == (None if verb == "delete" else {"kind": "Any"})
    assert server.asked == [request]


async def test_a_list_reads_every_page(server: Server, client: Client) -> None:
    server.answer({"metadata": {"continue": "next"}, "items": [{"a": 1}]})
    server.answer({"metadata": {}, "items": [{"b": 2}]})
    assert await client.list(api.SERVICE, "", "x=y") == [{"a": 1}, {"b": 2}]
    first, second = (asked[2] for asked in server.asked)
    assert server.asked[0][1] == "/api/v1/services"
    assert (first["labelSelector"], first["limit"]) == ("x=y", str(LIST_PAGE))
    assert second["continue"] == "next"


async def test_a_cached_list_does_not_bother_the_database(server: Server, client: Client) -> None:
    server.answer({"metadata": {}, "items": None})
    assert await client.list(api.POD, "shop", "x=y", cached=True) == []
    assert server.asked[0][2]["resourceVersion"] == "0"


async def test_what_is_not_there(server: Server, client: Client) -> None:
    for _ in range(3):
        server.answer({"reason": "NotFound"}, 404)
    assert await client.get(api.SERVICE, KEY) is None
    await client.delete(api.SERVICE, KEY, "uid")
    with pytest.raises(ApiError, match="404"):
        await client.patch_status(api.RISKPREDICTOR, KEY, "uid", {})


@pytest.mark.parametrize(
    ("status", "plurals", "serves"),
    [(200, ["riskpredictors"], True), (200, ["other"], False), (404, [], False)],
)
async def test_whether_the_crd_is_there(
    server: Server, client: Client, status: int, plurals: list[str], serves: bool
) -> None:
    server.answer({"resources": [{"name": plural} for plural in plurals]}, status)
    assert await client.serves(api.RISKPREDICTOR) is serves


class TestErrors:
    async def failure(self, client: Client) -> ApiError:
        with pytest.raises(ApiError) as caught:
            await client.apply(api.SERVICE, SERVICE, manager="me")
        return caught.value

    async def test_a_refusal_in_kubernetes_own_form(self, server: Server, client: Client) -> None:
        causes = [{"reason": "NamespaceTerminating", "message": "m"}, {"message": "n"}]
        body = {"reason": "Forbidden", "message": "no", "details": {"causes": causes}}
        server.answer(body, 403)
        error = await self.failure(client)
        assert (error.status, error.reason, error.message) == (403, "Forbidden", "no")
        assert error.causes == ("NamespaceTerminating", "")
        assert error.retry_after is None

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("7", 7.0),
            ("86400", 60.0),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
            ("Wed, 21 Oct 2099 07:28:00 GMT", 60.0),
            ("soon", None),
        ],
    )
    async def test_how_long_the_server_asks_to_wait(
        self, server: Server, client: Client, header: str, seconds: float | None
    ) -> None:
        server.answer({"reason": "TooManyRequests"}, 429, Retry_After=header)
        assert (await self.failure(client)).retry_after == seconds

    @pytest.mark.parametrize("text", ["<html>Bad Gateway</html>", "[]", ""], ids=repr)
    async def test_a_proxy_in_its_own_words(
        self, server: Server, client: Client, text: str
    ) -> None:
        server.answer(text, 502)
        error = await self.failure(client)
        assert error.status == 502
        assert error.message == text

    async def test_no_answer_in_time_or_nobody_there(self, client: Client) -> None:
        client.transport.request_seconds = 0.05
        for host in (client.transport.client.configuration.host, "http://127.0.0.1:1"):
            client.transport.client.configuration.host = host
            error = await self.failure(client)
            assert (error.status, error.reason) == (0, "Unreachable")


class TestLeadership:
    @staticmethod
    def refuse() -> None:
        raise LeadershipLostError("not the leader")

    @each_write
    async def test_no_write_leaves_without_the_lease(
        self, server: Server, client: Client, verb: str
    ) -> None:
        client.before_write = self.refuse
        with pytest.raises(LeadershipLostError):
            await WRITES[verb][0](client)
        assert server.asked == []

    @each_write
    async def test_nor_one_that_was_under_way_to_its_connection_when_the_lease_was_lost(
        self, server: Server, client: Client, verb: str
    ) -> None:
        """A process that is frozen there must not write when it wakes up."""
        answers = iter([True])

        def allowed_once() -> None:
            if not next(answers, False):
                self.refuse()

        client.before_write = allowed_once
        with pytest.raises(LeadershipLostError):
            await WRITES[verb][0](client)
        client.before_write = lambda: None
        server.answer({})
        await WRITES[verb][0](client)
        assert server.heads == len(server.asked) == 1, (
            "and what was held back does not leave with the next"
        )

    async def test_what_the_network_does_not_take_is_given_up_before_the_lease_is_over(
        self, server: Server
    ) -> None:
        """Else the kernel delivers it when the network is back, minutes later."""
        async with connected_to(server, write_seconds=5.0) as client:
            server.answer({})
            await client.change(api.SERVICE, KEY, [])
            connector = client.transport.client.rest_client.pool_manager.connector
            (((protocol, _),),) = connector._conns.values()
            sock = protocol.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000

    async def test_but_those_to_the_lease_do(self, server: Server, client: Client) -> None:
        client.before_write = self.refuse
        server.answer({})
        server.answer({})
        await client.create(LEASE, LEASE_BODY)
        await client.replace(LEASE, LEASE_BODY)
        assert [asked[0] for asked in server.asked] == ["POST", "PUT"]

    async def test_and_reading_needs_none(self, server: Server, client: Client) -> None:
        client.before_write = self.refuse
        server.answer({"a": 1})
        assert await client.get(api.SERVICE, Key("shop", "risk")) == {"a": 1}


@pytest.mark.parametrize(
    "text", ['{"kind": "Serv', "<html>please log in</html>", "[]", ""],
    ids=["cut", "a proxy's page", "a list", "nothing"],
)  # fmt: skip
async def test_an_answer_that_cannot_be_read_is_none(
    server: Server, client: Client, text: str
) -> None:
    """An error like any other: what is nobody's would end the resync or the lease's renewal."""
    server.answer(text)
    with pytest.raises(ApiError, match="not a JSON object") as caught:
        await client.get(api.SERVICE, KEY)
    assert caught.value.status == 0


async def test_a_watch_that_is_refused_is_an_error(server: Server, client: Client) -> None:
    server.answer({"reason": "Forbidden", "message": "no"}, 403)
    with pytest.raises(ApiError, match="Forbidden"):
        await anext(client.watch_one(LEASE, KEY, 5.0))


@pytest.mark.parametrize(
    ("status", "exists"), [(201, True), (404, False), (409, True), (403, True)]
)
async def test_whether_a_namespace_exists(
    server: Server, client: Client, status: int, exists: bool
) -> None:
    server.answer({}, status)
    assert await client.has_namespace("system", LEASE, {"spec": {}}) is exists
    ((method, path, query, _, body),) = server.asked
    assert (method, query["dryRun"]) == ("POST", "All"), "nothing is created"
    assert path == "/apis/coordination.k8s.io/v1/namespaces/system/leases"
    assert body["kind"] == "Lease"
