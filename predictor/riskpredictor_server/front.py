"""The asynchronous front: answers the hot routes itself, hands every other one to Flask.

Bodies are collected on the event loop before anything else happens, so a client that stalls in
the middle of a body holds no thread, and health and readiness keep answering.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from math import inf
from time import perf_counter
from typing import Any

from riskpredictor_server.bodies import CLOSE, LARGE_BYTES, Bodies, BodyRefusedError
from riskpredictor_server.errors import Reply, problem
from riskpredictor_server.oip import BINARY_HEADER, infer_target
from riskpredictor_server.pages import Pages
from riskpredictor_server.service import Service
from riskpredictor_server.turns import Turns

log = logging.getLogger("riskpredictor")

_SWEEP = 0.1
_BODYLESS = frozenset(("GET", "HEAD", "OPTIONS"))
Work = Callable[[bytes, str, str], Reply]
"""From body, content type and request id to the reply."""


class Front:
    """An RSGI application: ``await front.__rsgi__(scope, protocol)``."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.lag = 0.0
        """Seconds that a ready callback lately waited for the loop."""
        self.answered = 0
        self._metrics = service.metrics
        self._max_lag = service.settings.max_lag
        self._next_close = self._after(0)
        self._bodies = Bodies(service)
        self._pages = Pages(service)
        self._turns = Turns(self._max_lag)
        self._gets: dict[str, Callable[[str], Reply]] = {
            "/health": lambda _: service.health(),
            "/ready": service.ready,
            "/metrics": lambda _: service.exposition(),
        }

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        started = perf_counter()
        metrics = self._metrics
        metrics.in_flight += 1
        headers, route = scope.headers, scope.path
        request_id = self.service.request_id(headers.get("x-request-id"))
        try:
            if route == "/predict" and scope.method == "POST":
                reply = await self._post(headers, protocol, request_id, self.service.predict)
            elif route in self._gets and scope.method == "GET":
                reply = self._gets[route](request_id)
            elif scope.method == "POST" and (target := infer_target(route)):
                route, name, version = target
                work = partial(self.service.infer, name, version, BINARY_HEADER in headers)
                reply = await self._post(headers, protocol, request_id, work)
            else:
                route = "page"
                # Flask counts what it answers itself.
                await self._page(scope, protocol, request_id)
                return
        except BodyRefusedError as refused:
            reply = refused.reply
        except Exception:
            where = {"request_id": request_id}
            log.exception("%s %s failed", scope.method, scope.path[:200], extra=where)
            detail = "the server failed; its log has the reason under this request_id"
            route, reply = "error", problem(500, detail, request_id)
        finally:
            metrics.in_flight -= 1
            self.answered += 1
        self._send(protocol, reply, request_id)
        self.service.observe(route, reply.status, perf_counter() - started, request_id)

    async def _post(self, headers: Any, protocol: Any, request_id: str, work: Work) -> Reply:
        """The reply of ``work`` to a body, unless that would have to wait too long."""
        if self.lag > self._max_lag:
            busy = self.service.busy(request_id, "overloaded: requests queue too long here")
            raise await self._bodies.refusal(busy, headers, aiter(protocol))
        body = await self._bodies.read(headers, protocol, request_id)
        content_type = headers.get("content-type", "")
        if len(body) < LARGE_BYTES:
            return work(body, content_type, request_id)
        try:
            if self._turns.too_long:
                return self.service.busy(request_id, "overloaded: batches queue too long here")
            return await self._turns.take(len(body), lambda: work(body, content_type, request_id))
        finally:
            self._bodies.release(body)

    async def _page(self, scope: Any, protocol: Any, request_id: str) -> None:
        if self._metrics.in_flight > self.service.settings.max_pending:
            busy = self.service.busy(request_id, "overloaded: too many requests at once")
            raise await self._bodies.refusal(busy, scope.headers, aiter(protocol))
        body = b""
        if scope.method not in _BODYLESS:
            body = await self._bodies.read(scope.headers, protocol, request_id)
        try:
            status, headers, data = await self._pages.answer(scope, body, request_id)
        finally:
            self._bodies.release(body)
        if self._closes():
            headers += CLOSE
        protocol.response_bytes(status, headers, data)

    def _send(self, protocol: Any, reply: Reply, request_id: str) -> None:
        headers = [
            ("Content-Type", reply.content_type),
            ("X-Request-Id", request_id),
            *self.service.headers,
        ]
        if reply.headers:
            headers += reply.headers
        if self._closes():
            headers += CLOSE
        protocol.response_bytes(reply.status, headers, reply.body)

    def _closes(self) -> bool:
        """Whether this answer ends its connection, and the client's next goes to another pod.

        Kubernetes balances connections, not requests: a pod that a roll-out or the autoscaler adds
        gets nothing from clients that keep theirs. So some answers, at random, end theirs.
        """
        if self.service.draining:
            return True
        if self.answered < self._next_close:
            return False
        self._next_close = self._after(self.answered)
        return True

    def _after(self, answered: int) -> float:
        mean = self.service.settings.keepalive_requests
        return answered + random.randint(1, 2 * mean) if mean else inf  # noqa: S311

    async def watch(self) -> None:
        """Measure the loop's lag, and end bodies that take too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _SWEEP
            await asyncio.sleep(_SWEEP)
            self.lag = loop.time() - due
            self._bodies.sweep()
