"""The CRD against its own rules: documented, small enough, with the subresources it promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from unit.operator.builders import ROOT, Object, crd, predictor, sample, schema, sources

from riskpredictor_operator.core import api, conditions
from riskpredictor_operator.core.model import SOURCES

CRD_FILE = ROOT / "crds/riskpredictors.yaml"
VERSION = crd()["spec"]["versions"][0]


def properties(node: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Every field below a schema, with its path."""
    for name, field in node.get("properties", {}).items():
        yield f"{path}.{name}".lstrip("."), field
        yield from properties(field, f"{path}.{name}")
        yield from properties(field.get("items", {}), f"{path}.{name}[]")


ALL = dict(properties(schema()))
FIELDS = {path: field for path, field in ALL.items() if path != "metadata"}


def kind(field: Object) -> str:
    """The type of a field. Text that may come as a number is so that a rule of its own refuses it,
    with a message that says how to write it: the type's message does not."""
    return "string" if field.get("x-kubernetes-int-or-string") else str(field.get("type"))


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_has_a_type_and_a_description(path: str) -> None:
    assert kind(FIELDS[path]) in ("string", "integer", "number", "boolean", "object", "array")
    assert FIELDS[path].get("description"), "kubectl explain shows nothing"


@pytest.mark.parametrize(
    "path", [p for p, f in FIELDS.items() if kind(f) in ("string", "array") and p[:4] == "spec"]
)
def test_every_text_and_list_of_a_spec_is_bounded(path: str) -> None:
    field = FIELDS[path]
    assert {"maxLength", "maxItems", "enum"} & set(field), "CEL's cost is estimated from the bound"


@pytest.mark.parametrize(
    "path",
    [p for p, f in FIELDS.items() if kind(f) in ("integer", "number") and p[:4] == "spec"],
)
def test_every_number_of_a_spec_has_a_lower_bound_or_is_passed_through(path: str) -> None:
    assert "minimum" in FIELDS[path] or path.startswith("spec.podTemplate.")


def test_a_bound_is_a_whole_number() -> None:
    """The API server rounds it down where the value is one: 0.01 would allow 0."""
    bounds = [f[bound] for f in FIELDS.values() for bound in ("minimum", "maximum") if bound in f]
    assert len(bounds) > 20
    assert all(isinstance(bound, int) for bound in bounds)


def optional(node: Object, path: str) -> Iterator[tuple[str, Object]]:
    """Every field of a spec that may be left out and has no default, with its path."""
    for name, field in node.get("properties", {}).items():
        at = f"{path}.{name}"
        if name not in node.get("required", ()) and "default" not in field:
            yield at, field
        for inner in (field, field.get("items", {})):
            yield from optional(inner, at)


SPEC = schema()["properties"]["spec"]


def test_what_may_be_left_out_may_be_null() -> None:
    """The API server drops a null where there is a default; elsewhere the field must allow it."""
    refused = [path for path, field in optional(SPEC, "spec") if not field.get("nullable")]
    # An enum cannot hold null.
    assert refused == [
        "spec.podTemplate.tolerations.operator",
        "spec.podTemplate.tolerations.effect",
    ]


def test_text_in_maps_may_be_null_and_a_number_is_told_how_to_be_written() -> None:
    for path, field in FIELDS.items():
        values = field.get("additionalProperties")
        if path.startswith("spec.") and values is not None:
            assert values["nullable"], path
            written = " ".join(rule["message"] for rule in field["x-kubernetes-validations"])
            assert "in quotes" in written or "resources" in path, path


def rules(node: Any) -> Iterator[Object]:
    if isinstance(node, dict):
        yield from node.get("x-kubernetes-validations", ())
        for item in node.values():
            yield from rules(item)


@pytest.mark.parametrize("rule", list(rules(schema())), ids=lambda rule: rule["message"][:40])
def test_every_rule_names_the_field_and_says_what_to_do(rule: Object) -> None:
    message = rule["message"]
    assert "\n" not in message
    assert re.match(r"(spec|metadata)\.\w+", message), "starts with the field's path"
    assert re.search(r"; |for example|must ", message), "says how to mend it"


def test_it_is_small_enough_for_kubectl_apply() -> None:
    """``kubectl apply`` keeps the whole object in an annotation of at most 256 KiB."""
    assert len(CRD_FILE.read_bytes()) < 256 * 1024


