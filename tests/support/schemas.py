"""The API server's own description of the kinds that the operator renders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from riskpredictor_operator.kube import Resource
from support.api import Api, Body


def schema_of(api: Api, resource: Resource) -> tuple[dict[str, Body], Body]:
    """All schemas of a kind's API group by name, and the kind's own."""
    group = f"apis/{resource.group}" if resource.group else "api"
    schemas = api.request("GET", f"/openapi/v3/{group}/{resource.version}")["components"]["schemas"]
    for schema in schemas.values():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            if (kind["group"], kind["kind"]) == (resource.group, resource.kind):
                return schemas, schema
    raise AssertionError(f"no schema of {resource.kind}")


def rendered_with_schemas(
    schemas: dict[str, Body], value: Any, schema: Body, place: str
) -> Iterator[tuple[str, Any, Body]]:
    """Every place (see field_rules.py) of a manifest, with its value and schema."""
    schema = resolved(schemas, schema)
    yield place, value, schema
    if isinstance(value, dict):
        for name, item in value.items():
            below = schema.get("properties", {}).get(name)
            if below is not None:
                yield from rendered_with_schemas(schemas, item, below, f"{place}.{name}")
    if isinstance(value, list):
        for item in value:
            below = schema["items"]
            yield from (
                each
                for each in rendered_with_schemas(schemas, item, below, place)
                if each[0] != place
            )


def resolved(schemas: dict[str, Body], schema: Body) -> Body:
    """A schema with what it refers to."""
    references = [*schema.get("allOf", ()), *([schema] if "$ref" in schema else ())]
    for reference in references:
        schema = {**schemas[reference["$ref"].rpartition("/")[2]], **schema}
    return schema
