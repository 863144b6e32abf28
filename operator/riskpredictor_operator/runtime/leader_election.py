"""Leader election by a Lease: of several replicas only the holder writes.

The rules are client-go's (``k8s.io/client-go/tools/leaderelection``): a standby measures by its own
clock how long the Lease has not changed, and never compares time stamps of two machines; a holder
that cannot renew stops before another replica may start. Two things are added: a standby watches
the Lease, so that it takes a released one at once, and every write calls ``check``
(write_guard.py), so that a process that was frozen past its lease does not write on waking up.
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

from riskpredictor_operator.kube import ApiError, Body, Key
from riskpredictor_operator.runtime import metrics
from riskpredictor_operator.runtime.client import LEASE, Client
from riskpredictor_operator.runtime.write_guard import LeadershipLostError

logger = logging.getLogger(__name__)

WRITE_FRACTION = 2 / 3
"""Part of the lease, counted from its last renewal, during which the holder may write. The rest is
for writes that have been sent: they arrive or are given up before another replica may lead."""
RENEW_FRACTION = 1 / 7
"""Part of the lease between two renewals, and the longest pause of a standby: four attempts to
renew fit into the time for writing."""
REQUEST_FRACTION = 1 / 3
"""Part of the lease that one request for it may take: after one without an answer, another is sent
before the time for writing is over."""
RELEASE_ATTEMPTS = 3
SHORTEST_WAIT_SECONDS = 0.05
"""Least pause between two reads of a Lease that is about to run out."""


@dataclass
class LeaderElector:
    """Acquires, renews and releases the Lease. Times are seconds."""

    client: Client
    lease: Key
    identity: str
    duration: float
    _deadline: float = field(default=0.0, init=False)
    _observed: tuple[Any, float] = field(default=(None, 0.0), init=False)
    _renewing: asyncio.Task[None] | None = field(default=None, init=False)
    _failed: bool = field(default=False, init=False)

    @property
    def leading(self) -> bool:
        """Whether this replica may write: its last renewal is less than WRITE_FRACTION ago."""
        return time.monotonic() < self._deadline

    def check(self) -> None:
        """Guard of every write; raises ``LeadershipLostError`` once another may be writing."""
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

    async def wait_until_lost(self) -> None:
        """Returns when the Lease is lost; raises the error that ended the renewal."""
        assert self._renewing is not None, "acquire() comes first"  # noqa: S101
        # Do not wait for a renewal under way: writes have to stop at the deadline.
        while self.leading and not self._renewing.done():
            left = max(0.0, self._deadline - time.monotonic())
            await asyncio.wait([self._renewing], timeout=left)
        metrics.LEADER.set(0)
        self._renewing.cancel()
        await asyncio.wait([self._renewing])
        if self._renewing.done() and not self._renewing.cancelled():
            self._renewing.result()

    async def release(self) -> None:
        """Give the Lease up, so that another replica need not wait for it to run out.

        That includes a Lease that this replica had just taken when it was told to stop.
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
            # A renewal that was under way may come first: then this is a conflict.
            if await self._try(partial(self._write, lease, holder="", seconds=1)):
                logger.info("released %s", self.lease)
                return
        logger.warning("could not release %s: it has to run out", self.lease)

    async def _renew(self) -> None:
        """Renew the Lease until that has failed for WRITE_FRACTION of it."""
        while self.leading:
            await asyncio.sleep(self.duration * RENEW_FRACTION)
            if not await self._try(self._claim):
                logger.warning("could not renew %s", self.lease)
        logger.error("lost the lease %s", self.lease)

    async def _claim(self) -> bool:
        """One attempt to take or renew the Lease."""
        started = time.monotonic()
        lease = await self._read()
        if lease is None:
            await self.client.create(LEASE, self._body({}, self.identity, self.duration))
        elif self._may_take(lease):
            await self._write(lease, holder=self.identity, seconds=self.duration)
        else:
            # Another replica holds it, so this one must not write, even before its deadline.
            self._deadline = 0.0
            return False
        # Count from before the request: when the server received it is unknown.
        self._deadline = started + self.duration * WRITE_FRACTION
        return True

    def _may_take(self, lease: Body) -> bool:
        """Whether the Lease is ours, released, or unchanged for its whole duration, counted from
        when this replica first saw it like that."""
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
        """Wait for a change of the Lease, but not beyond the end of an unchanged one.

        An API server that refuses or does not answer is not asked without the whole pause.
        """
        pause = self.duration * RENEW_FRACTION
        if not self._failed:
            pause = min(pause, max(SHORTEST_WAIT_SECONDS, self._left_of_observed()))
        started = time.monotonic()
        try:
            async with asyncio.timeout(pause):
                async with aclosing(self.client.watch_one(LEASE, self.lease, pause)) as changes:
                    await anext(changes)  # its present state
                    await anext(changes)
                    return
        except (ApiError, TimeoutError, StopAsyncIteration):
            pass
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))

    async def _read(self) -> Body | None:
        return await self.client.get(LEASE, self.lease)

    async def _write(self, lease: Body, *, holder: str, seconds: float) -> bool:
        await self.client.replace(LEASE, self._body(lease, holder, seconds))
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
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": spec,
        }

    async def _try(self, action: Any) -> Any:
        """The action's result, or None where the API server refused or did not answer in time."""
        self._failed = False
        try:
            async with asyncio.timeout(self.duration * REQUEST_FRACTION):
                return await action()
        except ApiError as error:
            # 409: another replica was quicker.
            if error.status != 409:
                self._failed = True
                logger.warning("lease %s: %s", self.lease, error)
        except TimeoutError:
            self._failed = True
            logger.warning("lease %s: no answer from the API server", self.lease)
        return None
