"""What a store said, short enough for a status, and without what is secret."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from urllib.parse import urlsplit, urlunsplit

LONGEST = 300
"""Characters of a store's own words."""
_SECRET_AT_LEAST = 4
"""A shorter value of a Secret, such as a user's name, may be part of any word."""

ACCESS = "check spec.model.credentialsSecret, or the identity of the pod, and what they may read"
AUTHORITY = "give the authority of the store's certificate in spec.model.caBundle"
REACH = (
    "check the address in spec.model.source, that its name resolves in the cluster, and that"
    " network policies and proxies let the pod reach it"
)
LATER = "the store is busy or down: the next attempt of the pod may succeed"
PLACE = "check spec.model.source, and that the artifact was pushed there"


def advice(status: int) -> str:
    """Return what to do about an HTTP status."""
    if status in (401, 403, 407):
        return ACCESS
    if status in (408, 429) or status >= 500:
        return LATER
    return PLACE


def of_body(body: bytes) -> str:
    """Return code and message of an error's body: XML of S3, Azure and Google, or JSON, or text."""
    text = body.decode("utf-8", "replace").strip()
    if code(text):
        return shorten(f"{code(text)} {_tag(text, 'Message')}")
    try:
        return shorten(" ".join(_of_json(json.loads(text))))
    except ValueError:
        return "" if "<html" in text.lower() else shorten(text)


def code(text: str) -> str:
    """Return the code in an XML error of an object store; empty if it is none."""
    return _tag(text, "Code")


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return found.group(1) if found else ""


def _of_json(answer: object) -> list[str]:
    """Return the texts of the keys that stores use: Google, OCI, MLflow, problem documents."""
    if isinstance(answer, list):
        return [text for each in answer for text in _of_json(each)]
    if not isinstance(answer, dict):
        return []
    texts: list[str] = []
    for key in ("error_code", "code", "title", "message", "detail", "errors", "error"):
        value = answer.get(key)
        texts += [value] if isinstance(value, str) else _of_json(value)
    return texts


def shorten(text: str) -> str:
    """Return a text on one line, cut after LONGEST characters, with no query in its URLs."""
    line = re.sub(r"(https?://[^\s\"'<>?]*)\?[^\s\"'<>]*", r"\1?...", " ".join(text.split()))
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """Return a text in which the values of the Secret are replaced, each line of them for itself.

    A message may have a value of several lines on one, with escapes between.
    """
    lines = {line.strip() for secret in secrets for line in secret.splitlines()}
    for secret in sorted(lines, key=len, reverse=True):
        if len(secret) >= _SECRET_AT_LEAST:
            text = text.replace(secret, "***")
    return text


def shown_url(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
