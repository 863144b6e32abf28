"""Somebody else's object appears after the operator looked and before it writes."""

from __future__ import annotations

import pytest
from aiohttp import web

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, Resource, path_of
from support import foreign
from support.api import AUTOSCALER, DEPLOYMENT, Api, eventually
from support.operator import Supervisor
from support.predictors import Predictors
from support.proxy import SLOW, Fault, Proxy


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
    theirs = foreign.create(api, resource, key)
    predictors.wait(key, "False", "NotOwned")
    proxy.choose = lambda _: None
    assert foreign.essence(api.need(resource, key)) == foreign.essence(theirs)
    if resource == DEPLOYMENT:
        # It would scale what is not ours.
        eventually(lambda: api.get(AUTOSCALER, key) is None)

    api.delete(resource, key)
    predictors.patch(key, minReplicas=1)
    predictors.wait(key)
