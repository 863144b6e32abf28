"""Writes reference.md, the field tables of the RiskPredictor API, from riskpredictors.yaml.

Run ``python tools/generate/crd_reference.py`` after a change of the CRD; with ``--check`` it writes
nothing and fails when the file is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).resolve().parents[2] / "crds"
CRD = CRDS / "riskpredictors.yaml"
REFERENCE = CRDS / "reference.md"

Schema = dict[str, Any]

_SKIPPED = {"apiVersion", "kind", "metadata"}
_INTRODUCTION = """\
<!-- Made by tools/generate/crd_reference.py from riskpredictors.yaml. Edit that file instead. -->

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


def main(argv: list[str]) -> int:
    """Write or check the reference; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when reference.md is stale")
    wanted = reference(yaml.safe_load(CRD.read_text()))
    if not parser.parse_args(argv).check:
        REFERENCE.write_text(wanted)
        return 0
    if REFERENCE.is_file() and REFERENCE.read_text() == wanted:
        return 0
    print("crds/reference.md is stale: run python tools/generate/crd_reference.py", file=sys.stderr)
    return 1


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
    yield _table(
        ["Field", "Type", "Default", "Description"],
        [
            [
                f"`{name}`",
                _type(field),
                _default(field, required=name in schema.get("required", ())),
                _escaped(" ".join([field["description"], *_bounds(field)])),
            ]
            for name, field in schema["properties"].items()
        ],
    )
    yield _rules(schema, path)
    for name, field in schema["properties"].items():
        inner, where = field, f"{path}.{name}"
        if field["type"] == "array":
            inner, where = field["items"], f"{where}[]"
        if inner.get("properties"):
            yield f"### {where}\n"
            yield from _object(where, inner)
        else:
            yield _rules(inner, where)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, inside a table too."""
    return text.replace("<", "&lt;").replace("|", "\\|")


def _type(field: Schema) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        values = field["additionalProperties"]
        kind = "quantity" if values.get("x-kubernetes-int-or-string") else values["type"]
        return f"map of {kind}"
    return str(field["type"])


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
    return _table(["Column", "Field", "Only with `-o wide`", "Description"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
