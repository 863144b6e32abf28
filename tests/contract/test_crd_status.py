"""The CRD's status against what the operator writes about a change of the model.

The API server drops a field that the schema does not know, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from unit.operator.builders import Object, schema
from unit.operator.change_records import RECORD, STATE

from riskpredictor_operator.core.change import record

STATUS = schema()["properties"]["status"]
WRITTEN = record.to_fields(RECORD)


def unknown(value: Any, its_schema: Object, path: str) -> Iterator[str]:
    """The fields that the API server would drop."""
    if isinstance(value, list):
        for item in value:
            yield from unknown(item, its_schema["items"], f"{path}[]")
    elif isinstance(value, dict) and not its_schema.get("x-kubernetes-preserve-unknown-fields"):
        for name, item in value.items():
            if name not in its_schema.get("properties", {}):
                yield f"{path}.{name}"
            else:
                yield from unknown(item, its_schema["properties"][name], f"{path}.{name}")


def paths(its_schema: Object, path: str) -> Iterator[str]:
    for name, field in its_schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from paths(field.get("items", field), f"{path}.{name}")


def written(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from written(item, path)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield f"{path}.{name}"
            yield from written(item, f"{path}.{name}")


def test_the_example_has_every_field() -> None:
    assert not [each.name for each in fields(STATE) if not getattr(STATE, each.name)]


def test_all_that_is_written_is_kept() -> None:
    assert list(unknown(WRITTEN, STATUS, "status")) == []


def test_the_schema_promises_nothing_that_is_never_written() -> None:
    promised = set[str]()
    for name in record.FIELDS:
        field = STATUS["properties"][name]
        promised |= set(paths(field.get("items", field), f"status.{name}"))
    assert promised - set(written(WRITTEN, "status")) == set()
