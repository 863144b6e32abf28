"""Reading on after a request that asked to change the protocol, which is never done here.

Java's HttpClient asks for h2c by default, with a POST's body after it. The
parser stops there, so another one, told only how the body is framed, reads the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from httptools import HttpRequestParser

from riskpredictor_server.http.request import Request


class _Rest:
    """What of a message comes after its head."""

    def __init__(self, on_body: Callable[[bytes], None], on_complete: Callable[[], None]) -> None:
        self.on_body = on_body
        self.on_message_complete = on_complete


def parser_of_rest(
    request: Request, on_body: Callable[[bytes], None], on_complete: Callable[[], None]
) -> tuple[Any, bytes]:
    """A parser, and the head to feed it before the rest of the message."""
    framing = b"Transfer-Encoding: chunked"
    if not request.chunked:
        framing = b"Content-Length: %d" % request.length
    head = b"POST / HTTP/1.1\r\nConnection: close\r\n%b\r\n\r\n" % framing
    return HttpRequestParser(_Rest(on_body, on_complete)), head
