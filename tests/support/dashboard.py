"""The Grafana dashboard as its tests read it: panels, queries, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BUILT_IN = {"__rate_interval", "__all"}
"""Names that Grafana itself declares."""
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")


@dataclass(frozen=True)
class Query:
    """One query of a panel."""

    panel: str
    ref: str
    expr: str
    legend: str

    def __str__(self) -> str:
        return f"{self.panel} {self.ref}"


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All panels that draw something, in reading order."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Mapping[str, Any]) -> list[Query]:
    """Every query of every panel."""
    return [
        Query(panel["title"], target["refId"], target["expr"], target["legendFormat"])
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def declared(dashboard: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The dashboard's own variables by name."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def used(dashboard: Mapping[str, Any]) -> set[str]:
    """Names of the variables that stand in some text of the dashboard."""
    return {name for text in _texts(dashboard) for name in _VARIABLE.findall(text)}


def filled(expr: str, values: Mapping[str, str]) -> str:
    """The expression as Grafana sends it, its variables replaced."""
    return _VARIABLE.sub(lambda found: values[found[1]], expr)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
