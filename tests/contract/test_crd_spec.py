"""spec.py against the CRD: it reads every field, expects every type, and no more than that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from unit.operator.builders import Object, changed, predictor, schema
from unit.operator.strategies import bounded, specs

from riskpredictor_operator.core.reading import SpecError
from riskpredictor_operator.core.spec import parse

SPEC = schema()["properties"]["spec"]

PASSED_THROUGH = (
    "source", "env", "securityContext", "tolerations", "affinity", "topologySpreadConstraints",
)  # fmt: skip
"""Read as a whole and handed on verbatim."""


MODEL = {
    "digest": "sha256:" + "0a" * 32,
    "source": {"pvc": {"claimName": "models"}},
    "credentialsSecret": {"name": "x"},
    "caBundle": {"configMap": "x", "key": "y"},
    "signature": {"publicKey": {"configMap": "x", "key": "y"}},
}


def full() -> Object:
    """A RiskPredictor in which no field has an absent parent."""
    return predictor(
        image={"pullSecrets": [{"name": "x"}]},
        childMetadata={"labels": {}},
        model=MODEL,
        rollout={"gates": {"cases": {"configMap": "x"}}, "canary": {"steps": [{"percent": 1}]}},
        shadow={"modelVersion": "v2", "model": MODEL},
    )


def path_in(body: Object, path: str) -> tuple[str | int, ...]:
    """The steps to a field, with the first item of each list."""
    steps: list[str | int] = []
    at: Any = body
    for name in path.split("."):
        if isinstance(at, list):
            steps.append(0)
            at = at[0]
        steps.append(name)
        at = at.get(name)
    return tuple(steps)


def shown(path: tuple[str | int, ...]) -> str:
    """The path as an error names it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]


class Recording(dict[str, Any]):
    """A JSON object that notes which of its fields are read."""

    def __init__(self, content: Object, path: str, read: set[str]) -> None:
        super().__init__({k: recorded(v, f"{path}.{k}", read) for k, v in content.items()})
        self._path, self._read = path, read

    def __getitem__(self, name: str) -> Any:
        self._read.add(f"{self._path}.{name}")
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._read.add(f"{self._path}.{name}")
        return super().get(name, default)


def recorded(value: Any, path: str, read: set[str]) -> Any:
    if isinstance(value, dict):
        return Recording(value, path, read)
    if isinstance(value, list):
        return [recorded(item, path, read) for item in value]
    return value


def fields(node: Object, path: str = "spec") -> Iterator[tuple[str, Object]]:
    """Every field of the schema that the operator has to understand."""
    for name, field in node["properties"].items():
        yield f"{path}.{name}", field
        inner = field.get("items", field)
        if name not in PASSED_THROUGH and "properties" in inner:
            yield from fields(inner, f"{path}.{name}")


FIELDS = dict(fields(SPEC))


def kind(path: str) -> str:
    """The type that a field is read as."""
    return str(FIELDS[path].get("type", "string"))


def test_every_field_of_the_schema_is_read_and_no_other() -> None:
    read: set[str] = set()
    body = full()
    parse({**body, "spec": Recording(body["spec"], "spec", read)})
    assert read == set(FIELDS)


WRONG: dict[str, Any] = {
    "string": 7,
    "integer": "7",
    "number": "7",
    "boolean": "yes",
    "object": "text",
    "array": "text",
}


@pytest.mark.parametrize(
    "path", [p for p in FIELDS if not p.startswith("spec.image.pullSecrets.")], ids=str
)
def test_a_value_of_a_type_that_the_schema_forbids_is_refused_by_path(path: str) -> None:
    at = path_in(full(), path)
    with pytest.raises(SpecError, match="must be of type") as caught:
        parse(changed(full(), WRONG[kind(path)], *at))
    assert caught.value.path == shown(at)


@pytest.mark.parametrize("path", FIELDS, ids=str)
def test_a_field_without_default_is_optional_and_one_with_default_is_demanded(path: str) -> None:
    """A missing default means that the installed CRD is older than the operator."""
    body = full()
    *above, name = path_in(body, path)
    parent: Any = body
    for step in above:
        parent = parent[step]
    parent.pop(name, None)
    owner = FIELDS.get(path.rpartition(".")[0], SPEC)
    required = name in owner.get("items", owner).get("required", ())
    if "default" in FIELDS[path] or required:
        with pytest.raises(SpecError, match=r"missing; apply the CRD|name of a Secret") as caught:
            parse(body)
        assert caught.value.path == shown((*above, name))
    else:
        absent = parse(body)
        parent[name] = None
        assert parse(body) == absent, "null is absent"


NUMBERS = [path for path in FIELDS if kind(path) in ("integer", "number")]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({}, r"^spec\.model\.source: must name exactly one of s3, gcs, .* and image$"),
        ({"pvc": {"claimName": "a"}, "http": {"url": "b"}}, "must name exactly one"),
        ({"pvc": {"claimName": None}}, r"^spec\.model\.source\.pvc\.claimName: missing"),
        ({"image": {"reference": 7}}, r"^spec\.model\.source\.image\.reference: must be of type"),
    ],
    ids=["none", "two", "a claim without name", "an image that is a number"],
)
def test_of_a_source_what_the_pods_are_rendered_with_is_checked(
    source: Object, problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        parse(changed(full(), source, "spec", "model", "source"))


@pytest.mark.parametrize("path", NUMBERS, ids=str)
def test_the_bounds_of_the_schema_are_accepted(path: str) -> None:
    for number in (FIELDS[path]["minimum"], FIELDS[path]["maximum"]):
        body = changed(full(), 1000, "spec", "maxReplicas")
        parse(changed(changed(body, 1, "spec", "minReplicas"), number, *path_in(body, path)))


@given(spec=specs())
@bounded
def test_whatever_the_schema_allows_is_read(spec: Object) -> None:
    rp = parse(predictor(**spec))
    assert rp.model_version == spec["modelVersion"]
    assert rp.autoscaled == ("replicas" not in spec)
    assert rp.suspend == spec.get("suspend", False)
    assert rp.rollout.progressive == (
        spec.get("rollout", {}).get("strategy", "RollingUpdate") == "Progressive"
    )
    assert (rp.shadow is None) == ("shadow" not in spec)
