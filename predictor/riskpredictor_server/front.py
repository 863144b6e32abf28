"""The application behind the connections: answers the hot routes itself, leaves others to Flask.

Bodies are complete before anything is done with them, so a client that stalls in the middle of one
holds no thread, and health and readiness keep answering.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, NamedTuple

from riskpredictor_server.api.inference_protocol import BINARY_HEADER, infer_target
from riskpredictor_server.api.problems import JSON, Reply, problem
from riskpredictor_server.api.service import Service
from riskpredictor_server.http.budget import LARGE_BYTES, Budget, busy
from riskpredictor_server.http.request import Request
from riskpredictor_server.http.wire import Wire
from riskpredictor_server.pages import Pages
from riskpredictor_server.turns import Turns

log = logging.getLogger("riskpredictor")

CLIENT_GONE = 499
"""Status in metrics for a client that left before its answer."""
LAG_SECONDS = 0.1
"""Between two looks at the loop's lag."""
_PROBES = frozenset(("/health", "/ready", "/metrics"))


class Work(NamedTuple):
    """A hot route."""

    route: str
    call: Callable[[bytes, str, str], Reply]
    """From body, content type and request id."""
    predicts: bool = False


class Front:
    """Implements http.application.Application over one Service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        settings = service.settings
        self.budget = Budget(
            settings.max_body_bytes, settings.max_pending_bytes, settings.max_pending
        )
        self.lag = 0.0
        """Seconds that a ready callback lately waited for the loop."""
        self.answered = 0
        self.wire = Wire(service.headers)
        self._metrics = service.metrics
        self._max_lag = settings.max_lag
        self._next_close = self._after(0)
        self._pages = Pages(service)
        self._turns = Turns(self._max_lag)
        self._hot = {
            (b"POST", b"/predict"): Work("/predict", service.predict, predicts=True),
            (b"GET", b"/health"): Work("/health", lambda *_: service.health()),
            (b"GET", b"/ready"): Work("/ready", lambda _body, _type, id_: service.ready(id_)),
            (b"GET", b"/metrics"): Work("/metrics", lambda *_: service.exposition()),
        }

    def begin(self, request: Request) -> Reply | None:
        """Find who answers, and whether that would have to wait too long."""
        request.started = perf_counter()
        self._metrics.in_flight += 1
        given = b"x-request-id" in request.headers
        request.id = self.service.request_id(request.header(b"x-request-id") if given else None)
        work = self._hot.get((request.method, request.target)) or self._find(request)
        request.handler = work
        request.route = work.route if work else "page"
        if request.crowded:
            # Nobody may keep one of the few places that are meant for probes.
            request.keep_alive = False
            if request.route not in _PROBES:
                return busy("too many connections", request.id)
        if work is None:
            if self._metrics.in_flight > self.service.settings.max_pending:
                return busy("too many requests at once", request.id)
            if self.budget.free < 0:
                return busy("answers that nobody reads take all the memory", request.id)
        elif work.predicts and self.lag > self._max_lag:
            return busy("requests queue too long here", request.id)
        return None

    def _find(self, request: Request) -> Work | None:
        """Who answers a target that is spelled in another way, or names a model."""
        path, _, _ = request.split()
        work = self._hot.get((request.method, path))
        if work is None and request.method == b"POST":
            target = infer_target(path.decode("utf-8", "replace"))
            if target:
                route, name, version = target
                binary = BINARY_HEADER.encode() in request.headers
                infer = partial(self.service.infer, name, version, binary)
                work = Work(route, infer, predicts=True)
        return work

    def answer(self, request: Request, body: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        """The answer, or of a page or a large body the promise of one."""
        work: Work | None = request.handler
        if work is None:
            return self._page(request, body)
        if work.predicts and len(body) >= LARGE_BYTES:
            return self._large(request, work, body)
        try:
            reply = work.call(body, _content_type(request), request.id)
        except Exception as error:
            reply = self._failed(request, error)
        return self._finish(request, reply)

    async def _large(self, request: Request, work: Work, body: bytes) -> bytes:
        def call() -> Reply:
            if self.budget.free < 0:
                return busy("answers that nobody reads take all the memory", request.id)
            return work.call(body, _content_type(request), request.id)

        try:
            if self._turns.too_long:
                reply = busy("batches queue too long here", request.id)
            else:
                reply = await self._turns.take(len(body), call)
        except Exception as error:
            reply = self._failed(request, error)
        return self._finish(request, reply)

    async def _page(self, request: Request, body: bytes) -> bytes:
        # Flask counts what it is given.
        request.route = ""
        try:
            status, headers, data = await self._pages.answer(request, body)
            self._end(request)
            return self.wire.page(status, headers, data, close=not request.keep_alive)
        except Exception as error:
            return self._finish(request, self._failed(request, error))

    def refuse(self, request: Request, reply: Reply) -> bytes:
        """Without its body."""
        return self._finish(request, reply)

    def fail(self, request: Request, status: int, detail: str) -> bytes:
        """The last answer of a connection."""
        request.keep_alive = False
        if not request.started:
            request.started = perf_counter()
            self._metrics.in_flight += 1
            request.id = self.service.request_id(None)
            request.route = "malformed"
        return self._finish(request, problem(status, detail, request.id))

    def gone(self, request: Request) -> None:
        """Nobody is there to read an answer."""
        if not request.ended and request.route:
            seconds = perf_counter() - request.started
            self.service.observe(request.route, CLIENT_GONE, seconds, request.id)
        self._end(request)

    def drop(self, request: Request) -> None:
        """It will be asked again, over another connection."""
        self._end(request)

    def _finish(self, request: Request, reply: Reply) -> bytes:
        self._end(request)
        data = self.wire.reply(
            reply,
            request.id,
            close=not request.keep_alive,
            head_only=request.method == b"HEAD",
        )
        seconds = perf_counter() - request.started
        self.service.observe(request.route, reply.status, seconds, request.id)
        return data

    def _end(self, request: Request) -> None:
        # What was no request, and was not answered either, was never counted in.
        if request.ended or not request.started:
            return
        request.ended = True
        self._metrics.in_flight -= 1
        self.answered += 1
        if self.service.draining:
            request.keep_alive = False
        elif self.answered >= self._next_close:
            # Kubernetes balances connections, not requests: a pod that a roll-out or the
            # autoscaler adds gets nothing from clients that keep theirs. So some answers end
            # theirs.
            self._next_close = self._after(self.answered)
            request.keep_alive = False

    def _after(self, answered: int) -> float:
        mean = self.service.settings.keepalive_requests
        return answered + random.randint(1, 2 * mean) if mean else inf  # noqa: S311

    def _failed(self, request: Request, error: Exception) -> Reply:
        where = {"request_id": request.id}
        path = request.target[:200].decode("latin-1")
        log.error("%s %s failed", request.method.decode(), path, exc_info=error, extra=where)
        request.route = "error"
        detail = "the server failed; its log has the reason under this request_id"
        return problem(500, detail, request.id)

    async def watch(self) -> None:
        """Measure the loop's lag, and keep the date, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.lag = loop.time() - due
            self.wire.tick()


def _content_type(request: Request) -> str:
    value = request.headers.get(b"content-type", b"")
    return JSON if value == b"application/json" else request.header(b"content-type")
