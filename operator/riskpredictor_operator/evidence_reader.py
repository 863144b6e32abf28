"""Reads the counts of comparisons from the pods, beside the passes and never in their way.

While a candidate is on trial, ``GET /rollout`` of its pods is read every few seconds and added up.
What is known here is lost with a restart, apart from the counts of pods that are gone: the status
keeps those, and hands them back through ``ask``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from riskpredictor_operator.core import api, names, pods
from riskpredictor_operator.core.change.evidence import (
    REPORT_LIMIT,
    Counts,
    Evidence,
    ReportError,
    parse_report,
)
from riskpredictor_operator.core.change.tally import SILENT, UNAWARE, Answer, Listed, Tally
from riskpredictor_operator.core.rollout import is_rolling
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import ApiError, Body, Key
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client
from riskpredictor_operator.runtime.pod_http import PodReadError, Reader, TooLargeError

logger = logging.getLogger(__name__)

PATH = "/rollout"
AT_A_TIME = 64
"""Pods that are read side by side."""
READ_SECONDS = 1.0
"""How long one pod may take."""
ROLLING_SECONDS = 2.0
"""Time between two polls while pods are replaced: what a pod counts after its last one is lost."""


@dataclass
class _Watch:
    """A roll-out whose pods are read."""

    key: Key
    uid: str
    tally: Tally
    evidence: Evidence | None = None
    """As of the last poll."""
    due: float = 0.0
    """Monotonic time of the next poll while no pods are replaced."""
    task: asyncio.Task[None] | None = None


@dataclass
class EvidenceReader:
    """Reads the pods of every roll-out that is asked for, until it is forgotten."""

    client: Client
    cache: Cache
    reader: Reader
    wake: Callable[[Key], None]
    """Queues a pass over a predictor: the evidence has news."""
    monotonic: Callable[[], float]
    poll_seconds: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _watches: dict[Key, _Watch] = field(default_factory=dict, init=False)
    _slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_A_TIME), init=False
    )

    def ask(self, rp: RiskPredictor, rollout_id: str, carried: Counts) -> None:
        """Have the pods of a roll-out read from now on; returns at once.

        Args:
            rp: the predictor.
            rollout_id: as in the annotation of the pods.
            carried: counts of former pods by the status of this roll-out. They are taken when it is
                new here; afterwards what is known here is newer.
        """
        if self._of(rp, rollout_id) is not None:
            return
        self.forget(rp.key)
        watch = _Watch(rp.key, rp.uid, Tally(rollout_id, carried))
        self._watches[rp.key] = watch
        watch.task = asyncio.create_task(self._read(watch), name=f"evidence of {rp.key}")

    def evidence(self, rp: RiskPredictor) -> Evidence | None:
        """What is known of the roll-out of a predictor that was asked for last; None before its
        pods were read for the first time."""
        watch = self._watches.get(rp.key)
        return watch.evidence if watch and watch.uid == rp.uid else None

    def forget(self, key: Key) -> None:
        """End the reading: the roll-out is over, or the predictor is gone."""
        watch = self._watches.pop(key, None)
        if watch and watch.task:
            watch.task.cancel()

    async def close(self) -> None:
        """End what is under way."""
        tasks = [watch.task for watch in self._watches.values() if watch.task]
        for key in tuple(self._watches):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.reader.close()

    def _of(self, rp: RiskPredictor, rollout_id: str) -> _Watch | None:
        watch = self._watches.get(rp.key)
        same = watch and (watch.uid, watch.tally.rollout_id) == (rp.uid, rollout_id)
        return watch if same else None

    async def _read(self, watch: _Watch) -> None:
        """Poll again and again. One poll ends before the next begins: a slow one has the next
        left out."""
        while True:
            try:
                await self._poll_if_due(watch)
            except Exception:
                # A bug here must not stop anything else.
                logger.exception("%s: unexpected error with the evidence", watch.key)
            await self.sleep(min(ROLLING_SECONDS, self.poll_seconds))

    async def _poll_if_due(self, watch: _Watch) -> None:
        now = self.monotonic()
        if now < watch.due and not is_rolling(self.cache.get(api.DEPLOYMENT, watch.key)):
            return
        watch.due = now + self.poll_seconds
        try:
            found = await self._pods(watch)
        except ApiError as error:
            logger.debug("%s: the pods are not listed: %s", watch.key, error)
            watch.tally.miss(self.monotonic())
        else:
            read = await asyncio.gather(*map(self._answer, found))
            answers = {pod["metadata"]["uid"]: each for pod, each in zip(found, read, strict=True)}
            watch.tally.take(list(map(_listed, found)), answers, self.monotonic())
        evidence = watch.tally.evidence(self.monotonic())
        if evidence != watch.evidence:
            watch.evidence = evidence
            self.wake(watch.key)

    async def _pods(self, watch: _Watch) -> list[Body]:
        """The pods of the roll-out, those included that are being deleted and may still answer."""
        found = await self._listed(watch, cached=True)
        if watch.tally.misses(pod["metadata"]["uid"] for pod in found):
            # The API server's own cache may be behind, and what was counted by a pod that is gone
            # is final.
            found = await self._listed(watch, cached=False)
        return found

    async def _listed(self, watch: _Watch, *, cached: bool) -> list[Body]:
        key = watch.key
        selector = names.selector_of(key)
        listed = await self.client.list(api.POD, key.namespace, selector, cached=cached)
        return [
            pod
            for pod in pods.running(listed, key.name)
            if (pod["metadata"].get("annotations") or {}).get(api.ANNOTATION_ROLLOUT_ID)
            == watch.tally.rollout_id
        ]

    async def _answer(self, pod: Body) -> Answer:
        """What a pod answers; ``SILENT`` without an answer."""
        name, address = pod["metadata"]["name"], (pod.get("status") or {}).get("podIP")
        if not address:
            return SILENT
        try:
            async with self._slots, asyncio.timeout(READ_SECONDS):
                content = await self.reader.read(address, api.CONTAINER_PORT, PATH, REPORT_LIMIT)
            return UNAWARE if content is None else parse_report(name, content)
        except ReportError as error:
            return error
        except TooLargeError:
            return ReportError(f"the answer has more than {REPORT_LIMIT // 1024} KiB")
        except (PodReadError, TimeoutError) as error:
            logger.debug("pod %s: %s", name, error or "no answer in time")
            return SILENT


def _listed(pod: Body) -> Listed:
    metadata = pod["metadata"]
    leaving = "deletionTimestamp" in metadata
    return Listed(metadata["uid"], metadata["name"], pods.is_ready(pod), leaving)
