"""Leader election by a Lease: of several replicas only the holder writes.

The rules are client-go's (``k8s.io/client-go/tools/leaderelection``): a holder that fell silent is
waited for by the observer's own clock, never by comparing time stamps of two machines, and a holder
that cannot renew stops before anybody else may start. Two things are added: a standby watches the
Lease, so that a released one is taken at once, and every write asks ``check`` (fence.py), so that a
process that was frozen past its lease does not write on waking up.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from riskpredictor_operator import metrics
from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Body, Key
from riskpredictor_operator.core.errors import ApiError, LeadershipLostError
from riskpredictor_operator.runtime.client import KubernetesCluster

logger = logging.getLogger(__name__)

RELEASE_ATTEMPTS = 3
SHORTEST_WAIT_SECONDS = 0.05
"""Between two looks at a Lease that is about to run out."""


@dataclass
class LeaderElector:
    """Acquires, renews and releases the Lease. Times are seconds."""

    cluster: KubernetesCluster
    lease: Key
    identity: str
    duration: float
    _deadline: float = field(default=0.0, init=False)
    _observed: tuple[Any, float] = field(default=(None, 0.0), init=False)
    _renewing: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def leading(self) -> bool:
        """Whether the lease is surely still held: two thirds of it have not passed unrenewed."""
        return time.monotonic() < self._deadline

    def check(self) -> None:
        """Guard of every write.

        Raises:
            LeadershipLostError: another replica may be writing by now.
        """
        if not self.leading:
            raise LeadershipLostError(f"{self.identity} no longer holds the lease {self.lease}")

    async def acquire(self) -> None:
        """Returns once this replica holds the Lease; waits as long as it takes."""
        waiting = False
        while not await self._try(self._claim):
            if not waiting:
                logger.info("standing by: %s is held by another replica", self.lease)
                waiting = True
            await self._until_changed()
        metrics.LEADER.set(1)
        logger.info("leading as %s", self.identity)
        self._renewing = asyncio.create_task(self._renew(), name="lease renewal")

    async def lost(self) -> None:
        """Returns when the Lease was lost; raises what the renewal died of."""
        assert self._renewing is not None, "acquire() comes first"  # noqa: S101
        # At the deadline, not when a renewal under way gives up: writes under way end with it.
        while self.leading and not self._renewing.done():
            left = max(0.0, self._deadline - time.monotonic())
            await asyncio.wait([self._renewing], timeout=left)
        metrics.LEADER.set(0)
        # What is still under way must not outlive the connection.
        self._renewing.cancel()
        await asyncio.wait([self._renewing])
        if self._renewing.done() and not self._renewing.cancelled():
            self._renewing.result()

    async def release(self) -> None:
        """Give the Lease up, so that another replica need not wait for it to run out.

        Also one that was just being taken: the order to stop may have met the claim half-way.
        """
        lost = self._renewing is not None and not self.leading
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        self._deadline = 0.0
        metrics.LEADER.set(0)
        if lost:
            return
        for _ in range(RELEASE_ATTEMPTS):
            lease = await self._try(self._read)
            if not lease or lease["spec"].get("holderIdentity") != self.identity:
                return
            # A renewal that was under way may come in between: then this one is a conflict.
            if await self._try(partial(self._write, lease, holder="", seconds=1)):
                logger.info("released %s", self.lease)
                return
        logger.warning("could not release %s: it has to run out", self.lease)

    async def _renew(self) -> None:
        """Renews until that fails for two thirds of the duration."""
        while self.leading:
            await asyncio.sleep(self.duration / 7)
            if not await self._try(self._claim):
                logger.warning("could not renew %s", self.lease)
        logger.error("lost the lease %s", self.lease)

    async def _claim(self) -> bool:
        """One attempt to take or renew the Lease."""
        started = time.monotonic()
        lease = await self._read()
        if lease is None:
            await self.cluster.create(api.LEASE, self._body({}, self.identity, self.duration))
        elif self._may_take(lease):
            await self._write(lease, holder=self.identity, seconds=self.duration)
        else:
            # Whatever is left of an own term: another replica writes by now.
            self._deadline = 0.0
            return False
        # Counted from before the request: the server's clock may have started any time after.
        self._deadline = started + self.duration * 2 / 3
        return True

    def _may_take(self, lease: Body) -> bool:
        """Ours, given up, or silent for its whole duration since this replica first saw it so."""
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        duration = float(spec.get("leaseDurationSeconds") or self.duration)
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"), duration)
        if record != self._observed[0]:
            self._observed = (record, time.monotonic())
        if holder in ("", self.identity):
            return True
        return self._left_of_observed() < 0

    def _left_of_observed(self) -> float:
        """Seconds until the Lease may be taken if its holder stays silent."""
        _, _, _, duration = self._observed[0] or ("", None, None, self.duration)
        return self._observed[1] + duration - time.monotonic()

    async def _until_changed(self) -> None:
        """Wait for a change of the Lease, or a while, but not beyond the end of a silent one."""
        pause = min(self.duration / 7, max(SHORTEST_WAIT_SECONDS, self._left_of_observed()))
        started = time.monotonic()
        try:
            async with asyncio.timeout(pause):
                async with aclosing(
                    self.cluster.watch_one(api.LEASE, self.lease, pause)
                ) as changes:
                    await anext(changes)  # repeats the present state
                    await anext(changes)
                    return
        except (ApiError, TimeoutError, StopAsyncIteration):
            pass
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))

    async def _read(self) -> Body | None:
        return await self.cluster.get(api.LEASE, self.lease)

    async def _write(self, lease: Body, *, holder: str, seconds: float) -> bool:
        await self.cluster.replace(api.LEASE, self._body(lease, holder, seconds))
        return True

    def _body(self, lease: Body, holder: str, seconds: float) -> dict[str, Any]:
        spec = dict(lease.get("spec") or {})
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != holder:
            spec |= {"acquireTime": now, "leaseTransitions": spec.get("leaseTransitions", 0) + 1}
        spec |= {
            "holderIdentity": holder,
            "renewTime": now,
            "leaseDurationSeconds": max(1, round(seconds)),
        }
        metadata: dict[str, Any] = {"name": self.lease.name, "namespace": self.lease.namespace}
        if lease:
            metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
        return {
            "apiVersion": api.LEASE.api_version,
            "kind": api.LEASE.kind,
            "metadata": metadata,
            "spec": spec,
        }

    async def _try(self, action: Any) -> Any:
        """``action``'s result, or None where the API server refused or did not answer in time."""
        try:
            async with asyncio.timeout(self.duration / 3):
                return await action()
        except ApiError as error:
            # 409: another replica was quicker.
            if error.status != 409:
                logger.warning("lease %s: %s", self.lease, error)
        except TimeoutError:
            logger.warning("lease %s: no answer from the API server", self.lease)
        return None
