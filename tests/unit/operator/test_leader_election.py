"""Specification of leader election: one writer at a time, by the observer's own clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from unit.operator.builders import Object
from unit.operator.eventually import eventually
from unit.operator.fake_cluster import FakeCluster

from riskpredictor_operator.kube import ApiError, Key
from riskpredictor_operator.runtime import leader_election
from riskpredictor_operator.runtime.client import LEASE
from riskpredictor_operator.runtime.leader_election import LeaderElector
from riskpredictor_operator.runtime.write_guard import LeadershipLostError

KEY = Key("system", "riskpredictor-operator")
DURATION = 0.35
"""Seconds; a standby looks every 50 ms."""
DOWN = ApiError(0, "Unreachable", "connection refused")


class Clock:
    """The operator's monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    by_hand = Clock()
    monkeypatch.setattr(leader_election, "time", SimpleNamespace(monotonic=by_hand.monotonic))
    return by_hand


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    yield FakeCluster()
    # What the replicas were doing ends, as with their processes.
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def elector(cluster: FakeCluster, identity: str, duration: float = DURATION) -> LeaderElector:
    return LeaderElector(cluster, KEY, identity, duration)


def lease(cluster: FakeCluster) -> Object:
    spec: Object = cluster.objects[LEASE][KEY]["spec"]
    return spec


async def until_reads(cluster: FakeCluster, count: int) -> None:
    """Until the Lease was read so many times more."""

    def reads() -> int:
        return sum(call.verb == "get" for call in cluster.calls)

    wanted = reads() + count
    await eventually(lambda: reads() >= wanted)


async def test_the_first_one_makes_the_lease_and_leads(cluster: FakeCluster, clock: Clock) -> None:
    one = elector(cluster, "one", 15.0)
    assert not one.leading
    await one.acquire()
    assert one.leading
    one.check()
    held = lease(cluster)
    assert (held["holderIdentity"], held["leaseDurationSeconds"]) == ("one", 15)


async def test_a_released_lease_is_taken_at_once(cluster: FakeCluster) -> None:
    one, two = elector(cluster, "one", 30.0), elector(cluster, "two", 30.0)
    await one.acquire()
    standing_by = asyncio.create_task(two.acquire())
    await asyncio.sleep(0.05)
    await one.release()
    assert not one.leading
    async with asyncio.timeout(1):
        await standing_by
    assert two.leading
    assert lease(cluster)["holderIdentity"] == "two"


