"""Specification of liveness with kopf itself, against an API server that has nothing to tell.

Only here does kopf run without a cluster: nothing else would notice that a new version of it no
longer lets its requests be overheard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from unit.operator.eventually import eventually
from unit.operator.loopback import connected_to

from riskpredictor_operator.controller import Controller
from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Resource
from riskpredictor_operator.runtime import watch
from riskpredictor_operator.runtime.client import KubernetesCluster
from riskpredictor_operator.settings import Settings

WATCHED = (api.RISKPREDICTOR, *api.CHILDREN)
SERVED = (
    *WATCHED,
    Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
    Resource("", "v1", "namespaces", "Namespace"),
    api.EVENT,
)
VERBS = ["get", "list", "watch", "patch"]


class EmptyServer:
    """Serves the kinds without objects: an empty list, then a watch that tells nothing."""

    def __init__(self) -> None:
        self.lists: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request)
        if request.path == "/api":
            return web.json_response({"versions": ["v1"]})
        if request.path == "/apis":
            return web.json_response({"groups": [_group(r) for r in SERVED if r.group]})
        kinds = [_kind(r) for r in SERVED if request.path.endswith(f"/{r.api_version}")]
        if kinds:
            return web.json_response({"resources": kinds})
        self.lists.append(request.path.rpartition("/")[2])
        return web.json_response({"metadata": {"resourceVersion": "5"}, "items": []})

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(60)
        return response


def _group(resource: Resource) -> dict[str, object]:
    version = {"version": resource.version}
    return {"name": resource.group, "versions": [version], "preferredVersion": version}


def _kind(resource: Resource) -> dict[str, object]:
    names = {"name": resource.plural, "kind": resource.kind, "singularName": resource.kind.lower()}
    return {**names, "namespaced": True, "verbs": VERBS}


@pytest.fixture
def server() -> EmptyServer:
    return EmptyServer()


@pytest.fixture
async def cluster(server: EmptyServer) -> AsyncIterator[KubernetesCluster]:
    async with connected_to(server) as connected:
        yield connected


async def test_the_watches_of_a_quiet_cluster_live_until_they_are_dead(
    server: EmptyServer, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs: list[tuple[str, bool]] = []
    overheard = watch.Watcher.on_sign

    def on_sign(self: watch.Watcher, plural: str, *, listed: bool) -> None:
        signs.append((plural, listed))
        overheard(self, plural, listed=listed)

    async def forever() -> None:
        await asyncio.Event().wait()

    async def nothing() -> None:
        """No lease."""

    monkeypatch.setattr(watch.Watcher, "on_sign", on_sign)
    stop = asyncio.Event()
    controller = Controller(cluster, Settings(), stop)
    running = asyncio.create_task(controller.run(forever, nothing))
    wanted = {(r.plural, listed) for r in WATCHED for listed in (True, False)}
    await eventually(lambda: wanted <= set(signs))
    # The operator's first, kopf's, and one after: what left between the two is in no event.
    await eventually(lambda: all(server.lists.count(r.plural) >= 3 for r in WATCHED))
    assert controller.problem() is None
    monkeypatch.setattr(watch, "SILENCE_SECONDS", 0.01)
    await asyncio.sleep(0.02)
    await cluster.list(api.SERVICE, "")
    assert "the API server answers, but not the watch of" in (controller.problem() or "")
    stop.set()
    async with asyncio.timeout(10):
        assert await running == ""
    assert controller.problem() is None
