"""The chart's copies of files from other folders, and its values, schema and README.

Helm reads no file outside a chart, so the chart holds copies, byte for byte, and never edited.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import yaml

from generate import ROOT, escaped, table
from riskpredictor_operator.settings import ANY_TEXT, Settings

VALUES = Path(__file__).with_name("chart_values.yaml")
CHART = ROOT / "deploy" / "chart"

Schema = dict[str, Any]

COPIES = {
    "riskpredictors.yaml": "crds/riskpredictors.yaml",
    "rbac.yaml": "deploy/operator/base/cluster-wide/rbac.yaml",
    "predictors-policy.yaml": "deploy/policies/predictors.yaml",
    "model-stores-policy.yaml": "deploy/policies/model-stores.yaml",
    "candidate-stores-policy.yaml": "deploy/policies/candidate-stores.yaml",
    "operator-monitor.yaml": "deploy/monitoring/operator.yaml",
    "predictors-monitor.yaml": "deploy/monitoring/predictors.yaml",
    "rules.yaml": "deploy/monitoring/rules.yaml",
    "dashboard.json": "deploy/monitoring/dashboard.json",
}
"""Files of ``files/`` and what they are copies of."""

BY_THE_CHART = {"namespace", "identity"}
"""Settings that the chart sets itself: from watchNamespace, and from the pod's name."""
PRESET = {"logFormat": "json"}
"""Settings with a default of the chart's own: in a cluster, logs are read by machines."""
PORT = "Port of /healthz, /readyz and /metrics."
"""0, which switches them off, is not for the chart: the probes need them."""

_README = """\
<!-- Made by `make reference` from chart_values.yaml and settings.py. Edit those instead. -->

# Helm chart of RiskPredictor

```sh
helm install riskpredictor deploy/chart --namespace riskpredictor-system --create-namespace
```

Installing, upgrading, rolling back and removing: [docs/INSTALL.md](../../docs/INSTALL.md). An
unknown or unusable value is refused, with its name. Values and defaults:

{table}
Absent settings have the operator's own default, which the table names.
"""


def files() -> Mapping[Path, bytes]:
    """The copies, values.yaml, its schema and the README."""
    schema = values_schema()
    made = {
        "values.schema.json": json.dumps(schema, indent=2) + "\n",
        "values.yaml": _HEAD + "".join(f"{line}\n" for line in _values(schema)),
        "README.md": _README.format(table=_table(schema)),
    }
    copies = {CHART / "files" / name: (ROOT / path).read_bytes() for name, path in COPIES.items()}
    return copies | {CHART / name: text.encode() for name, text in made.items()}


def values_schema() -> Schema:
    """The JSON schema of the values; every level refuses what it does not know."""
    properties: Schema = yaml.safe_load(VALUES.read_text())
    properties["settings"]["properties"] = {
        _camel(setting.name): _setting(setting)
        for setting in fields(Settings)
        if setting.name not in BY_THE_CHART
    }
    closed = _closed({"properties": properties})
    # What Helm itself adds for a chart that is part of another one.
    closed["properties"]["global"] = {"type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **closed}


def _closed(schema: Schema) -> Schema:
    """The objects with named fields, without room for others."""
    if "properties" not in schema:
        return schema
    inner = {name: _closed(part) for name, part in schema["properties"].items()}
    return {"type": "object", **schema, "properties": inner, "additionalProperties": False}


def _setting(setting: Field[Any]) -> Schema:
    least, most = setting.metadata["bounds"]
    name = _camel(setting.name)
    text = setting.metadata["help"]
    if name == "httpPort":
        least, text = 1, PORT
    kinds: dict[str, Schema] = {
        "int": {"type": "integer", "minimum": least, "maximum": most},
        "float": {"type": "number", **_range(least, most)},
        "bool": {"type": "boolean"},
        "str": {"type": "string"},
    }
    kind = kinds[str(setting.type)]
    if setting.metadata["choices"]:
        kind = {"enum": list(setting.metadata["choices"])}
    elif setting.metadata["form"] is not ANY_TEXT:
        kind["pattern"] = f"^({setting.metadata['form'].pattern})?$"
    described = f"{text} Absent: {json.dumps(setting.default)}."
    preset = {"default": PRESET[name]} if name in PRESET else {}
    return {**kind, **preset, "description": described}


def _range(least: int, most: int) -> Schema:
    """Bounds of a number of seconds, which is never 0."""
    return {"minimum": least, "maximum": most} if least else {"exclusiveMinimum": 0}


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


_HEAD = "# Made by `make reference` from chart_values.yaml. Edit that file instead.\n"


def _values(schema: Schema, indent: str = "") -> Iterator[str]:
    """values.yaml: every default below what it means."""
    for name, part in schema["properties"].items():
        if "description" not in part:
            continue
        if not indent:
            yield ""
        yield f"{indent}# {part['description']}"
        if "default" in part:
            yield f"{indent}{name}: {json.dumps(part['default'])}"
        elif "properties" in part:
            yield f"{indent}{name}:"
            yield from _values(part, indent + "  ")
        else:
            yield f"{indent}# {name}:"


def _table(schema: Schema) -> str:
    rows = []
    for path, part in _leaves(schema, ""):
        kind = " \\| ".join(part["enum"]) if "enum" in part else part["type"]
        default = f"`{json.dumps(part['default'])}`" if "default" in part else ""
        rows.append([f"`{path}`", kind, default, escaped(part["description"])])
    return table(["Value", "Type", "Default", "Meaning"], rows)


def _leaves(schema: Schema, above: str) -> Iterator[tuple[str, Schema]]:
    for name, part in schema["properties"].items():
        if "properties" in part and "default" not in part:
            yield from _leaves(part, f"{above}{name}.")
        elif "description" in part:
            yield f"{above}{name}", part
