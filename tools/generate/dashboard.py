"""deploy/monitoring/dashboard.json: the Grafana dashboard, from dashboard_panels.yaml.

So all panels have the same legend, tooltip and data source, and a change reads as one line.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from generate import ROOT

PANELS = Path(__file__).with_name("dashboard_panels.yaml")
DASHBOARD = ROOT / "deploy" / "monitoring" / "dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
"""Columns of Grafana's grid."""

Body = dict[str, Any]


def files() -> Mapping[Path, bytes]:
    """The dashboard."""
    frame, kinds, rows = yaml.safe_load_all(PANELS.read_text())
    panels = [{"id": n, **panel} for n, panel in enumerate(_placed(kinds, rows), 1)]
    return {DASHBOARD: f"{json.dumps({**frame, 'panels': panels}, indent=2)}\n".encode()}


def _placed(kinds: Mapping[str, Body], rows: Mapping[str, list[Body]]) -> Iterator[Body]:
    """Rows of panels, laid out from left to right and from top to bottom."""
    top = 0
    for title, panels in rows.items():
        row = {"type": "row", "title": title, "collapsed": False, "panels": []}
        yield {"gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}, **row}
        top += 1
        left = height = 0
        for panel in panels:
            name, width = panel.get("kind", "timeseries"), panel.get("width", 8)
            kind = kinds[name]
            if left + width > WIDTH:
                top, left, height = top + height, 0, 0
            where = {"x": left, "y": top, "w": width, "h": kind["height"]}
            yield {"gridPos": where, "type": name, **_panel(kind, panel)}
            left, height = left + width, max(height, kind["height"])
        top += height


def _panel(kind: Body, panel: Body) -> Body:
    limits = {None: panel.get("first", "green"), **panel.get("limits", {})}
    steps = [{"color": color, "value": value} for value, color in limits.items()]
    defaults = {
        "unit": panel.get("unit", "short"),
        "thresholds": {"mode": "absolute", "steps": steps},
        **({"min": 0, "max": panel["max"]} if "max" in panel else {}),
        **kind.get("defaults", {}),
    }
    if panel.get("stacked"):
        stacked = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30}
        defaults["custom"] = defaults["custom"] | stacked
    if "limits" in panel and "custom" in defaults:
        defaults["custom"] = defaults["custom"] | {"thresholdsStyle": {"mode": "dashed"}}
    body = {
        "title": panel["title"],
        "description": panel["description"],
        "datasource": SOURCE,
        "targets": [
            {
                "refId": ref,
                "datasource": SOURCE,
                "expr": query["expr"],
                "legendFormat": query["legend"],
                **kind["query"],
            }
            for ref, query in zip(string.ascii_uppercase, panel["queries"], strict=False)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": kind.get("overrides", [])},
        "options": kind["options"] | ({"textMode": panel["text"]} if "text" in panel else {}),
    }
    if "columns" in panel:
        body["transformations"] = _one_row_each(panel["columns"])
    return body


def _one_row_each(columns: Mapping[str, str]) -> list[Body]:
    """Join the queries' answers by their labels, and name the columns in their order."""
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
