"""Somebody else's object appears after the operator looked and before it writes."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, Resource, path_of
from support.api import AUTOSCALER, DEPLOYMENT, SERVICE, Api, Body, eventually
from support.operator import Supervisor
from support.predictors import Predictors
from support.proxy import SLOW, Fault, Proxy

FOREIGN: dict[Resource, dict[str, Any]] = {
    DEPLOYMENT: {
        "replicas": 3,
        "selector": {"matchLabels": {"mine": "yes"}},
        "template": {
            "metadata": {"labels": {"mine": "yes"}},
            "spec": {"containers": [{"name": "own", "image": "own:1"}]},
        },
    },
    SERVICE: {"ports": [{"name": "http", "port": 80}], "selector": {"mine": "yes"}},
    AUTOSCALER: {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "risk"},
        "minReplicas": 2,
        "maxReplicas": 9,
    },
}


@pytest.mark.parametrize("resource", CHILDREN, ids=lambda r: r.kind)
def test_it_is_not_taken_over(
    api: Api, proxy: Proxy, cut_off: Supervisor, predictors: Predictors, resource: Resource
) -> None:
    key = Key(predictors.namespace, "risk")
    path = path_of(resource, key)

    def late(request: web.Request) -> Fault | None:
        return SLOW if request.method == "PATCH" and request.path == path else None

    proxy.choose = late
    predictors.create()
    eventually(lambda: proxy.met[SLOW.name], what="it is about to write")
    metadata = {"name": key.name, "namespace": key.namespace}
    theirs = api.create(resource, {"metadata": metadata, "spec": FOREIGN[resource]})
    predictors.wait(key, "False", "NotOwned")
    proxy.choose = lambda _: None
    assert _essence(api.need(resource, key)) == _essence(theirs)
    if resource == DEPLOYMENT:
        # It would scale what is not ours.
        eventually(lambda: api.get(AUTOSCALER, key) is None)

    api.delete(resource, key)
    predictors.patch(key, minReplicas=1)
    predictors.wait(key)


def _essence(body: Body) -> Body:
    """What a person wrote."""
    metadata = body["metadata"]
    names = ("uid", "labels", "ownerReferences")
    return {"spec": body["spec"], **{name: metadata.get(name) for name in names}}
