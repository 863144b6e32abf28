"""Specification of reading counts from pods: beside the passes, and never twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.operator.builders import KEY, NAME, NOW, Object, declared
from unit.operator.eventually import eventually
from unit.operator.fake_cluster import FakeCluster
from unit.operator.live_objects import COMPLETE, deployment, deployment_status
from unit.operator.live_objects import pod as live_pod
from unit.operator.reports import ROLLOUT_ID, bytes_of, report
from unit.operator.strategies import bounded

from riskpredictor_operator import evidence_reader
from riskpredictor_operator.core import api
from riskpredictor_operator.core.change.evidence import Counts, Evidence
from riskpredictor_operator.core.change.tally import UNREACHABLE_SECONDS
from riskpredictor_operator.core.observed import trim
from riskpredictor_operator.evidence_reader import AT_A_TIME, EvidenceReader
from riskpredictor_operator.kube import ApiError, Body, Key, Resource
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.pod_http import PodReadError, TooLargeError

POLL_SECONDS = 10.0


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        sleeper = (self.now + seconds, asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    async def asleep(self, number: int) -> None:
        """Until so many tasks sleep, after others have noticed that they are to end."""
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            while len(self._awaited()) != number:  # noqa: ASYNC110 - tasks of the reader's own
                await asyncio.sleep(0)

    def _awaited(self) -> list[tuple[float, asyncio.Event]]:
        return [sleeper for sleeper in self._sleepers if not sleeper[1].is_set()]

    async def go_on(self, seconds: float) -> None:
        """Let time pass; whoever sleeps meanwhile wakes on time, and sleeps again in the end."""
        end, number = self.now + seconds, len(self._awaited())
        while (due := min((at for at, _ in self._awaited()), default=end)) <= end and number:
            self.now = due
            for at, sleeper in self._awaited():
                if at <= due:
                    sleeper.set()
            await self.asleep(number)
        self.now = end


class Cluster(FakeCluster):
    """One whose API server's own cache may be behind."""

    behind: list[Body] | None = None
    """What that cache lists, if not what there is."""

    async def list(
        self, resource: Resource, namespace: str, selector: str = "", *, cached: bool = False
    ) -> list[Body]:
        there = await super().list(resource, namespace, selector, cached=cached)
        return self.behind if cached and self.behind is not None else there


@dataclass
class FakeReader:
    """Pods at their addresses."""

    answers: dict[str, Any] = field(default_factory=lambda: defaultdict(lambda: PodReadError("x")))
    """Bytes, None for 404, an error to raise, or an Event that one waits for."""
    asked: list[str] = field(default_factory=list)
    reading: int = 0
    most: int = 0
    """How many were read side by side at most."""
    closed: bool = False

    async def read(self, address: str, port: int, path: str, limit: int) -> bytes | None:
        assert (port, path, limit) == (5000, "/rollout", 65536)
        self.asked.append(address)
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            answer = self.answers[address]
            if isinstance(answer, asyncio.Event):
                await answer.wait()
                answer = b""
            await asyncio.sleep(0)
        finally:
            self.reading -= 1
        if isinstance(answer, Exception):
            raise answer
        found: bytes | None = answer
        return found

    async def close(self) -> None:
        self.closed = True


