"""Answers as bytes: one object each, whose constant parts are encoded once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus

from riskpredictor_server.api.problems import Reply

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BODILESS = frozenset((204, 304))
_CLOSE = b"Connection: close\r\n"

Headers = Iterable[tuple[str, str]]


class Wire:
    """Writes heads and bodies; :meth:`tick` keeps the Date."""

    def __init__(self, constant: Headers) -> None:
        """``constant`` headers go with every reply."""
        self._constant = _lines(constant)
        self._second = 0
        self._date = b""
        self._starts: dict[tuple[int, str], bytes] = {}
        """Everything up to the Content-Type, of this second."""
        self.tick()

    def tick(self) -> None:
        """To be called at least once a second (RFC 9110, 6.6.1)."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = b"Date: %b\r\n" % http_date(second).encode()
            self._starts.clear()

    def reply(
        self, reply: Reply, request_id: str, *, close: bool, head_only: bool = False
    ) -> bytes:
        """The whole answer; of one to HEAD without the body, but with its length."""
        start = self._starts.get(reply[:2]) or self._start(reply.status, reply.content_type)
        more = _lines(reply.headers) if reply.headers else b""
        if close:
            more += _CLOSE
        body = reply.body
        return b"%bX-Request-Id: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
            start,
            request_id.encode(),
            more,
            len(body),
            b"" if head_only else body,
        )

    def page(self, status: int, headers: Headers, body: bytes, *, close: bool) -> bytes:
        """An answer that has all its headers but those of the connection."""
        framing = b""
        given = {name.lower() for name, _ in headers}
        if status not in _BODILESS and "content-length" not in given:
            framing = b"Content-Length: %d\r\n" % len(body)
        # Flask dates its files itself.
        date = b"" if "date" in given else self._date
        if close:
            framing += _CLOSE
        return b"%b%b%b%b\r\n%b" % (_status(status), date, _lines(headers), framing, body)

    def _start(self, status: int, content_type: str) -> bytes:
        kind = _lines([("Content-Type", content_type)])
        start = _status(status) + self._date + self._constant + kind
        # Few pairs exist; none of them is a client's to choose.
        self._starts[status, content_type] = start
        return start


_KNOWN = frozenset(status.value for status in HTTPStatus)


def http_date(second: int) -> str:
    """IMF-fixdate, whatever the locale."""
    t = time.gmtime(second)
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{day}, {t.tm_mday:02} {month} {t.tm_year} {clock} GMT"


def _status(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in _KNOWN else "Unknown"
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())


def _lines(headers: Headers) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
