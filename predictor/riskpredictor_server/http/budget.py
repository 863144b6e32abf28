"""What all connections together may keep: unfinished bodies, large bodies, unread answers."""

from __future__ import annotations

from riskpredictor_server.api.problems import RETRY, Reply, problem
from riskpredictor_server.http.request import Request

LARGE_BYTES = 4096
"""From here on a body (about fifty records, half a millisecond of work) is a large one: it counts
against the memory of all bodies and waits for its turn. Smaller ones are bounded by their number,
so slow uploads never hold up single predictions."""
DRAIN_BYTES = 16_777_216
"""Most of a refused body that is read and dropped, so that its client reads why."""
DRAIN_SECONDS = 2.0


def busy(detail: str, request_id: str) -> Reply:
    """Overload: say so at once rather than let everybody wait."""
    return problem(503, f"overloaded: {detail}", request_id, headers=RETRY)


class Budget:
    """Admission by number and memory. Whatever is taken is given back by the connection."""

    def __init__(self, max_body: int, max_memory: int, max_unfinished: int) -> None:
        """Bytes of one body, bytes of all large ones, number of those that are still arriving."""
        self.max_body = max_body
        self.free = max_memory
        """Below zero when answers that nobody reads take more than there was."""
        self.unfinished = 0
        """Bodies that did not come in one piece with their head."""
        self.dropping = 0
        self._most = max_unfinished

    def admit(self, request: Request) -> Reply | None:
        """The refusal of an announced body, or None with its memory reserved."""
        if request.length > self.max_body:
            return self.too_large(request)
        # Of unknown length is as much as may come, until it is there.
        size = self.max_body if request.chunked else request.length
        if size >= LARGE_BYTES:
            if size > self.free:
                return busy("large bodies take all the memory meant for them", request.id)
            self.free -= size
            request.reserved = size
        return None

    def too_large(self, request: Request) -> Reply:
        """413."""
        return problem(413, f"the body may have at most {self.max_body} bytes", request.id)

    def await_rest(self, request: Request) -> Reply | None:
        """Count a body whose end has not come yet, or refuse that as well."""
        if self.unfinished >= self._most:
            return busy("too many unfinished request bodies", request.id)
        self.unfinished += 1
        return None

    def may_drop(self) -> bool:
        """Count a body that is read to be dropped; False if enough of them are."""
        if self.dropping >= self._most:
            return False
        self.dropping += 1
        return True

    def settle(self, request: Request, size: int) -> None:
        """Keep only what a complete body of ``size`` bytes takes."""
        keep = size if size >= LARGE_BYTES else 0
        self.free += request.reserved - keep
        request.reserved = keep

    def release(self, request: Request) -> None:
        """Give back the memory of a body that is answered or gone."""
        self.free += request.reserved
        request.reserved = 0