class Scene:
    """A predictor whose pods compare two models, and an operator that can be restarted."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.clock = Clock()
        self.pods = FakeReader()
        self.rp = declared()
        self.rolling = False
        self.restart()

    def restart(self) -> None:
        """A new process: it knows nothing."""
        self.cache = Cache(api.WATCHED, trim)
        self.woken: list[Key] = []
        self.roll(self.rolling)
        self.reader = EvidenceReader(
            self.cluster, self.cache, self.pods, self.woken.append, lambda: self.clock.now,
            POLL_SECONDS, self.clock.sleep,
        )  # fmt: skip

    def roll(self, rolling: bool) -> None:
        """Whether the Deployment replaces pods."""
        self.rolling = rolling
        status = deployment_status(2, updated=1 if rolling else 2, conditions=(COMPLETE,))
        body = deployment(status)
        self.cluster._version += 1
        body["metadata"]["resourceVersion"] = str(self.cluster._version)
        self.cache.put(api.DEPLOYMENT, body)

    def pod(
        self, name: str = "risk-1", answer: Any = None, *, rollout_id: str = ROLLOUT_ID, **more: Any
    ) -> str:
        """A pod that exists, and what it answers; returns its address."""
        address = f"address-of-{name}"
        body = live_pod(name, **{"ready": True, "podIP": address, **more})
        body["metadata"] |= {"uid": name, "annotations": {api.ANNOTATION_ROLLOUT_ID: rollout_id}}
        self.cluster.store(api.POD, body)
        self.pods.answers[address] = answer
        return address

    def gone(self, name: str) -> None:
        self.cluster.remove(api.POD, Key(KEY.namespace, name))

    async def ask(self, rollout_id: str = ROLLOUT_ID, carried: Counts = Counts()) -> None:  # noqa: B008
        """A pass, and the first poll if there is one."""
        self.reader.ask(self.rp, rollout_id, carried)
        await self.clock.asleep(1)

    async def poll(self) -> None:
        """The next poll."""
        await self.clock.go_on(POLL_SECONDS)

    @property
    def evidence(self) -> Evidence:
        found = self.reader.evidence(self.rp)
        assert found is not None
        return found

    def take_asked(self) -> list[str]:
        """Addresses that were read since the last time."""
        asked, self.pods.asked = self.pods.asked, []
        return sorted(asked)


def counted(pairs: int, instance: str = "a1", **more: Any) -> bytes:
    """The report of a process that has seen so many pairs."""
    matrix = ((pairs, 0, 0), (0, 0, 0), (0, 0, 0))
    return bytes_of(report(instance, matrix=matrix, **more))


async def test_the_pods_of_a_roll_out_are_read_and_added_up() -> None:
    scene = Scene()
    scene.pod("risk-1", counted(10))
    scene.pod("risk-2", counted(20, "b1"))
    scene.reader.ask(scene.rp, ROLLOUT_ID, Counts())
    assert scene.reader.evidence(scene.rp) is None, "nothing is known before the first poll"
    assert scene.pods.asked == [], "a pass waits for nothing"
    await scene.clock.asleep(1)
    assert scene.evidence.total.pairs == 30
    assert scene.evidence.rollout_id == ROLLOUT_ID
    assert [each.pod for each in scene.evidence.reports] == ["risk-1", "risk-2"]
    assert scene.woken == [KEY]


OTHERS: dict[str, Object] = {
    "of another roll-out": {"rollout_id": "other"},
    "made by hand": {"owner": None},
    "of somebody else": {"owner": {"kind": "Job", "name": NAME, "uid": "x", "controller": True}},
    "ended": {"phase": "Succeeded"},
    "without an address": {"podIP": ""},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_other_pods_are_not_read(other: Object) -> None:
    """Who can shape the evidence: only who makes the Deployment's pods."""
    scene = Scene()
    mine = scene.pod("risk-1", counted(10))
    scene.pod("risk-2", counted(20, "b1"), **other)
    await scene.ask()
    assert scene.take_asked() == [mine]
    assert scene.evidence.total.pairs == 10


async def test_a_pod_that_is_being_deleted_is_read_while_it_answers() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    await scene.ask()
    scene.pod(answer=counted(15), leaving=True)
    await scene.poll()
    assert scene.evidence.total.pairs == 15
    scene.gone("risk-1")
    await scene.poll()
    assert scene.evidence.carried.pairs == 15


async def test_a_pass_that_asks_again_changes_nothing() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    carried = Counts(((5, 0, 0), (0, 0, 0), (0, 0, 0)))
    await scene.ask(carried=carried)
    for _ in range(3):
        await scene.ask(carried=carried + carried)
    assert len(scene.take_asked()) == 1
    assert scene.evidence.carried == carried
    await scene.poll()
    assert len(scene.take_asked()) == 1


async def test_another_roll_out_begins_with_its_own_counts() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    await scene.ask()
    scene.pod("risk-2", counted(7, "b1", rollout_id="next"), rollout_id="next")
    scene.reader.ask(scene.rp, "next", Counts())
    assert scene.reader.evidence(scene.rp) is None
    await scene.ask("next")
    assert (scene.evidence.rollout_id, scene.evidence.total.pairs) == ("next", 7)


async def test_another_predictor_of_the_same_name_begins_anew() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    await scene.ask()
    scene.rp = replace(scene.rp, uid="another")
    assert scene.reader.evidence(scene.rp) is None
    await scene.ask(carried=Counts(((1, 0, 0), (0, 0, 0), (0, 0, 0))))
    assert scene.evidence.carried.pairs == 1


async def test_a_pass_is_due_only_when_something_is_new() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    await scene.ask()
    scene.woken.clear()
    await scene.poll()
    assert scene.woken == []
    scene.pod(answer=counted(11))
    await scene.poll()
    assert scene.woken == [KEY], "the counts"
    scene.pod(answer=counted(11, candidate={"state": "SwitchedOff"}))
    await scene.poll()
    assert scene.woken == [KEY] * 2, "the state"
    scene.pod(answer=PodReadError("refused"))
    await scene.poll()
    assert scene.woken == [KEY] * 2, "it may answer again"
    await scene.clock.go_on(UNREACHABLE_SECONDS)
    assert scene.evidence.unreachable == ("risk-1",)
    assert scene.evidence.total.pairs == 11
    assert scene.woken == [KEY] * 3, "a pod that cannot be reached"


