"""Specification of reading files from pods, against a real HTTP server."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from unit.operator.loopback import serving

from riskpredictor_operator.runtime.pod_http import PodReader, PodReadError, TooLargeError

FILE = b"x" * 200_000


@dataclass
class Pod:
    """A server in place of a pod."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        match request.path.removeprefix("/model/files/"):
            case "card.json":
                return web.Response(body=FILE)
            case "moved.json":
                return web.Response(status=302, headers={"Location": "/model/files/card.json"})
            case "zipped.json":
                # The reader asks for none; a bomb would be small until it is unpacked.
                body = gzip.compress(FILE)
                return web.Response(body=body, headers={"Content-Encoding": "gzip"})
            case "endless.json":
                stream = web.StreamResponse()
                await stream.prepare(request)
                while True:
                    await stream.write(FILE)
            case "broken.json":
                return web.Response(status=503)
        return web.Response(status=404)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    pod = Pod()
    async with serving(pod.answer) as url:
        pod.port = int(url.rpartition(":")[2])
        yield pod


@pytest.fixture
async def reader() -> AsyncIterator[PodReader]:
    reader = PodReader()
    yield reader
    await reader.close()


async def test_a_file(pod: Pod, reader: PodReader) -> None:
    read = await reader.read("127.0.0.1", pod.port, "/model/files/card.json", len(FILE))
    assert read == FILE


async def test_no_such_file(pod: Pod, reader: PodReader) -> None:
    assert await reader.read("127.0.0.1", pod.port, "/model/files/model.sig", 9) is None


@pytest.mark.parametrize("name", ["card.json", "endless.json", "zipped.json"])
async def test_no_more_is_read_than_allowed(pod: Pod, reader: PodReader, name: str) -> None:
    with pytest.raises(TooLargeError, match=r"has more than 199999 bytes$"):
        await reader.read("127.0.0.1", pod.port, f"/model/files/{name}", len(FILE) - 1)


async def test_another_status(pod: Pod, reader: PodReader) -> None:
    with pytest.raises(PodReadError, match=r"broken\.json answers 503$"):
        await reader.read("127.0.0.1", pod.port, "/model/files/broken.json", 9)


async def test_a_pod_cannot_send_the_operator_elsewhere(pod: Pod, reader: PodReader) -> None:
    with pytest.raises(PodReadError, match=r"moved\.json answers 302$"):
        await reader.read("127.0.0.1", pod.port, "/model/files/moved.json", len(FILE))
    assert pod.asked == ["/model/files/moved.json"]


async def test_nobody_there(pod: Pod, reader: PodReader) -> None:
    with pytest.raises(PodReadError, match=r"^http://127\.0\.0\.2:1/model/files/card\.json: "):
        await reader.read("127.0.0.2", 1, "/model/files/card.json", 9)


async def test_an_ipv6_address_is_put_in_brackets(reader: PodReader) -> None:
    with pytest.raises(PodReadError, match=r"^http://\[::1\]:1/card\.json: "):
        await reader.read("::1", 1, "/card.json", 9)


async def test_no_proxy_is_asked(
    pod: Pod, reader: PodReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.2:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.2:1")
    read = await reader.read("127.0.0.1", pod.port, "/model/files/card.json", len(FILE))
    assert read == FILE


async def test_closing_what_was_never_used() -> None:
    await PodReader().close()
