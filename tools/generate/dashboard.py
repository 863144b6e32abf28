"""deploy/monitoring/dashboard.json: the Grafana dashboard, from dashboard_panels.yaml.

So all panels have the same legend, tooltip and data source, and a change reads as one line.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from generate import ROOT

PANELS = Path(__file__).with_name("dashboard_panels.yaml")
DASHBOARD = ROOT / "deploy" / "monitoring" / "dashboard.json"

Body = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
DECLARED = "riskpredictor_operator_riskpredictor_ready"
"""The series that names every RiskPredictor, served or not."""
WIDTH = 24
"""Columns of Grafana's grid."""
HEIGHT = {"timeseries": 8, "table": 8, "stat": 4}


def files() -> Mapping[Path, bytes]:
    """The dashboard."""
    body = dashboard(yaml.safe_load(PANELS.read_text()))
    return {DASHBOARD: f"{json.dumps(body, indent=2)}\n".encode()}


def dashboard(rows: Mapping[str, list[Body]]) -> Body:
    """The whole dashboard."""
    return {
        "uid": "riskpredictor",
        "title": "RiskPredictor",
        "description": "The operator, and the predictors that it keeps.",
        "tags": ["riskpredictor"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": _variables()},
        "panels": _placed(rows),
    }


def _variables() -> list[Body]:
    chosen = f'{DECLARED}{{namespace=~"$namespace"}}'
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _choice("namespace", "Namespace", f"label_values({DECLARED}, namespace)"),
        _choice("predictor", "Predictor", f"label_values({chosen}, name)"),
    ]


def _choice(name: str, label: str, query: str) -> Body:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def _placed(rows: Mapping[str, list[Body]]) -> list[Body]:
    """Rows of panels, laid out from left to right and from top to bottom."""
    placed: list[Body] = []
    top = 0
    for title, panels in rows.items():
        where = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        row = {"type": "row", "title": title, "collapsed": False, "panels": []}
        placed.append({"id": len(placed) + 1, "gridPos": where, **row})
        top += 1
        left = height = 0
        for panel in panels:
            width, kind = panel.get("width", 8), panel.get("kind", "timeseries")
            if left + width > WIDTH:
                top, left, height = top + height, 0, 0
            where = {"x": left, "y": top, "w": width, "h": HEIGHT[kind]}
            placed.append({"id": len(placed) + 1, "gridPos": where, **_panel(kind, panel)})
            left, height = left + width, max(height, HEIGHT[kind])
        top += height
    return placed


def _panel(kind: str, panel: Body) -> Body:
    body = {
        "type": kind,
        "title": panel["title"],
        "description": panel["description"],
        "datasource": SOURCE,
        "targets": [
            {"refId": ref, "datasource": SOURCE, **_query(kind, query)}
            for ref, query in zip(string.ascii_uppercase, panel["queries"], strict=False)
        ],
        "fieldConfig": {
            "defaults": {
                "unit": panel.get("unit", "short"),
                "thresholds": {"mode": "absolute", "steps": _steps(panel)},
                **_looks(kind, panel),
            },
            "overrides": _OVERRIDES if kind == "table" else [],
        },
        "options": _options(kind, panel),
    }
    if kind == "table":
        body["transformations"] = _one_row_each(panel["columns"])
    return body


def _query(kind: str, query: Body) -> Body:
    wanted = {"expr": query["expr"], "legendFormat": query["legend"]}
    if kind == "timeseries":
        return {**wanted, "range": True}
    return {**wanted, "instant": True, "format": "table" if kind == "table" else "time_series"}


def _steps(panel: Body) -> list[Body]:
    limits = {None: panel.get("first", "green"), **panel.get("limits", {})}
    return [{"color": color, "value": value} for value, color in limits.items()]


def _looks(kind: str, panel: Body) -> Body:
    if kind == "table":
        return {}
    if kind == "stat":
        return {"color": {"mode": "thresholds"}}
    custom: Body = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}
    if panel.get("stacked"):
        custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30}
    if "limits" in panel:
        custom |= {"thresholdsStyle": {"mode": "dashed"}}
    most = {"max": panel["max"]} if "max" in panel else {}
    return {"min": 0, **most, "color": {"mode": "palette-classic"}, "custom": custom}


def _options(kind: str, panel: Body) -> Body:
    if kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    if kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": panel.get("text", "value"),
        }
    return {
        "legend": {
            "showLegend": True,
            "displayMode": "table",
            "placement": "bottom",
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


_YES_NO = {
    "0": {"text": "no", "color": "red", "index": 0},
    "1": {"text": "yes", "color": "green", "index": 1},
}
_OVERRIDES: list[Body] = [
    {
        "matcher": {"id": "byName", "options": "Ready"},
        "properties": [
            {"id": "mappings", "value": [{"type": "value", "options": _YES_NO}]},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ],
    },
    {
        "matcher": {"id": "byName", "options": "Requests"},
        "properties": [{"id": "unit", "value": "reqps"}],
    },
]
"""Columns of the table, which have units of their own."""


def _one_row_each(columns: Mapping[str, str]) -> list[Body]:
    """Join the queries' answers by their labels, and name the columns in their order."""
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