async def test_while_pods_are_replaced_they_are_read_more_often() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    await scene.ask()
    scene.take_asked()
    await scene.clock.go_on(POLL_SECONDS)
    assert len(scene.take_asked()) == 1
    scene.roll(True)
    await scene.clock.go_on(POLL_SECONDS)
    assert len(scene.take_asked()) == POLL_SECONDS / 2
    scene.roll(False)
    await scene.clock.go_on(POLL_SECONDS)
    assert len(scene.take_asked()) == 1


async def test_many_pods_are_read_some_at_a_time_and_all_of_them() -> None:
    scene = Scene()
    for number in range(250):
        scene.pod(f"risk-{number}", counted(1, f"i{number}"))
    await scene.ask()
    assert scene.evidence.total.pairs == 250
    assert scene.pods.most == AT_A_TIME


async def test_pods_that_hang_hold_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_reader, "READ_SECONDS", 0.01)
    scene = Scene()
    for number in range(AT_A_TIME + 1):
        scene.pod(f"hung-{number}", asyncio.Event())
    scene.pod("risk-1", counted(10))
    await scene.ask()
    async with asyncio.timeout(60):
        # On a busy machine a pod that answers at once may be too late, too.
        while scene.evidence.total.pairs != 10:
            await scene.poll()


async def test_two_polls_never_overlap() -> None:
    scene = Scene()
    hung = asyncio.Event()
    scene.pod(answer=hung)
    scene.reader.ask(scene.rp, ROLLOUT_ID, Counts())
    for _ in range(5):
        scene.clock.now += POLL_SECONDS
        scene.reader.ask(scene.rp, ROLLOUT_ID, Counts())
        await asyncio.sleep(0)
    assert len(scene.pods.asked) == 1
    hung.set()
    await scene.clock.asleep(1)
    assert len(scene.pods.asked) == 1, "those that were left out are not made up for"


async def test_what_does_not_count_is_named() -> None:
    scene = Scene()
    scene.pod("risk-1", counted(10))
    scene.pod("risk-2", None)
    scene.pod("risk-3", b"<html>")
    scene.pod("risk-4", TooLargeError("x"))
    scene.pod("risk-5", counted(10, "e1", rollout_id="other"))
    await scene.ask()
    assert scene.evidence.total.pairs == 10
    assert scene.evidence.unaware == ("risk-2",)
    assert scene.evidence.refused == (
        "risk-3: the answer is no JSON object",
        "risk-4: the answer has more than 64 KiB",
        "risk-5: it counts for roll-out other",
    )


async def test_a_pod_is_gone_only_if_the_api_server_says_so_itself() -> None:
    """Its cache may be behind; what a pod that is gone has counted is final."""
    scene = Scene()
    scene.pod(answer=counted(10))
    scene.cluster.behind = []
    await scene.ask()
    assert scene.evidence.total.pairs == 0, "not seen yet"
    scene.cluster.behind = None
    await scene.poll()
    scene.cluster.behind = []
    await scene.poll()
    assert (scene.evidence.total.pairs, scene.evidence.carried.pairs) == (10, 0)
    scene.gone("risk-1")
    await scene.poll()
    assert (scene.evidence.total.pairs, scene.evidence.carried.pairs) == (10, 10)


async def test_pods_that_cannot_be_listed_keep_their_counts() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    await scene.ask()
    scene.cluster.fail("list", api.POD, ApiError(503, "Unavailable", "etcd"), times=13)
    await scene.clock.go_on(UNREACHABLE_SECONDS + POLL_SECONDS)
    assert scene.evidence.total.pairs == 10
    assert scene.evidence.unreachable == ("risk-1",)
    await scene.poll()
    assert not scene.evidence.unreachable


async def test_a_bug_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.pod(answer=RuntimeError("a bug"))
    await scene.ask()
    assert scene.reader.evidence(scene.rp) is None
    assert f"{KEY}: unexpected error with the evidence" in caplog.text
    scene.pod(answer=counted(10))
    await scene.poll()
    assert scene.evidence.total.pairs == 10


