"""One operator and its cluster, in memory: all that runs in production but the watches.

``sync`` stands for the watches: it brings the operator's cache up to date.
"""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

from unit.operator.builders import KEY, OPTIONS, Object, predictor
from unit.operator.fake_cluster import Call, FakeCluster
from unit.operator.live_objects import SCALING_ACTIVE, deployment_status

from riskpredictor_operator.core import api, conditions
from riskpredictor_operator.core.observed import trim
from riskpredictor_operator.evidence_reader import EvidenceReader
from riskpredictor_operator.kube import Key, Resource
from riskpredictor_operator.model_change import ModelChanges
from riskpredictor_operator.model_copier import ModelCopier
from riskpredictor_operator.reconcile import Reconciler
from riskpredictor_operator.rollout_limiter import RolloutLimiter
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.pod_http import PodReadError, TooLargeError
from riskpredictor_operator.runtime.relist import Relister
from riskpredictor_operator.runtime.workqueue import WorkQueue


class FakePods:
    """Pods that hand out the files of a model."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        """By address of the pod, then by name of the file."""
        self.candidates: dict[str, dict[str, bytes]] = {}
        """The same of the candidate."""
        self.pages: dict[str, dict[str, bytes]] = {}
        """What else they answer: by address, then by path without its slash, such as rollout."""
        self.asked: list[str] = []
        """Addresses, in the order of the requests for a card."""
        self.polls = 0
        """How often one was asked for its counts."""
        self.hangs = False

    async def read(self, address: str, port: int, path: str, limit: int) -> bytes | None:
        assert port == api.CONTAINER_PORT
        folder, _, name = path.rpartition("/")
        held = {
            "/model/files": self.files, "/model/candidate/files": self.candidates, "": self.pages,
        }[folder]  # fmt: skip
        if path == "/rollout":
            self.polls += 1
        if name == "card.json":
            self.asked.append(address)
        if self.hangs:
            await asyncio.Event().wait()
        if address not in held:
            raise PodReadError(f"{address}: connection refused")
        content = held[address].get(name)
        if content is not None and len(content) > limit:
            raise TooLargeError(f"more than {limit} bytes")
        return content

    async def close(self) -> None:
        pass


class Harness:
    """A cluster, and an operator that can be restarted."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.pods = FakePods()
        self.options = OPTIONS
        self.time = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
        self.restart()

    def restart(self) -> None:
        """A new operator process: it knows nothing."""
        self.cache = Cache(api.WATCHED, trim)
        self.queue: WorkQueue[Key] = WorkQueue()
        self.relister = Relister(
            self.cluster, self.cache, self.queue, api.WATCHED, api.RISKPREDICTOR,
            namespace="", every=600.0,
        )  # fmt: skip
        self.limiter = RolloutLimiter(1, self.queue.add)
        self.copier = ModelCopier(
            self.cluster, self.cache, self.pods, self.queue.add, lambda: self.time.timestamp()
        )
        self._polls: list[asyncio.Event] = []
        self.evidence = EvidenceReader(
            self.cluster, self.cache, self.pods, self.queue.add, lambda: self.time.timestamp(),
            10.0, self._until_the_next_poll,
        )  # fmt: skip
        changes = ModelChanges(self.options, self.evidence)
        self.reconciler = Reconciler(
            self.cluster, self.cache, self.options, self.limiter, self.copier, changes,
            lambda: self.time,
            lambda: self.time.timestamp(),
        )  # fmt: skip

    async def _until_the_next_poll(self, _: float) -> None:
        due = asyncio.Event()
        self._polls.append(due)
        try:
            await due.wait()
        finally:
            self._polls.remove(due)

    async def poll(self) -> None:
        """The pods of a roll-out are asked for their counts, if any roll-out is to be read."""
        for due in self._polls:
            due.set()
        # A task that was cancelled, or that has just begun, takes a few turns as well.
        for _ in range(20):
            await asyncio.sleep(0)

    def declare(self, **spec: Any) -> Object:
        """Apply a RiskPredictor, new or changed."""
        known = self.cluster.objects[api.RISKPREDICTOR].get(KEY)
        if known is None:
            return self.cluster.store(api.RISKPREDICTOR, predictor(**spec))
        return self.edit(
            api.RISKPREDICTOR, lambda body: body.update(spec=predictor(**spec)["spec"])
        )

    def edit(self, resource: Resource, change: Any) -> Object:
        """Somebody changes an object."""
        return self.cluster.edit(resource, KEY, change)

    async def sync(self) -> None:
        """List everything into the cache, and forget the calls."""
        await self.relister.once()
        self.cluster.calls.clear()

    async def reconcile(self) -> float | None:
        """One pass."""
        return await self.reconciler.reconcile(KEY)

    async def synced_pass(self) -> float | None:
        """The cache becomes what is there, then one pass."""
        await self.sync()
        return await self.reconcile()

    async def settle(self, pods: int = 2) -> None:
        """Declared objects made, pods up, status written, nothing left to do."""
        await self.synced_pass()
        self.pods_up(pods)
        await self.synced_pass()
        await self.sync()

    def pods_up(self, pods: int) -> None:
        """The controllers have done their work."""

        def deployed(body: Object) -> None:
            observed = body["metadata"]["generation"]
            body["status"] = deployment_status(pods, observed=observed)

        self.edit(api.DEPLOYMENT, deployed)
        if KEY in self.cluster.objects[api.AUTOSCALER]:
            self.edit(api.AUTOSCALER, lambda body: body.update(status=SCALING_ACTIVE))

    def live(self, resource: Resource) -> Object:
        """An object as stored."""
        return self.cluster.objects[resource][KEY]

    @property
    def status(self) -> Object:
        """The RiskPredictor's status as stored."""
        found: Object = self.live(api.RISKPREDICTOR)["status"]
        return found

    def reason(self, name: str = conditions.READY) -> str:
        """Reason of a condition; empty where there is none."""
        return str((conditions.find(self.status["conditions"], name) or {}).get("reason", ""))

    def take_writes(self) -> list[str]:
        """What was written since the last time, as words."""
        written = [_word(call) for call in self.cluster.writes()]
        self.cluster.calls.clear()
        return written


def _word(call: Call) -> str:
    manager = " for hand-over" if call.manager == api.HANDOVER_MANAGER else ""
    return f"{call.verb} {call.kind}{manager}"