def test_names_are_those_that_the_operator_uses() -> None:
    spec = crd()["spec"]
    assert (spec["group"], VERSION["name"]) == (api.GROUP, api.VERSION)
    assert (spec["names"]["kind"], spec["names"]["plural"]) == (api.KIND, api.PLURAL)
    assert crd()["metadata"]["name"] == f"{api.PLURAL}.{api.GROUP}"
    assert (spec["scope"], spec["names"]["shortNames"]) == ("Namespaced", ["rp"])
    assert spec["names"]["categories"] == ["all"]


def test_subresources() -> None:
    assert VERSION["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    for path in VERSION["subresources"]["scale"].values():
        assert path.removeprefix(".") in ALL


def test_a_status_that_nobody_has_written_does_not_look_healthy() -> None:
    """An empty status counts as Current with kstatus."""
    assert predictor()["status"] == {"observedGeneration": -1}


def test_columns() -> None:
    columns = VERSION["additionalPrinterColumns"]
    shown = [c["name"].upper() for c in columns if not c.get("priority")]
    wide = [c["name"].upper() for c in columns if c.get("priority")]
    assert shown == [
        "MODEL", "SERVING", "CANDIDATE", "STEP", "READY", "REPLICAS", "MIN", "MAX", "AGE",
    ]  # fmt: skip
    assert wide == ["REASON", "DIGEST", "PAIRS", "URL", "IMAGE"]
    for column in columns:
        path = column["jsonPath"].removeprefix(".")
        if path.startswith("status.conditions"):
            assert f'"{conditions.READY}"' in path
        elif not path.startswith("metadata."):
            assert path in ALL


def paths(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{at}.{name}"
            yield from paths(item, f"{at}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{at}[]")


def test_the_samples_show_every_field() -> None:
    """The full one, and those that it names; other stores are comments in that of a model from a
    store, and a shadow's model is as that."""
    names = ("full", "model-from-a-store", "progressive", "shadow")
    specs = [sample(name, defaults=False)["spec"] for name in names]
    specs += [{"model": {"source": source}} for source in sources()]
    shown = {path.replace("[]", "") for spec in specs for path in paths(spec, "spec")}
    passed_through = (
        "tolerations[].", "topologySpreadConstraints[].", "env[].", "podTemplate.securityContext.",
        "spec.shadow.model.",
    )  # fmt: skip
    wanted = {
        path.replace("[]", "")
        for path in ALL
        if path.startswith("spec.") and not any(part in path for part in passed_through)
    }
    # One switches the autoscaler off, the other names a class that the cluster must have.
    assert wanted - shown == {
        "spec.replicas", "spec.podTemplate.priorityClassName", "spec.shadow.model",
    }  # fmt: skip


def test_the_variables_that_a_user_may_not_set_are_those_that_nobody_may_add() -> None:
    env = FIELDS["spec.podTemplate.env"]
    always = " ".join(r["rule"] for r in env["x-kubernetes-validations"])
    assert set(re.findall(r"'([A-Z_]+)'", always)) == api.RESERVED_ENV
    beside_a_store = [r["rule"] for r in SPEC["x-kubernetes-validations"] if ".env" in r["rule"]]
    assert set(re.findall(r"'([A-Z_]+)'", beside_a_store[0])) == api.FETCH_ENV


def test_the_stores_are_those_that_the_operator_knows() -> None:
    source = FIELDS["spec.model.source"]
    assert tuple(source["properties"]) == SOURCES
    assert all(f"has(self.{kind})" in next(rules(source))["rule"] for kind in SOURCES)


def test_a_shadow_comes_from_the_same_stores_by_the_same_rules() -> None:
    """Only the messages differ, for they name the field."""
    shadow = json.dumps(FIELDS["spec.shadow.model"]).replace("spec.shadow.model", "spec.model")
    assert json.loads(shadow) == FIELDS["spec.model"]
    of_the_shadow = list(rules(FIELDS["spec.shadow.model"]))
    assert len(of_the_shadow) > 20
    assert all(rule["message"].startswith("spec.shadow.model.") for rule in of_the_shadow)


def test_a_version_is_a_version_wherever_it_is_declared() -> None:
    asked, shadow = FIELDS["spec.modelVersion"], FIELDS["spec.shadow.modelVersion"]
    bounds = ("minLength", "maxLength", "x-kubernetes-int-or-string")
    assert [asked[name] for name in bounds] == [shadow[name] for name in bounds]
    assert [r["rule"] for r in rules(asked)] == [r["rule"] for r in rules(shadow)]
