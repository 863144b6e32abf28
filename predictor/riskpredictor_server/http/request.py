"""One request, as far as its head tells."""

from __future__ import annotations

import asyncio
import re
from typing import Any

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?]*)")


class Request:
    """A parsed head, and what connection and application note about its request."""

    __slots__ = (
        "chunked",
        "crowded",
        "ended",
        "expects",
        "fields",
        "handler",
        "headers",
        "id",
        "keep_alive",
        "length",
        "method",
        "reserved",
        "route",
        "started",
        "target",
        "transport",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        fields: list[tuple[bytes, bytes]],
        keep_alive: bool,
        transport: asyncio.Transport,
    ) -> None:
        """``fields`` are names in lower case with their values, in the order of arrival."""
        self.method = method
        self.target = target
        self.fields = fields
        self.headers = dict(fields)
        """The last of each name; rules.py refuses repetition where that would matter."""
        self.keep_alive = keep_alive
        """Whether its answer leaves the connection open; the application may say no, too."""
        self.transport = transport
        self.length = 0
        """Declared bytes of the body."""
        self.chunked = False
        self.expects = False
        """Whether the client waits for 100 Continue before it sends the body."""
        self.crowded = False
        """Whether it came over a connection beyond the limit."""
        self.reserved = 0
        """Bytes of the budget of large bodies that it holds."""
        self.ended = False
        self.id = ""
        self.route = ""
        self.started = 0.0
        self.handler: Any = None

    def header(self, name: bytes) -> str:
        """A value without the white space around it, "" if absent; ``name`` in lower case."""
        return self.headers.get(name, b"").strip().decode("latin-1")

    def split(self) -> tuple[bytes, bytes, bytes]:
        """Path with its escapes resolved, query, and the host of an absolute target."""
        target, host = self.target, b""
        if not target.startswith(b"/") and (absolute := _ABSOLUTE.match(target)):
            host, target = absolute[1], target[absolute.end() :]
        path, _, query = target.partition(b"?")
        return _ESCAPE.sub(_unescaped, path) or b"/", query, host


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))
