"""Specification of the patches of kopf: what each is for, shown on kopf as it is, and what it does.

If a test of "as it is" fails after an upgrade of kopf, its patch may be dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, cast

import kopf
import pytest
from aiohttp import web
from kopf._cogs.aiokits import aiotoggles
from kopf._cogs.clients import auth, watching
from kopf._cogs.clients.errors import APIClientError
from kopf._cogs.structs import credentials, references
from unit.operator.loopback import serving

from riskpredictor_operator.runtime import kopf_patches

Answer = Callable[[], web.Response]


def service(version: int, **labels: str) -> dict[str, Any]:
    metadata = {"name": "risk", "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata}


def line(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def _status(code: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: web.json_response({"code": code}, status=code, headers=named)


class Server:
    """Lists one object; its watch says what it is told to, and then nothing."""

    def __init__(self) -> None:
        self.lists: list[Answer] = []
        """Answers to lists before the right one."""
        self.watches: list[Answer] = []
        """The same for watches."""
        self.lines: list[bytes] = []
        self.asked: list[str] = []
        self.stuck: asyncio.Event | None = None
        """Set when a watch is asked for that gets no answer at all."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        watch = "watch" in request.query
        self.asked.append("watch" if watch else "list")
        faults = self.watches if watch else self.lists
        if faults:
            return faults.pop(0)()
        if watch and self.stuck:
            self.stuck.set()
            await asyncio.sleep(60)
        if not watch:
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [service(5)]})
        response = web.StreamResponse()
        await response.prepare(request)
        for told in self.lines:
            await response.write(told)
        await asyncio.sleep(60)
        return response


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(kopf_patches, "RESTART_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(kopf_patches, "NOT_SERVED_SECONDS", 0.0)
    answering = Server()
    async with serving(answering) as url:
        vault = credentials.Vault({"test": kopf.ConnectionInfo(server=url)})
        token = auth.vault_var.set(vault)
        yield answering
        auth.vault_var.reset(token)
        await vault.close()


async def first_events(
    count: int,
    settings: kopf.OperatorSettings | None = None,
    paused: aiotoggles.ToggleSet | None = None,
) -> list[Any]:
    """The first events that kopf gets of a watch of Services."""
    if settings is None:
        settings = kopf.OperatorSettings()
        settings.networking.error_backoffs = [0.01]
    events = watching.infinite_watch(
        settings=settings,
        resource=references.Resource("", "v1", "services", namespaced=True),
        namespace=None,
        operator_paused=paused,
    )
    seen: list[Any] = []
    async with asyncio.timeout(15), aclosing(cast(Any, events)):
        async for event in events:
            seen.append(event)
            if len(seen) == count:
                break
    return seen


def tap(seen: list[Any] | None = None, listed: list[str] | None = None) -> Any:
    """All patches, with a callback that finds news in changed labels only."""
    known: dict[str, Any] = {}

    def on_event(plural: str, kind: str | None, body: Any) -> bool:
        if seen is not None:
            seen.append((plural, kind))
        news: bool = known.get("labels") != body["metadata"]["labels"]
        known.update(body["metadata"])
        return news

    return kopf_patches.patched(on_event, ([] if listed is None else listed).append)


def no_json() -> web.Response:
    """What a proxy in between answers."""
    return web.Response(text="<html>proxy error</html>\n", content_type="text/html")


each_fault = pytest.mark.parametrize(
    ("where", "fault"),
    [
        pytest.param(
            "watches", lambda: web.Response(body=line("ERROR", {"code": 500, "message": "x"})),
            id="an ERROR event",
        ),
        pytest.param("watches", no_json, id="a line that is no JSON"),
        pytest.param("lists", no_json, id="a list that is no JSON"),
        pytest.param("watches", _status(410), id="410 for a watch"),
        pytest.param("lists", _status(410), id="410 for a page of a list"),
        pytest.param("lists", _status(404), id="a resource that is not served"),
    ],
)  # fmt: skip


class TestRestartAfterErrors:
    @each_fault
    async def test_kopf_as_it_is_ends(self, server: Server, where: str, fault: Answer) -> None:
        getattr(server, where).append(fault)
        with pytest.raises(Exception) as raised:  # noqa: PT011 - of five kinds
            await first_events(4)
        assert not isinstance(raised.value, TimeoutError)

    @each_fault
    async def test_patched_it_lists_again(self, server: Server, where: str, fault: Answer) -> None:
        getattr(server, where).append(fault)
        server.lines = [line("MODIFIED", service(6, a="b"))]
        with tap():
            events = await first_events(4 if where == "watches" else 3)
        assert events[-1]["object"] == service(6, a="b")
        assert server.asked.count("list") == 2

    async def test_what_no_restart_repairs_still_ends_it(self, server: Server) -> None:
        server.lists.append(_status(400))
        with tap(), pytest.raises(APIClientError):
            await first_events(1)


class TestIgnoreRetryAfterDates:
    DATE = "Wed, 21 Oct 2015 07:28:00 GMT"

    async def test_kopf_as_it_is_ends(self, server: Server) -> None:
        server.lists.append(_status(429, Retry_After=self.DATE))
        with pytest.raises(ValueError, match="could not convert"):
            await first_events(1)

    async def test_patched_it_waits_and_asks_again(self, server: Server) -> None:
        server.lists.append(_status(429, Retry_After=self.DATE))
        with tap():
            await first_events(2)
        assert server.asked == ["list", "list"]


class TestHidePauses:
    """A request of a watch is pending when kopf ends and cancels the future of its pauses."""

    async def _failures(self, server: Server) -> list[Any]:
        failures: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: failures.append(context)
        )
        server.stuck = asyncio.Event()
        watch = asyncio.create_task(first_events(4, paused=aiotoggles.ToggleSet(any)))
        await asyncio.wait_for(server.stuck.wait(), 15)
        (waiter,) = (t for t in asyncio.all_tasks() if t.get_name().startswith("pause-waiter"))
        waiter.cancel()
        await asyncio.sleep(0.1)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        return [type(failure["exception"]) for failure in failures]

    async def test_kopf_as_it_is_fails_an_assertion(self, server: Server) -> None:
        assert await self._failures(server) == [AssertionError]

    async def test_patched_it_ends_without_a_traceback(self, server: Server) -> None:
        with tap():
            assert await self._failures(server) == []


