"""The connection between operator and API server fails in every way that a connection can."""

from __future__ import annotations

import random
import threading
import time

import pytest
from aiohttp import web

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key
from support import proxy as faults
from support.api import DEPLOYMENT, RISKPREDICTOR, SERVICE, Api, eventually
from support.changes import Changes
from support.endstate import await_order
from support.operator import Supervisor
from support.proxy import Fault, Proxy, is_watch

WATCH_FAULTS = [
    faults.DROPPED, faults.CUT, faults.SLOW, faults.TOO_MANY, faults.TOO_MANY_DATE, faults.INTERNAL,
    faults.UNAVAILABLE, faults.GONE, faults.GONE_EVENT, faults.ERROR_EVENT, faults.TRUNCATED,
    faults.GARBAGE, faults.UNAUTHORIZED,
]  # fmt: skip
ANSWER_FAULTS = [
    faults.DROPPED, faults.CUT, faults.SLOW, faults.TOO_MANY, faults.TOO_MANY_DATE, faults.INTERNAL,
    faults.UNAVAILABLE,
]  # fmt: skip


@pytest.mark.parametrize("fault", WATCH_FAULTS, ids=lambda fault: fault.name)
def test_watches_fail(
    api: Api, proxy: Proxy, cut_off: Supervisor, namespace: str, fault: Fault, long: bool
) -> None:
    changes = Changes(api, namespace, seed=3, count=3)
    await_order(api, namespace, changes.wanted)
    for _ in range(5 if long else 1):
        # Each of the four watches meets it once, and so does its next try.
        left = threading.Semaphore(8)
        proxy.choose = lambda request, left=left: (
            fault  # type: ignore[misc]
            if is_watch(request) and left.acquire(blocking=False)
            else None
        )
        proxy.cut()
        changes.some(4)
        time.sleep(1.0)
        met = "most of the four watches met it"
        eventually(lambda: proxy.met[fault.name] >= 3, within=20, what=met)
        proxy.choose = lambda _: None
    await_order(api, namespace, changes.wanted)


def test_any_request_may_fail(
    api: Api, proxy: Proxy, cut_off: Supervisor, namespace: str, long: bool
) -> None:
    rng = random.Random(4)

    def weather(request: web.Request) -> Fault | None:
        """Every fourth request outside of the Lease, which has tests of its own."""
        if "/leases" in request.path or rng.random() > 0.25:
            return None
        return rng.choice(WATCH_FAULTS if is_watch(request) else ANSWER_FAULTS)

    changes = Changes(api, namespace, seed=4, count=10)
    proxy.choose = weather
    for _ in range(60 if long else 12):
        changes.some(2)
        time.sleep(0.5)
    proxy.choose = lambda _: None
    await_order(api, namespace, changes.wanted, within=180)
    assert sum(proxy.met.values()) > 20, proxy.met


def test_what_happens_during_a_partition_is_caught_up(
    api: Api, proxy: Proxy, cut_off: Supervisor, namespace: str, long: bool
) -> None:
    changes = Changes(api, namespace, seed=5, count=6)
    await_order(api, namespace, changes.wanted)
    for _ in range(5 if long else 1):
        proxy.hold()
        keys = [Key(namespace, name) for name in sorted(changes.wanted)]
        api.delete(RISKPREDICTOR, keys[0])
        del changes.wanted[keys[0].name]
        for resource in CHILDREN:
            api.delete(resource, keys[1])
        api.patch(SERVICE, keys[2], {"metadata": {"labels": {"app": "other"}}})
        api.patch(DEPLOYMENT, keys[3], {"spec": {"revisionHistoryLimit": 7}})
        changes.create(2)
        changes.update()
        time.sleep(2.0)
        proxy.release()
        await_order(api, namespace, changes.wanted)
