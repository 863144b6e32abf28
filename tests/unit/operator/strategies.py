"""Hypothesis strategies: specs that the CRD's schema and rules allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from unit.operator.builders import Object, schema, sources

bounded: Callable[..., Any] = settings(max_examples=60)
"""For tests in which a case is a whole object, or several."""

versions = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
texts = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)

_VARIABLES = st.from_regex(r"[A-Za-z._-][A-Za-z0-9._-]{0,8}", fullmatch=True)
_SOURCES = [
    {"fieldRef": {"fieldPath": "metadata.labels['team']"}},
    {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
    {"configMapKeyRef": {"name": "a", "key": "b", "optional": True}},
    {"secretKeyRef": {"name": "a", "key": "b"}},
]

_DURATIONS = st.from_regex(r"[1-9][0-9]{0,5}[dhms]|1d0h5m|1h30m", fullmatch=True)

_BY_RULE = {
    "minDuration": _DURATIONS,
    "deadline": _DURATIONS,
    "percent": st.floats(0.01, 99) | st.integers(1, 99),
    "confidencePercent": st.floats(50, 99.9) | st.integers(50, 99),
    "subjectHeader": st.sampled_from(["X-Subject-Key", "x1"]),
    "source": st.sampled_from(list(sources())),
    "modelVersion": versions,
    "repository": st.from_regex(
        r"[a-z0-9]{1,8}(:[0-9]{2,4})?(/[a-z0-9]{1,8}){0,2}", fullmatch=True
    ),
    "tag": st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
    "digest": st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True),
    "loadBalancerSourceRanges": st.lists(st.sampled_from(["10.0.0.0/8", "fd00::/8"]), max_size=2),
    "externalTrafficPolicy": st.sampled_from(["Cluster", "Local"]),
    "ipFamilyPolicy": st.sampled_from(["SingleStack", "PreferDualStack"]),
    "nodeAffinityPolicy": st.sampled_from(["Honor", "Ignore"]),
    "nodeTaintsPolicy": st.sampled_from(["Honor", "Ignore"]),
    "runAsNonRoot": st.just(True),
    "runAsUser": st.integers(1, 2**31 - 1),
    "fsGroupChangePolicy": st.sampled_from(["OnRootMismatch", "Always"]),
    "supplementalGroupsPolicy": st.sampled_from(["Merge", "Strict"]),
    "seLinuxChangePolicy": st.sampled_from(["MountOption", "Recursive"]),
    "seccompProfile": st.just({"type": "Localhost", "localhostProfile": "predictor.json"}),
    "appArmorProfile": st.just({"type": "RuntimeDefault"}),
    "env": st.lists(
        st.one_of(
            st.fixed_dictionaries({"name": _VARIABLES}, optional={"value": texts}),
            st.fixed_dictionaries({"name": _VARIABLES, "valueFrom": st.sampled_from(_SOURCES)}),
        ),
        max_size=2,
        unique_by=lambda variable: variable["name"],
    ),
}
"""Fields that CEL rules confine further than their types do."""

_PASSED_THROUGH = {
    "affinity": st.just({"nodeAffinity": {"x": [{"weight": 1}]}}),
    "labelSelector": st.fixed_dictionaries({"matchLabels": st.just({"a": "b"})}),
}


@st.composite
def amounts(draw: st.DrawFn) -> Object:
    """Requests and limits: a request never above its limit."""
    cpu = sorted(draw(st.tuples(st.integers(1, 9000), st.integers(1, 9000))))
    memory = sorted(draw(st.tuples(st.integers(1, 9000), st.integers(1, 9000))))
    spelled = [f"{cpu[0]}m", f"{cpu[0] / 1000:.3f}"]
    return {
        "requests": {"cpu": draw(st.sampled_from(spelled)), "memory": f"{memory[0]}Mi"},
        "limits": {"cpu": f"{cpu[1]}m", "memory": f"{memory[1]}Mi"},
    }


def _value(name: str, its_schema: Object) -> st.SearchStrategy[Any]:
    if name in _BY_RULE:
        return _BY_RULE[name]
    if name in _PASSED_THROUGH:
        return _PASSED_THROUGH[name]
    if name == "resources":
        return amounts()
    if "x-kubernetes-int-or-string" in its_schema:
        return texts
    if "enum" in its_schema:
        return st.sampled_from(its_schema["enum"])
    match its_schema["type"]:
        case "integer":
            return st.integers(its_schema.get("minimum", 0), its_schema.get("maximum", 2**31 - 1))
        case "number":
            bounds = its_schema["minimum"], its_schema["maximum"]
            return st.floats(*bounds) | st.integers(*bounds)
        case "boolean":
            return st.booleans()
        case "string":
            return texts
        case "array":
            item = _value("", its_schema["items"])
            keys = its_schema.get("x-kubernetes-list-map-keys")
            return st.lists(
                item.filter(bool),
                max_size=2,
                unique_by=(lambda each: tuple(each[key] for key in keys)) if keys else repr,
            ).map(_sound)
        case "object" if "additionalProperties" in its_schema:
            return st.dictionaries(texts, texts, max_size=3)
        case "object":
            return objects(its_schema)
    raise AssertionError(f"{name}: a schema of a kind that this strategy does not know")


def objects(its_schema: Object) -> st.SearchStrategy[Object]:
    """Values of an object schema: required fields always, others now and then."""
    fields = {name: _value(name, sub) for name, sub in its_schema["properties"].items()}
    required = set(its_schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: fields[name] for name in sorted(required)},
        optional={name: fields[name] for name in fields if name not in required},
    )


def _sound(items: list[Any]) -> list[Any]:
    """Mends what would break a rule between the fields of an item."""
    return [_sound_item(item) if isinstance(item, dict) else item for item in items]


def _sound_item(item: Object) -> Object:
    if "minDomains" in item:
        item = {**item, "whenUnsatisfiable": "DoNotSchedule"}
    return item


def _orderly(spec: Object) -> Object:
    """Mends what would break one of the CRD's rules between fields."""
    if "minReplicas" in spec or "maxReplicas" in spec:
        low, high = sorted((spec.get("minReplicas", 2), spec.get("maxReplicas", 5)))
        spec = {**spec, "minReplicas": low, "maxReplicas": high}
    service = spec.get("service", {})
    if {"loadBalancerClass", "loadBalancerSourceRanges"} & set(service):
        spec = {**spec, "service": {**service, "type": "LoadBalancer"}}
    elif {"nodePort", "externalTrafficPolicy"} & set(service) and service.get(
        "type", "ClusterIP"
    ) == "ClusterIP":
        spec = {**spec, "service": {**service, "type": "NodePort"}}
    if spec.get("shadow", {}).get("modelVersion") == spec["modelVersion"]:
        spec = {name: field for name, field in spec.items() if name != "shadow"}
    canary = spec.get("rollout", {}).get("canary", {})
    if "steps" in canary:
        steps = {step["percent"]: step for step in canary["steps"]}
        canary = {**canary, "steps": [steps[percent] for percent in sorted(steps)]}
        spec = {**spec, "rollout": {**spec["rollout"], "canary": canary}}
    return spec


def specs() -> st.SearchStrategy[Object]:
    """Specs as users may write them."""
    return objects(schema()["properties"]["spec"]).map(_orderly)
