"""Reads small files from pods over HTTP."""

from __future__ import annotations

from typing import Protocol

import aiohttp


class PodReadError(Exception):
    """A pod did not answer as expected; says how."""


class TooLargeError(PodReadError):
    """An answer is longer than it may be."""


class Reader(Protocol):
    """Reads a file from a pod; as ``PodReader``."""

    async def read(self, address: str, port: int, path: str, limit: int) -> bytes | None:
        """The body of the answer; None if there is no such file."""

    async def close(self) -> None:
        """Close the connections."""


class PodReader:
    """HTTP requests to pods, without proxy, redirects or reuse of connections."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def read(self, address: str, port: int, path: str, limit: int) -> bytes | None:
        """The body of an answer to GET; None if there is nothing at the path (404).

        The time limit is the caller's.

        Args:
            address: IP address of the pod.
            port: its port.
            path: of the URL, from the slash on.
            limit: bytes that are read at most.

        Raises:
            PodReadError: no answer, or another status than 200 and 404.
            TooLargeError: more bytes than the limit.
        """
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}{path}"
        headers = {"Accept-Encoding": "identity"}
        try:
            async with self._open().get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise PodReadError(f"{url} answers {answer.status}")
                return await _body(answer, url, limit)
        except (aiohttp.ClientError, OSError) as error:
            raise PodReadError(f"{url}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A pod's address is soon another pod's, so no connection is kept.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self._session


async def _body(answer: aiohttp.ClientResponse, url: str, limit: int) -> bytes:
    body = b""
    async for chunk in answer.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > limit:
            raise TooLargeError(f"{url} has more than {limit} bytes")
    return body
