"""crds/reference.md: the field tables of the RiskPredictor API, from the CRD."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from generate import ROOT, escaped, table

CRDS = ROOT / "crds"

Schema = dict[str, Any]

_SKIPPED = {"apiVersion", "kind", "metadata"}
_INTRODUCTION = """\
<!-- Made by `make reference` from riskpredictors.yaml. Edit that file instead. -->

# RiskPredictor, `{api_version}`

{description}

```yaml
apiVersion: {api_version}
kind: {kind}
metadata:
  name: health-predictor
spec:
  modelVersion: v1
```

{scope}, plural `{plural}`, short name {short_names}. `kubectl scale {short}/NAME --replicas=N` \
sets `{scale}`.
"""


def files() -> Mapping[Path, bytes]:
    """The reference."""
    crd = yaml.safe_load((CRDS / "riskpredictors.yaml").read_text())
    return {CRDS / "reference.md": reference(crd).encode()}


def reference(crd: Schema) -> str:
    """The whole reference as Markdown."""
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [_introduction(crd, version, schema), _rules(schema, "metadata")]
    for name, part in schema["properties"].items():
        if name not in _SKIPPED:
            parts += [f"## {name}\n", *_object(name, part)]
    parts += ["## kubectl get\n", _columns(version["additionalPrinterColumns"])]
    return "\n".join(part for part in parts if part)


def _introduction(crd: Schema, version: Schema, schema: Schema) -> str:
    spec, names = crd["spec"], crd["spec"]["names"]
    return _INTRODUCTION.format(
        api_version=f"{spec['group']}/{version['name']}",
        kind=names["kind"],
        description=schema["description"],
        scope=spec["scope"],
        plural=names["plural"],
        short_names=", ".join(f"`{name}`" for name in names["shortNames"]),
        short=names["shortNames"][0],
        scale=version["subresources"]["scale"]["specReplicasPath"].removeprefix("."),
    )


def _object(path: str, schema: Schema) -> Iterator[str]:
    """Table of an object's fields and its rules, then the objects inside it."""
    yield f"{schema['description']}\n"
    yield table(
        ["Field", "Type", "Default", "Description"],
        [
            [
                f"`{name}`",
                _type(field),
                _default(field, required=name in schema.get("required", ())),
                escaped(" ".join([field["description"], *_bounds(field)])).replace("<", "&lt;"),
            ]
            for name, field in schema["properties"].items()
        ],
    )
    yield _rules(schema, path)
    for name, field in schema["properties"].items():
        inner, where = field, f"{path}.{name}"
        if field.get("type") == "array":
            inner, where = field["items"], f"{where}[]"
        if inner.get("properties"):
            yield f"### {where}\n"
            yield from _object(where, inner)
        else:
            yield _rules(inner, where)


def _type(field: Schema) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_scalar(field['additionalProperties'], field)}"
    return _scalar(field, field)


def _scalar(schema: Schema, rules_of: Schema) -> str:
    """A scalar's type. Of what may be a number or text, the rules tell which one is meant."""
    if "x-kubernetes-int-or-string" not in schema:
        return str(schema["type"])
    rules = [rule["rule"] for rule in rules_of.get("x-kubernetes-validations", ())]
    return "quantity" if any("isQuantity" in rule for rule in rules) else "string"


def _default(field: Schema, *, required: bool) -> str:
    if required:
        return "**required**"
    return f"`{_plain(field['default'])}`" if field.get("default") not in (None, {}) else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bounds(field: Schema) -> Iterator[str]:
    """What the schema allows, as short sentences."""
    if "minimum" in field and "maximum" in field:
        yield f"From {field['minimum']} to {field['maximum']}."
    elif "minimum" in field:
        yield f"At least {field['minimum']}."
    if "maxLength" in field:
        yield f"At most {field['maxLength']} characters."
    if "maxItems" in field:
        yield f"At most {field['maxItems']} items."
    if "maxProperties" in field:
        yield f"At most {field['maxProperties']} entries."


def _rules(schema: Schema, path: str) -> str:
    """What the API server refuses, in its own words."""
    rules = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    if not rules:
        return ""
    return "\n".join([f"Rules of `{path}`:\n", *(f"- {rule}" for rule in rules), ""])


def _columns(columns: list[Schema]) -> str:
    rows = [
        [
            column["name"].upper(),
            f"`{column['jsonPath']}`",
            "yes" if column.get("priority") else "",
            column.get("description", ""),
        ]
        for column in columns
    ]
    return table(["Column", "Field", "Only with `-o wide`", "Description"], rows)
