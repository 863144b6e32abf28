"""HTTP replies, and errors as problem documents (RFC 9457, ``application/problem+json``)."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

Headers = tuple[tuple[str, str], ...]
RETRY: Headers = (("Retry-After", "1"),)

TITLES = {
    400: "Malformed request",
    404: "Not found",
    405: "Method not allowed",
    408: "Request too slow",
    413: "Request body too large",
    415: "Unsupported media type",
    417: "Expectation failed",
    422: "Invalid patient record",
    431: "Request head too large",
    500: "Internal error",
    501: "Not implemented",
    503: "Service unavailable",
    505: "HTTP version not supported",
}


class RefusedError(Exception):
    """Raised to refuse a request; the application answers with a problem document."""

    def __init__(self, status: int, detail: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


class Reply(NamedTuple):
    """An HTTP answer, independent of the server or framework that sends it."""

    status: int
    content_type: str
    body: bytes
    headers: Headers = ()
    """One of the server's own names takes its place."""


def json_reply(body: Any, status: int = 200) -> Reply:
    """Build a JSON answer."""
    return Reply(status, JSON, orjson.dumps(body))


def problem(
    status: int,
    detail: str,
    request_id: str,
    *,
    headers: Headers = (),
    **extra: Any,
) -> Reply:
    """Build a problem document; ``extra`` are further members.

    ``type`` is about:blank: no problem means more than its status code (RFC 9457, 4.2.1).
    """
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Request failed"),
        "status": status,
        "detail": detail,
        "request_id": request_id,
        **extra,
    }
    return Reply(status, PROBLEM_JSON, orjson.dumps(body), headers)


def is_of_protocol(path: str) -> bool:
    """Whether a path is of the Open Inference Protocol, or of what was there before it.

    /v1 is not served, but it is the default of KServe's client, which has to read that.
    """
    return (path + "/").startswith(("/v2/", "/v1/"))


def for_path(reply: Reply, path: str) -> Reply:
    """Return a reply as clients of ``path`` read it.

    Below /v2 an error is plain JSON with the member ``error``: clients of the Open Inference
    Protocol fail on the media type of problem documents. It keeps the members of one.
    """
    if reply.content_type != PROBLEM_JSON or not is_of_protocol(path):
        return reply
    document = orjson.loads(reply.body)
    body = orjson.dumps({"error": document["detail"], **document})
    return reply._replace(content_type=JSON, body=body)
