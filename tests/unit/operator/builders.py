"""RiskPredictors and their children as the API server would store them.

The defaults of a RiskPredictor come from ``crds/riskpredictors.yaml``, which stays the one truth.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from riskpredictor_operator.core import api
from riskpredictor_operator.core.manifests import Desired, render
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.release import Serving
from riskpredictor_operator.core.release import declared as declared_release
from riskpredictor_operator.core.spec import RiskPredictor, parse
from riskpredictor_operator.kube import Key, Resource

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = RenderOptions()
NAMESPACE = "shop"
NAME = "risk"
UID = "uid-of-risk"
KEY = Key(NAMESPACE, NAME)
NOW = "2026-03-01T12:00:00Z"
LATER = "2026-03-01T12:05:00Z"


@cache
def crd() -> Object:
    """The CustomResourceDefinition."""
    loaded: Object = yaml.safe_load((ROOT / "crds/riskpredictors.yaml").read_text())
    return loaded


def schema() -> Object:
    """Schema of a whole RiskPredictor."""
    version = crd()["spec"]["versions"][0]
    found: Object = version["schema"]["openAPIV3Schema"]
    return found


def with_defaults(value: Any, its_schema: Object) -> Any:
    """Structural defaulting, as the API server does it on every write and read."""
    if isinstance(value, list):
        return [with_defaults(item, its_schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    properties = its_schema.get("properties", {})
    for name, of_property in properties.items():
        if name not in filled and "default" in of_property:
            filled[name] = copy.deepcopy(of_property["default"])
    return {name: with_defaults(item, properties.get(name, {})) for name, item in filled.items()}


def pruned(value: Any, its_schema: Object) -> Any:
    """Structural pruning, as the API server does it on every write: unknown fields are dropped."""
    if isinstance(value, list):
        return [pruned(item, its_schema.get("items", {})) for item in value]
    if not isinstance(value, dict) or its_schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    known = its_schema.get("properties", {})
    more = its_schema.get("additionalProperties")
    return {
        name: pruned(item, known.get(name, more or {}))
        for name, item in value.items()
        if name in known or more
    }


def stored(body: Object, *, uid: str = UID, generation: int = 1) -> Object:
    """A RiskPredictor after ``kubectl apply``."""
    metadata = {
        "namespace": NAMESPACE,
        **body["metadata"],
        "uid": uid,
        "generation": generation,
        "resourceVersion": "100",
        "creationTimestamp": NOW,
    }
    filled: Object = with_defaults({**body, "metadata": metadata}, schema())
    return filled


def predictor(
    name: str = NAME, *, uid: str = UID, generation: int = 1, status: Object | None = None,
    **spec: Any,
) -> Object:  # fmt: skip
    """A stored RiskPredictor of ``modelVersion: v1`` with these spec fields."""
    body = {
        "apiVersion": api.RISKPREDICTOR.api_version,
        "kind": api.KIND,
        "metadata": {"name": name},
        "spec": {"modelVersion": "v1", **spec},
    }
    full = stored(body, uid=uid, generation=generation)
    return full if status is None else {**full, "status": status}


def declared(**spec: Any) -> RiskPredictor:
    """The same, parsed."""
    return parse(predictor(**spec))


def sample(name: str, *, defaults: bool = True) -> Object:
    """One of ``deploy/samples``, stored, or else as it is written."""
    path = ROOT / "deploy/samples" / f"{name}.yaml"
    body: Object = yaml.safe_load(path.read_text())
    return stored(body) if defaults else body


SAMPLES = ("minimal", "full", "fixed-size")
"""The samples that the API server accepts."""


def sources() -> Iterator[Object]:
    """Every ``spec.model.source`` that the sample of a model from a store shows, one of them in use
    and the others as comments."""
    text = (ROOT / "deploy/samples/model-from-a-store.yaml").read_text()
    for line in re.findall(r"^      (?:# )?(\w+: {.*})$", text, re.MULTILINE):
        yield yaml.safe_load(line)


def rendered(body: Object, options: RenderOptions = OPTIONS) -> Desired:
    """The children of a stored RiskPredictor whose pods are as it declares."""
    rp = parse(body)
    return render(rp, Serving(declared_release(rp, options)))


def manifests(body: Object) -> dict[Resource, Object]:
    """The children of a stored RiskPredictor by kind."""
    return rendered(body).by_kind()


def without(body: Object, *path: str | int) -> Object:
    """A copy without the field at that path."""
    copied, parent = _copy_and_parent(body, path)
    del parent[path[-1]]
    return copied


def changed(body: Object, value: Any, *path: str | int) -> Object:
    """A copy with another value at that path."""
    copied, parent = _copy_and_parent(body, path)
    parent[path[-1]] = value
    return copied


def _copy_and_parent(body: Object, path: tuple[str | int, ...]) -> tuple[Object, Any]:
    copied = copy.deepcopy(body)
    parent: Any = copied
    for step in path[:-1]:
        parent = parent[step]
    return copied, parent
