"""Who set a field, by the API server's own bookkeeping (``metadata.managedFields``)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import Difference, below
from riskpredictor_operator.core.refusals import ADMISSION
from riskpredictor_operator.kube import Body


def manager_of(body: Body, difference: Difference) -> str:
    """The field manager that set a field to what was found, the latest if there are several.

    ADMISSION if it is the operator itself, for then the value was changed in its own write; empty
    if nobody claims the field, as after its removal.
    """
    entries = body["metadata"].get("managedFields") or ()
    claims = [
        (entry.get("time", ""), entry["manager"] not in api.OWN_MANAGERS, entry["manager"])
        for entry in entries
        if any(
            path.startswith(difference.path) or difference.path.startswith(path)
            for path in _leaves(entry.get("fieldsV1") or {}, "")
        )
    ]
    others = [claim for claim in claims if claim[1]]
    if others:
        return str(max(others)[2])
    return ADMISSION if claims else ""


def _leaves(fields: Body, path: str) -> Iterator[str]:
    """The paths that an entry claims, written as in ``Difference``."""
    for name, inner in fields.items():
        kind, _, value = name.partition(":")
        if kind == "f":
            at = below(path, value)
        elif kind == "k":
            at = f"{path}[{'/'.join(str(part) for part in json.loads(value).values())}]"
        else:
            continue
        if any(key != "." for key in inner):
            yield from _leaves(inner, at)
        else:
            yield at
