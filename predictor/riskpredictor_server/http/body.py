"""The body of the request that a connection is receiving: taken in, or dropped."""

from __future__ import annotations

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.http.budget import DRAIN_BYTES


class Body:
    """Collects one body after the other; a small one that arrives at once is never copied."""

    __slots__ = ("_first", "_rest", "limit", "refusal", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.refusal: Reply | None = None
        """Set for a body that is not wanted: its bytes are dropped."""
        self.size = 0
        self._first = b""
        self._rest: bytearray | None = None

    def add(self, data: bytes) -> bool:
        """Take in or drop; False when that is more than may come."""
        self.size += len(data)
        if self.refusal is not None:
            return self.size <= DRAIN_BYTES
        if self.size > self.limit:
            return False
        if not self._first:
            self._first = data
        elif self._rest is None:
            # One array, because chunks of one byte would be objects of forty.
            self._rest = bytearray(self._first)
            self._rest += data
        else:
            self._rest += data
        return True

    def refuse(self, reply: Reply) -> None:
        """Let go of what came so far, and drop what still comes."""
        self.take()
        self.refusal = reply

    def take(self) -> bytes | Reply:
        """What a complete body amounts to; ready for the next one afterwards."""
        refusal, first, rest = self.refusal, self._first, self._rest
        self.refusal, self._first, self._rest, self.size = None, b"", None, 0
        if refusal is not None:
            return refusal
        return first if rest is None else bytes(rest)
