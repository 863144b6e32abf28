"""What the init container that fetches the model from a store tells of a failure.

It leaves one line of JSON as its termination message: ``{"reason": "ModelFetchFailed", "message":
"s3 models: 403 Forbidden"}``.
"""

from __future__ import annotations

import json

from riskpredictor_operator.core import conditions, reasons
from riskpredictor_operator.core.conditions import Explanation

MESSAGE_LIMIT = 2048
"""Characters of a message that are shown; a store may answer at length."""


def told(text: str) -> Explanation | None:
    """The reason and message in a termination message; None if it is not one of the fetch step's.

    Only reasons of the store are taken: whoever can write the message cannot make the operator say
    anything else.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    reason = str(found.get("reason")) if isinstance(found, dict) else ""
    words = found.get("message", "") if reason in reasons.OF_THE_STORE else None
    if not isinstance(words, str):
        return None
    # In one line, whatever the store answered. Half a character (a surrogate) would come back from
    # the API server as another one, and the status would never be as it was written.
    words = "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(words.split())
    )
    return Explanation(reason, conditions.shortened(words, MESSAGE_LIMIT))