async def test_a_silent_holder_is_waited_for_by_the_own_clock(
    cluster: FakeCluster, clock: Clock
) -> None:
    """The Lease's own time stamps are somebody else's clock and count for nothing."""
    one, two = elector(cluster, "one"), elector(cluster, "two")
    await one.acquire()
    assert one._renewing is not None
    one._renewing.cancel()
    cluster.objects[LEASE][KEY]["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
    standing_by = asyncio.create_task(two.acquire())
    await until_reads(cluster, 3)
    assert not standing_by.done(), "an old time stamp is no reason to take it"
    clock.now += 0.9
    await until_reads(cluster, 2)
    assert not standing_by.done()
    clock.now += 0.2
    async with asyncio.timeout(15):
        await standing_by
    assert (one.leading, two.leading) == (False, True)


async def test_a_lease_that_has_run_out_and_cannot_be_had_is_asked_for_with_pauses(
    cluster: FakeCluster, clock: Clock
) -> None:
    """Of a standby whose credentials are refused, for example."""
    one, two = elector(cluster, "one"), elector(cluster, "two", 7.0)
    await one.acquire()
    assert one._renewing is not None
    one._renewing.cancel()
    standing_by = asyncio.create_task(two.acquire())
    await until_reads(cluster, 1)
    cluster.fail("get", LEASE, DOWN, times=1000)
    clock.now += 100
    await until_reads(cluster, 1)
    calls = len(cluster.calls)
    await asyncio.sleep(0.5)
    assert len(cluster.calls) <= calls + 2
    assert not standing_by.done()


async def test_while_a_holder_renews_another_stands_by(cluster: FakeCluster, clock: Clock) -> None:
    one, two = elector(cluster, "one"), elector(cluster, "two")
    await one.acquire()
    standing_by = asyncio.create_task(two.acquire())
    for _ in range(8):
        clock.now += 0.2
        await until_reads(cluster, 4)
        assert one.leading
        assert not standing_by.done()
    assert not two.leading
    with pytest.raises(LeadershipLostError, match="two no longer holds"):
        two.check()


async def test_of_many_that_compete_one_leads(cluster: FakeCluster, clock: Clock) -> None:
    many = [elector(cluster, f"replica-{n}") for n in range(5)]
    acquiring = [asyncio.create_task(one.acquire()) for one in many]
    await until_reads(cluster, 15)
    assert sum(task.done() for task in acquiring) == 1
    leading = [one for one in many if one.leading]
    assert [lease(cluster)["holderIdentity"]] == [one.identity for one in leading]


class TestLoss:
    async def test_writes_are_refused_after_two_thirds_of_the_lease(
        self, cluster: FakeCluster, clock: Clock
    ) -> None:
        """A process that was frozen past its lease must not write on waking up."""
        one = elector(cluster, "one", 15.0)
        await one.acquire()
        clock.now += 9.9
        one.check()
        clock.now += 0.2
        with pytest.raises(LeadershipLostError):
            one.check()

    async def test_an_api_server_out_of_reach_costs_the_lease(
        self, cluster: FakeCluster, clock: Clock
    ) -> None:
        one = elector(cluster, "one")
        await one.acquire()
        lost = asyncio.create_task(one.wait_until_lost())
        cluster.fail("get", LEASE, DOWN, times=1000)
        await until_reads(cluster, 2)
        assert not lost.done(), "it is still its own until the deadline"
        clock.now += DURATION
        async with asyncio.timeout(15):
            await lost
        assert not one.leading

    async def test_an_outage_shorter_than_the_deadline_does_not(
        self, cluster: FakeCluster, clock: Clock
    ) -> None:
        one = elector(cluster, "one")
        await one.acquire()
        cluster.fail("get", LEASE, DOWN, times=2)
        await until_reads(cluster, 4)
        clock.now += DURATION / 2
        await until_reads(cluster, 2)
        clock.now += DURATION / 2
        assert one.leading

    @pytest.mark.usefixtures("clock")
    async def test_a_lease_that_somebody_else_took_is_lost(self, cluster: FakeCluster) -> None:
        one = elector(cluster, "one")
        await one.acquire()
        lost = asyncio.create_task(one.wait_until_lost())
        cluster.edit(LEASE, KEY, lambda body: body["spec"].update(holderIdentity="two"))
        # At once, not at the end of its own term: the other one writes already.
        async with asyncio.timeout(5):
            await lost
        with pytest.raises(LeadershipLostError):
            one.check()
        assert lease(cluster)["holderIdentity"] == "two"

    async def test_it_is_lost_at_the_deadline_and_not_when_a_renewal_gives_up(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The API server does not answer. Requests under way are cancelled at the deadline, well
        before another replica may lead."""
        duration = 6.0
        one = elector(cluster, "one", duration)
        started = time.monotonic()
        await one.acquire()

        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(cluster, "get", hang)
        await one.wait_until_lost()
        assert duration * 2 / 3 <= time.monotonic() - started < duration * 0.85


@pytest.mark.usefixtures("clock")
class TestRelease:
    async def test_it_does_not_touch_a_lease_of_somebody_else(self, cluster: FakeCluster) -> None:
        one = elector(cluster, "one")
        await one.acquire()
        cluster.edit(LEASE, KEY, lambda body: body["spec"].update(holderIdentity="two"))
        await one.release()
        assert lease(cluster)["holderIdentity"] == "two"

    async def test_without_the_lease_nothing_is_written(self, cluster: FakeCluster) -> None:
        await elector(cluster, "one").release()
        assert cluster.writes() == []

    async def test_a_claim_that_was_cut_short_is_given_up_too(self, cluster: FakeCluster) -> None:
        """The order to stop came when the lease was written and its answer under way."""
        await elector(cluster, "one")._claim()
        await elector(cluster, "one").release()
        assert lease(cluster)["holderIdentity"] == ""

    async def test_a_renewal_in_between_does_not_keep_it(self, cluster: FakeCluster) -> None:
        one = elector(cluster, "one", 15.0)
        await one.acquire()
        cluster.fail("replace", LEASE, ApiError(409, "Conflict", "modified"))
        await one.release()
        assert lease(cluster)["holderIdentity"] == ""

    async def test_it_does_not_fail_when_the_api_server_is_away(self, cluster: FakeCluster) -> None:
        one = elector(cluster, "one")
        await one.acquire()
        cluster.fail("get", LEASE, DOWN)
        await one.release()
        assert not one.leading


async def test_a_change_of_holder_is_counted(cluster: FakeCluster) -> None:
    one, two = elector(cluster, "one", 15.0), elector(cluster, "two", 15.0)
    await one.acquire()
    first = lease(cluster)["leaseTransitions"]
    await one.release()
    await two.acquire()
    assert lease(cluster)["leaseTransitions"] > first
