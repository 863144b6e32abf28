"""Ports that somebody renumbered under our name.

Server-side apply merges ports by number, so it would add ours beside the renumbered one, and the
API server refuses two of one name. Such an entry has to go before the apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Body, Resource


def renumbered(resource: Resource, rendered: Body, live: Body) -> tuple[str, list[Any]] | None:
    """Where the list of ports stands (JSON pointer) and what it should hold; None if all is well.

    Ports of other names are others' and stay.
    """
    if resource == api.SERVICE:
        mended = _mended(rendered["spec"]["ports"], live["spec"].get("ports") or (), "port")
        return None if mended is None else ("/spec/ports", mended)
    if resource != api.DEPLOYMENT:
        return None
    ours = rendered["spec"]["template"]["spec"]["containers"][0]
    for index, container in enumerate(live["spec"]["template"]["spec"]["containers"]):
        if container["name"] == ours["name"]:
            mended = _mended(ours["ports"], container.get("ports") or (), "containerPort")
            pointer = f"/spec/template/spec/containers/{index}/ports"
            return None if mended is None else (pointer, mended)
    return None


def _mended(ours: Sequence[Body], live: Sequence[Body], number: str) -> list[Any] | None:
    names = {port["name"] for port in ours}
    numbers = {(port[number], port["protocol"]) for port in ours}
    others = [port for port in live if port.get("name") not in names]
    usurped = [
        port
        for port in live
        if port.get("name") in names and (port[number], port.get("protocol")) not in numbers
    ]
    return [*ours, *others] if usurped else None
