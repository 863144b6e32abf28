"""Why a model cannot be fetched: a reason that the operator shows, and a message with the fix."""

from __future__ import annotations

import json

NOT_FOUND = "ModelNotFound"
"""The store says that there is no such bucket, path, file, tag or version."""
DIGEST_MISMATCH = "ModelDigestMismatch"
"""The bytes are not the declared ones."""
SIGNATURE_INVALID = "ModelSignatureInvalid"
"""The signature is missing, or not by the declared key, or of other files."""
FETCH_FAILED = "ModelFetchFailed"
"""The store does not answer, or refuses: credentials, TLS, DNS, time limits."""
REJECTED = "ModelRejected"
"""The bytes are the declared ones, but no model that this server can serve."""
TERMINATION_BYTES = 4096
"""What Kubernetes keeps of a termination log."""


class StoreError(Exception):
    """The model cannot be fetched; ``message`` says why and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class TransientError(Exception):
    """A failure of one attempt that may pass by itself; only ``Retries`` catches it."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message, self.retry_after = message, retry_after


def termination_line(reason: str, message: str) -> bytes:
    """Return the reason as one line of JSON that fits into a termination log."""
    while True:
        line = json.dumps({"reason": reason, "message": message}, ensure_ascii=False).encode()
        if len(line) <= TERMINATION_BYTES:
            return line
        message = message[: len(message) * 9 // 10 - 3] + "..."
