"""A proxy between the operator and the API server that fails on request.

Plain HTTP on loopback towards the operator, so that faults can be put into what passes; TLS with
the cluster's CA towards the API server. Tokens pass through.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    name: str
    status: int = 0
    """Answer with this HTTP status instead of asking the API server."""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    """Seconds before the request goes on."""
    lines: tuple[bytes, ...] | None = None
    """Instead of what a watch says: these lines, and then the end."""
    cut_after: int | None = None
    """Break the connection off after so many bytes of the answer."""


def _status(code: int, reason: str) -> bytes:
    body = {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": f"induced {code}",
    }  # fmt: skip
    return json.dumps(body).encode()


def _error_event(code: int, reason: str) -> bytes:
    return b'{"type":"ERROR","object":' + _status(code, reason) + b"}\n"


DROPPED = Fault("dropped", cut_after=0)
CUT = Fault("cut off in the middle", cut_after=400)
SLOW = Fault("delayed", delay=1.5)
TOO_MANY = Fault("429 with seconds", 429, (("Retry-After", "1"),))
TOO_MANY_DATE = Fault("429 with a date", 429, (("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),))
INTERNAL = Fault("500", 500)
UNAVAILABLE = Fault("503", 503)
GONE = Fault("410", 410)
GONE_EVENT = Fault("410 in the stream", lines=(_error_event(410, "Expired"),))
ERROR_EVENT = Fault("500 in the stream", lines=(_error_event(500, "InternalError"),))
TRUNCATED = Fault("truncated JSON", lines=(b'{"type":"MODIFIED","object":{"metadata":{"na',))
GARBAGE = Fault("a line that is no JSON", lines=(b"<html>proxy error</html>\n",))
UNAUTHORIZED = Fault("401", 401)

_REASONS = {
    401: "Unauthorized", 410: "Expired", 429: "TooManyRequests", 500: "InternalError",
    503: "ServiceUnavailable",
}  # fmt: skip

Choice = Callable[[web.Request], Fault | None]
"""Which fault a request meets; None: it passes."""


def is_watch(request: web.Request) -> bool:
    """Whether a request opens a watch of RiskPredictors or children, not of the Lease."""
    return "watch" in request.query and "/leases" not in request.path


class Proxy:
    """A context manager; runs in a thread of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config = yaml.safe_load(kubeconfig.read_text())
        cluster = self._config["clusters"][0]["cluster"]
        self._upstream = cluster["server"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: dict[int, web.Request] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.choose: Choice = lambda _: None
        self.met: Counter[str] = Counter()
        """How often each fault happened."""
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._flowing.set()
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def kubeconfig(self, path: Path) -> Path:
        """The same credentials, through the proxy."""
        config = {**self._config}
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        config["clusters"] = [{**config["clusters"][0], "cluster": cluster}]
        path.write_text(yaml.safe_dump(config))
        return path

    def cut(self) -> None:
        """Break off every connection that is open now."""
        self._do(self._abort_all())

    def hold(self) -> None:
        """Partition: nothing passes, in either direction, and nobody is told."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def release(self) -> None:
        """The end of the partition; what was held is lost."""
        self.cut()
        self._loop.call_soon_threadsafe(self._flowing.set)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._abort_all()
        await self._runner.cleanup()
        await self._session.close()

    async def _abort_all(self) -> None:
        for request in list(self._open.values()):
            _abort(request)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._open[id(request)] = request
        try:
            await self._flowing.wait()
            fault = self.choose(request)
            if fault is None:
                return await self._forward(request, None)
            self.met[fault.name] += 1
            await asyncio.sleep(fault.delay)
            if fault.status:
                text = _status(fault.status, _REASONS[fault.status]).decode()
                return web.Response(
                    status=fault.status, text=text, headers=fault.headers,
                    content_type="application/json",
                )  # fmt: skip
            if fault.lines is not None:
                return await self._instead(request, fault.lines)
            return await self._forward(request, fault.cut_after)
        finally:
            del self._open[id(request)]

    async def _instead(self, request: web.Request, lines: tuple[bytes, ...]) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        for line in lines:
            await answer.write(line)
        await answer.write_eof()
        return answer

    async def _forward(self, request: web.Request, cut_after: int | None) -> web.StreamResponse:
        body = await request.read()
        if cut_after == 0:
            _abort(request)
            return web.Response()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        try:
            async with self._session.request(
                request.method, self._upstream + request.raw_path, headers=headers,
                data=body or None, skip_auto_headers=["Content-Type"],
            ) as upstream:  # fmt: skip
                return await self._copy(request, upstream, cut_after)
        except aiohttp.ClientError:
            # The API server is away: so is this one.
            _abort(request)
            return web.Response()

    async def _copy(
        self, request: web.Request, upstream: aiohttp.ClientResponse, cut_after: int | None
    ) -> web.StreamResponse:
        kept = {k: v for k, v in upstream.headers.items() if k.lower() not in _HOP}
        answer = web.StreamResponse(status=upstream.status, headers=kept)
        await answer.prepare(request)
        sent = 0
        async for chunk in upstream.content.iter_any():
            await self._flowing.wait()
            sent += len(chunk)
            if cut_after is not None and sent > cut_after:
                await answer.write(chunk[: cut_after - sent] or chunk[:1])
                _abort(request)
                return answer
            await answer.write(chunk)
        await answer.write_eof()
        return answer


def _abort(request: web.Request) -> None:
    transport = request.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()
