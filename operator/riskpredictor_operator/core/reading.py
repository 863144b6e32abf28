"""Reads fields of a spec that the API server has completed; errors name the path.

The API server fills in the defaults, so a missing field means that the installed CRD is older than
the operator; the error says so. A null counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from riskpredictor_operator.kube import Body

T = TypeVar("T")


class SpecError(ValueError):
    """A spec that cannot be used; names the field and what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


def required(parent: Body, name: str, kind: type[T], path: str = "spec") -> T:
    value = optional(parent, name, kind, path)
    if value is None:
        where = f"{path}.{name}".lstrip(".")
        raise SpecError(where, "missing; apply the CRD of this operator version, it sets a default")
    return value


def optional(parent: Body, name: str, kind: type[T], path: str = "spec") -> T | None:
    value: Any = parent.get(name)
    # bool is an int to Python, not to a user.
    if value is not None and (
        not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    ):
        where = f"{path}.{name}".lstrip(".")
        raise SpecError(where, f"must be of type {kind.__name__}, is {type(value).__name__}")
    return value


def number(parent: Body, name: str, path: str) -> float:
    """A number that has a default, whole or not."""
    value = required(parent, name, object, path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{path}.{name}", f"must be of type number, is {type(value).__name__}")
    return float(value)


def map_of(parent: Body, name: str, path: str) -> dict[str, Any]:
    """A map of the user's; empty if it is absent."""
    found: dict[str, Any] = without_nulls(optional(parent, name, dict, path) or {})
    return found


def list_of(parent: Body, name: str, path: str) -> tuple[Any, ...]:
    """A list of the user's; empty if it is absent."""
    return tuple(without_nulls(optional(parent, name, list, path) or []))


def filled(body: Body, keep: str = "") -> Body:
    """A copy without empty lists and maps, of which the API server keeps nothing.

    ``keep`` is a field in which empty means something else than absent.
    """
    return {k: v for k, v in body.items() if k == keep or v not in ({}, [])}


def without_nulls(body: Any) -> Any:
    """A copy without the fields that are null."""
    if isinstance(body, Mapping):
        return {name: without_nulls(item) for name, item in body.items() if item is not None}
    if isinstance(body, list):
        return [without_nulls(item) for item in body]
    return body