async def test_a_forgotten_roll_out_is_read_no_more() -> None:
    scene = Scene()
    scene.pod(answer=counted(10))
    await scene.ask()
    scene.reader.forget(KEY)
    assert scene.reader.evidence(scene.rp) is None
    await scene.clock.asleep(0)
    scene.reader.forget(KEY)
    await scene.ask(carried=Counts(((1, 0, 0), (0, 0, 0), (0, 0, 0))))
    assert scene.evidence.total.pairs == 11


async def test_closing_ends_what_is_under_way() -> None:
    scene = Scene()
    scene.pod(answer=asyncio.Event())
    scene.reader.ask(scene.rp, ROLLOUT_ID, Counts())
    await eventually(lambda: scene.pods.asked)
    await scene.reader.close()
    assert scene.pods.reading == 0
    assert scene.pods.closed


@dataclass
class _Process:
    """The server in a pod, and what it has truly counted."""

    pod: str
    instance: str
    pairs: int = 0
    hangs: bool = False


class _History:
    """Pods that come and go, and an operator that restarts."""

    def __init__(self, *, careful: bool) -> None:
        self.careful = careful
        """Whether everything is read and stored before a process or the operator ends."""
        self.scene = Scene()
        self.processes: list[_Process] = []
        self.running: list[_Process] = []
        self.stored = Counts().to_document()
        self.polled = False

    async def play(self, steps: list[tuple[str, int]]) -> None:
        for name, number in steps:
            if self.careful and name in ("leave", "restart", "restart the operator"):
                await self.poll(everybody=True)
            await getattr(self, f"_{name.replace(' ', '_')}")(number)
            self.expose()
        await self.poll(everybody=True)

    def expose(self) -> None:
        for process in self.running:
            answer = PodReadError("hangs") if process.hangs else None
            self.scene.pods.answers[f"address-of-{process.pod}"] = answer or counted(
                process.pairs, process.instance
            )

    async def poll(self, *, everybody: bool = False) -> None:
        if everybody:
            self.scene.cluster.behind = None
            for process in self.running:
                process.hangs = False
            self.expose()
        if self.polled:
            await self.scene.poll()
        else:
            await self.scene.ask(carried=Counts.from_document(self.stored))
        self.polled = True
        assert self.total <= self.truth
        self.stored = self.scene.evidence.carried.to_document()

    @property
    def total(self) -> int:
        return self.scene.evidence.total.pairs

    @property
    def truth(self) -> int:
        return sum(process.pairs for process in self.processes)

    def _one(self, number: int) -> _Process | None:
        return self.running[number % len(self.running)] if self.running else None

    def _begin(self, pod: str) -> None:
        process = _Process(pod, f"i{len(self.processes)}")
        self.processes.append(process)
        self.running.append(process)

    async def _start(self, _: int) -> None:
        name = f"risk-{len(self.processes)}"
        self.scene.pod(name)
        self._begin(name)

    async def _count(self, number: int) -> None:
        if process := self._one(number):
            process.pairs += 1 + number

    async def _hang(self, number: int) -> None:
        if process := self._one(number):
            process.hangs = not process.hangs

    async def _terminate(self, number: int) -> None:
        if process := self._one(number):
            key = Key(KEY.namespace, process.pod)
            self.scene.cluster.edit(
                api.POD, key, lambda body: body["metadata"].update(deletionTimestamp=NOW)
            )

    async def _leave(self, number: int) -> None:
        if process := self._one(number):
            self.running.remove(process)
            self.scene.gone(process.pod)
            self.scene.pods.answers[f"address-of-{process.pod}"] = PodReadError("nobody there")

    async def _restart(self, number: int) -> None:
        if process := self._one(number):
            self.running.remove(process)
            self._begin(process.pod)

    async def _fall_behind(self, _: int) -> None:
        cluster = self.scene.cluster
        cluster.behind = list(cluster.objects[api.POD].values())

    async def _catch_up(self, _: int) -> None:
        self.scene.cluster.behind = None

    async def _poll(self, _: int) -> None:
        await self.poll()

    async def _restart_the_operator(self, _: int) -> None:
        await self.scene.reader.close()
        await self.scene.clock.asleep(0)
        self.scene.restart()
        self.polled = False


STEPS = (
    "start", "start", "count", "count", "poll", "poll", "leave", "restart", "hang", "terminate",
    "fall behind", "catch up", "restart the operator",
)  # fmt: skip
histories = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=40)


@bounded
@given(histories)
def test_whatever_happens_nothing_is_counted_twice(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_History(careful=False).play(steps))


@bounded
@given(histories)
def test_nothing_is_lost_but_what_was_counted_after_the_last_poll(
    steps: list[tuple[str, int]],
) -> None:
    async def play() -> None:
        history = _History(careful=True)
        await history.play(steps)
        assert history.total == history.truth

    asyncio.run(play())
