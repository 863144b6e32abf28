"""The operator's tables of lists and maps agree with the OpenAPI document of a real API server."""

from __future__ import annotations

import yaml
from unit.operator.builders import rendered

from riskpredictor_operator.core import field_rules
from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api
from support.cluster import ROOT
from support.schemas import rendered_with_schemas, schema_of


def test_keys_of_lists_and_atomic_maps_are_those_of_the_api_server(
    api: Api, namespace: str
) -> None:
    """For every place that is rendered; what is not rendered is compared as a whole."""
    spec = yaml.safe_load((ROOT / "deploy/samples/full.yaml").read_text())["spec"]
    key = Key(namespace, "risk")
    metadata = {"name": key.name, "namespace": key.namespace}
    path = f"/apis/healthtech.dev/v1alpha1/namespaces/{namespace}/riskpredictors?dryRun=All"
    declared = {"apiVersion": RISKPREDICTOR.api_version, "kind": RISKPREDICTOR.kind}
    body = api.request("POST", path, {**declared, "metadata": metadata, "spec": spec})
    keys: dict[str, tuple[str, ...]] = {}
    atomic: set[str] = set()
    for resource, manifest in rendered(body).by_kind().items():
        schemas, root = schema_of(api, resource)
        for part, place in (("metadata", "metadata"), ("spec", f"{resource.kind}.spec")):
            for at, value, schema in rendered_with_schemas(
                schemas, manifest[part], root["properties"][part], place
            ):
                if isinstance(value, list) and schema.get("x-kubernetes-list-type") == "map":
                    keys[at] = tuple(schema["x-kubernetes-list-map-keys"])
                if isinstance(value, dict) and schema.get("x-kubernetes-map-type") == "atomic":
                    atomic.add(at)
    ours = keys.keys() & field_rules.LIST_KEYS.keys()
    assert keys == {place: field_rules.LIST_KEYS[place] for place in ours}
    # What is in a list that has no keys is replaced with it.
    in_lists = {place for place in atomic if ".affinity." in place}
    assert atomic - in_lists <= field_rules.ATOMIC_MAPS