class TestLeaveSignalsAlone:
    """SIGTERM, twice, while kopf runs."""

    async def _failures(self) -> list[Any]:
        failures: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        received: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
        stop, ready = asyncio.Event(), asyncio.Event()
        settings = kopf.OperatorSettings()
        settings.scanning.disabled = True
        running = asyncio.create_task(
            kopf.operator(
                registry=kopf.OperatorRegistry(), settings=settings, standalone=True,
                clusterwide=True, vault=auth.vault_var.get(),
                identity=cast(Any, "test"), stop_flag=stop, ready_flag=ready,
            )
        )  # fmt: skip
        try:
            await asyncio.wait_for(ready.wait(), 15)
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0)
            stop.set()
            await asyncio.wait_for(running, 15)
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)
        # Others are about the server, which knows no namespaces.
        kinds = [type(failure["exception"]) for failure in failures]
        return [kind for kind in kinds if kind is asyncio.InvalidStateError] or received

    @pytest.mark.usefixtures("server")
    async def test_kopf_as_it_is_fails_on_its_future(self) -> None:
        assert await self._failures() == [asyncio.InvalidStateError]

    @pytest.mark.usefixtures("server")
    async def test_patched_the_programs_own_handler_gets_both(self) -> None:
        with tap():
            assert await self._failures() == [signal.SIGTERM] * 2


class TestTapEvents:
    @pytest.fixture(autouse=True)
    def _lines(self, server: Server) -> None:
        bookmark = line("BOOKMARK", service(8))
        news = line("MODIFIED", service(9, a="b"))
        server.lines = [line("MODIFIED", service(6)), bookmark, news]

    async def test_kopf_as_it_is_gets_every_event(self) -> None:
        kinds = [getattr(event, "name", event) for event in await first_events(5)]
        assert [k if isinstance(k, str) else k["type"] for k in kinds] == [
            None, "LISTED", "MODIFIED", "BOOKMARK", "MODIFIED",
        ]  # fmt: skip

    async def test_patched_it_gets_only_news_and_marks(self) -> None:
        seen: list[Any] = []
        listed: list[str] = []
        with tap(seen, listed):
            events = await first_events(4)
        assert events[1] is watching.Bookmark.LISTED
        assert [event["type"] for event in (events[0], *events[2:])] == [
            None, "BOOKMARK", "MODIFIED",
        ]  # fmt: skip
        assert seen == [("services", None), ("services", "MODIFIED"), ("services", "MODIFIED")]
        assert listed == ["services"]


async def test_kopf_itself_replaces_a_watch_that_says_nothing(server: Server) -> None:
    """A connection that died without a word, for which no patch is needed any more."""
    settings = kopf.OperatorSettings()
    assert settings.watching.inactivity_timeout <= 120
    settings.watching.inactivity_timeout = 0.1
    settings.watching.reconnect_backoff = 0.01
    with tap(), contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await first_events(9, settings)
    assert server.asked.count("watch") >= 3
