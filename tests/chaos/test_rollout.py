"""A model change while the operator is killed, cut off or replaced: it ends as it would have.

Models whose version begins with ``bad`` miss high risks; the others agree with what answers.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web
from unit.operator.trial import FAST

import kstatus
from riskpredictor_operator.core import api as names
from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import DEPLOYMENT, RISKPREDICTOR, Api, Body, eventually
from support.cluster import LocalCluster
from support.counting_pods import BAD, CountingPods
from support.operator import Supervisor
from support.predictors import Predictors
from support.proxy import DROPPED, Fault, Proxy

ALONE = ("--leader-election=false", "--evidence-seconds=1")
HUNDREDS = 20
"""Hundreds of pairs that a pod counts at first, and few later: each step is decided by the first
poll, and what is counted twice is seen."""
PREDICTORS = 5
KILLS, LONG_KILLS = 50, 200
WRITES = 6
"""The operator is killed before its first, second ... write, so many in turn."""
PATIENCE_SECONDS = 4.0
"""Until a kill that waits for a write is done all the same."""


@pytest.fixture
def pods(api: Api, namespace: str) -> Iterator[CountingPods]:
    with CountingPods(api, namespace, HUNDREDS, later=1) as pods:
        yield pods


class Record:
    """What the API server has shown of the changes in a namespace; a context manager."""

    def __init__(self, api: Api, namespace: str, pods: CountingPods) -> None:
        self._api, self._namespace, self._pods = api, namespace, pods
        self._stack = ExitStack()
        self.ended: dict[tuple[str, str], Body] = {}
        """The entry of the history, by name of the predictor and version of the candidate."""
        self.wrong: list[str] = []
        """What must not be, as sentences."""

    def __enter__(self) -> Record:
        for resource, see in ((RISKPREDICTOR, self._status), (DEPLOYMENT, self._template)):
            self._stack.enter_context(self._api.following(resource, self._namespace, see))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _status(self, event: str, body: Body) -> None:
        name, status = body["metadata"]["name"], body.get("status") or {}
        self.wrong += [f"{name}: {each}" for each in kstatus.violations(body)]
        rollout = status.get("rollout") or {}
        told = (rollout.get("evidence") or {}).get("pairs", 0)
        if event != "DELETED" and told > (counted := self._pods.pairs[rollout.get("id", "")]):
            self.wrong.append(f"{name}: {told} pairs are told, {counted} were counted")
        for entry in status.get("history") or ():
            if "from" in entry:
                self._end(name, entry)

    def _end(self, name: str, entry: Body) -> None:
        version, outcome = entry["version"], entry["outcome"]
        gates = {gate["state"] for gate in entry.get("gates") or ()}
        if outcome == "Promoted" and not (gates and gates <= {"Passed", "NotApplicable"}):
            self.wrong.append(f"{name}: {version} was promoted with gates {gates}")
        before = self.ended.setdefault((name, version), entry)
        if (before["outcome"], before["at"]) != (outcome, entry["at"]):
            self.wrong.append(f"{name}: {version} ended twice: {before['outcome']}, {outcome}")

    def _template(self, _: str, body: Body) -> None:
        name, metadata = body["metadata"]["name"], body["spec"]["template"]["metadata"]
        labels, annotations = metadata["labels"], metadata.get("annotations") or {}
        if labels[names.LABEL_MODEL_VERSION].startswith(BAD):
            self.wrong.append(f"{name}: {labels[names.LABEL_MODEL_VERSION]} answers")
        candidate = labels.get(names.LABEL_CANDIDATE_VERSION, "")
        stage = annotations.get(names.ANNOTATION_STAGE, "")
        if candidate.startswith(BAD) and stage != "Shadow":
            self.wrong.append(f"{name}: {candidate} is at {stage}")


class Stream:
    """Declares one change after the other: good and bad models in turn."""

    def __init__(self, predictors: Predictors, record: Record) -> None:
        self._predictors, self._record = predictors, record
        self.declared: dict[str, list[str]] = {}

    def begin(self, count: int) -> None:
        """So many predictors that serve v1."""
        keys = [
            self._predictors.create(f"risk-{n}", minReplicas=1, rollout=FAST) for n in range(count)
        ]
        for key in keys:
            self._predictors.wait(key)
            self.declared[key.name] = []

    def go_on(self) -> None:
        """Declare the next model wherever the last change has ended."""
        for number, (name, before) in enumerate(self.declared.items()):
            if before and (name, before[-1]) not in self._record.ended:
                continue
            kind = BAD if (len(before) + number) % 2 else "good"
            version = f"{kind}-{len(before) + 2}"
            self._predictors.patch(Key(self._predictors.namespace, name), modelVersion=version)
            before.append(version)

    def unended(self) -> list[str]:
        """The changes that have not ended."""
        return [
            f"{name}: {version}"
            for name, versions in self.declared.items()
            for version in versions
            if (name, version) not in self._record.ended
        ]


class Killer:
    """Kills the operator right before a write: what came before it is done, and nothing after."""

    def __init__(self, operator: Supervisor) -> None:
        self._operator = operator
        self._left = 0
        self._lock = threading.Lock()
        self.done = threading.Event()

    def arm(self, writes: int) -> None:
        """Kill before the write of this number from now on."""
        with self._lock:
            self._left = writes
            self.done.clear()

    def disarm(self) -> None:
        """Let it live."""
        with self._lock:
            self._left = 0

    def choose(self, request: web.Request) -> Fault | None:
        """For the proxy."""
        if request.method not in ("PATCH", "POST", "DELETE") or "/events" in request.path:
            return None
        with self._lock:
            if self._left == 0:
                return None
            self._left -= 1
            if self._left:
                return None
        self._operator.kill()
        self.done.set()
        return DROPPED


def _await_exits(operator: Supervisor, count: int) -> None:
    eventually(lambda: len(operator.exits) >= count, within=90, what=f"{count} were killed")


def test_killed_before_each_write_every_change_ends_as_it_would_have(
    api: Api, predictors: Predictors, pods: CountingPods, proxy: Proxy, tmp_path: Path, long: bool
) -> None:
    kills, rng = LONG_KILLS if long else KILLS, random.Random(50)
    config = proxy.kubeconfig(tmp_path / "proxied.kubeconfig")
    with (
        Supervisor(config, tmp_path / "operator.log", *ALONE) as operator,
        Record(api, predictors.namespace, pods) as record,
    ):
        stream, killer = Stream(predictors, record), Killer(operator)
        stream.begin(PREDICTORS)
        proxy.choose = killer.choose
        for number in range(kills):
            # One in four comes at any time, the others right before a write.
            at_any_time = number % 4 == 3
            killer.arm(0 if at_any_time else 1 + number % WRITES)
            until = time.monotonic() + (rng.uniform(0, 2) if at_any_time else PATIENCE_SECONDS)
            while not killer.done.is_set() and time.monotonic() < until:
                stream.go_on()
                time.sleep(0.1)
            killer.disarm()
            if not killer.done.is_set():
                operator.kill()
            _await_exits(operator, number + 1)
        eventually(lambda: not stream.unended(), within=120, every=0.2, what="every change ends")
    outcomes = {
        (version.partition("-")[0], entry["outcome"])
        for (_, version), entry in record.ended.items()
    }
    assert outcomes == {("good", "Promoted"), (BAD, "Aborted")}
    assert not record.wrong
    assert operator.exits.count(-9) >= kills
    assert "Traceback" not in operator.says()


@pytest.fixture
def key(predictors: Predictors) -> Key:
    return Key(predictors.namespace, "risk")


def _rollout(api: Api, key: Key) -> Body:
    found: Body = (api.need(RISKPREDICTOR, key).get("status") or {}).get("rollout") or {}
    return found


def _stage(api: Api, key: Key) -> str:
    return _stage_of(api.need(DEPLOYMENT, key))


def _await_phase(api: Api, key: Key, phase: str) -> None:
    eventually(lambda: _rollout(api, key).get("phase", "") == phase, within=90, what=phase)


def _begin(predictors: Predictors, version: str) -> None:
    key = predictors.create(minReplicas=1, rollout=FAST)
    predictors.wait(key)
    predictors.patch(key, modelVersion=version)


def test_cut_off_from_the_pods_nothing_is_decided(
    api: Api, predictors: Predictors, pods: CountingPods, operator_config: Path, key: Key,
    tmp_path: Path,
) -> None:  # fmt: skip
    pods.hangs.set()
    with Supervisor(operator_config, tmp_path / "operator.log", *ALONE):
        _begin(predictors, f"{BAD}-v2")

        def told() -> Body:
            return predictors.condition(key)

        unread = "the operator cannot read the counts of any pod"
        eventually(lambda: unread in told()["message"], within=90, what="it is told")
        assert told()["reason"] == "InsufficientData"
        with api.watching(RISKPREDICTOR, key) as states:
            time.sleep(5.0)
            assert {state["status"]["rollout"]["phase"] for state in states} == {"Shadow"}
        pods.hangs.clear()
        _await_phase(api, key, "Aborted")


def test_cut_off_from_the_api_server_the_pods_keep_their_stage(
    api: Api, predictors: Predictors, pods: CountingPods, proxy: Proxy, key: Key, tmp_path: Path
) -> None:
    config = proxy.kubeconfig(tmp_path / "proxied.kubeconfig")
    with Supervisor(config, tmp_path / "operator.log", *ALONE):
        _begin(predictors, "good-v2")
        _await_phase(api, key, "Canary")
        proxy.hold()
        stage = _stage(api, key)
        with api.watching(DEPLOYMENT, key) as states:
            time.sleep(5.0)
            assert {state["metadata"]["generation"] for state in states} == {
                states[0]["metadata"]["generation"]
            }
        assert _stage(api, key) == stage
        proxy.release()
        _await_phase(api, key, "")
        assert predictors.wait(key)["status"]["servingVersion"] == "good-v2"


def test_another_leader_goes_on_from_the_same_step(
    cluster: LocalCluster, api: Api, predictors: Predictors, pods: CountingPods, key: Key,
    tmp_path: Path,
) -> None:  # fmt: skip
    cluster.kubectl("-n", operators.SYSTEM, "delete", "lease", "--all")
    with ExitStack() as stack:
        replicas: list[Supervisor] = []
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            config = operators.kubeconfig(cluster, folder)
            ready = "standing by" if replicas else "listed "
            flags = ("--evidence-seconds=1",)
            one = Supervisor(config, folder / "operator.log", *flags, ready=ready)
            replicas.append(stack.enter_context(one))
        with api.watching(DEPLOYMENT, key) as states:
            _begin(predictors, "good-v2")
            _await_phase(api, key, "Canary")
            replicas[0].kill()
            _await_phase(api, key, "")
            assert predictors.wait(key)["status"]["servingVersion"] == "good-v2"
            assert pods.asked
        stages = [_stage_of(state) for state in states]
        changes = [stage for stage, before in zip(stages, [None, *stages], strict=False)
                   if stage != before]  # fmt: skip
        assert changes == ["", "Shadow", "Canary-10", "Canary-50", ""], "no step twice, none back"


def _stage_of(deployment: Body) -> str:
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(names.ANNOTATION_STAGE, ""))
