"""A new version under load, a version that does not exist, and the way back: nobody is turned away.

One scenario for all tests here: v1, then v2, then ``nope``, whose image is nowhere, then
v1 again, then more pods and fewer. All the while a pod in the cluster sends requests through the
Service.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kstatus import health, violations
from riskdemo.load import Load, Sums
from riskdemo.shell import Kubectl
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, Body, eventually
from support.predictors import Predictors

BROKEN_SECONDS = 5.0
LOAD_SECONDS = 900
"""Bound of the load; it ends with the scenario."""

USERS, THINK = 10, 0.008
"""Some 1,000 requests a second, which leaves the pods and the machine some air."""
MANY = 20_000
PHASES = {
    "new version": ({"v1", "v2"}, 2000),
    "broken version": ({"v2"}, 1000),
    "way back": ({"v1", "v2"}, 2000),
    "fewer pods": ({"v1"}, 1000),
}
"""Who answers in each, and how many requests at least say something about it."""


@dataclass
class Phase:
    """What a part of the scenario looked like from outside."""

    ok: int = 0
    failed: int = 0
    versions: dict[str, int] = field(default_factory=dict)


@dataclass
class Observations:
    """What the scenario showed."""

    states: list[Body]
    """Of the RiskPredictor: every one that the API server showed, in order."""
    phases: dict[str, Phase] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    """``kubectl get riskpredictors -o wide`` at telling moments."""
    broken: Body = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Requests of all phases."""
        return sum(phase.ok for phase in self.phases.values())

    @contextmanager
    def phase(self, name: str, sums: Sums, in_all: int = 0) -> Iterator[None]:
        """Notes what happens to the requests in the block, and until there are enough of them."""
        before = Phase(sums.ok, sums.failed, dict(sums.versions))
        yield
        # They come once a second, and one without the block's end may be on its way.
        ended = sums.seconds
        eventually(lambda: sums.seconds >= ended + 2, within=60, every=0.1, what="two reports")
        enough = before.ok + max(PHASES[name][1], in_all - self.answered)
        eventually(
            lambda: sums.ok >= enough or sums.failed > before.failed,
            within=300, every=0.1, what=f"{name}: enough requests: {sums}",
        )  # fmt: skip
        self.phases[name] = Phase(
            sums.ok - before.ok,
            sums.failed - before.failed,
            {
                version: count - before.versions.get(version, 0)
                for version, count in sums.versions.items()
                if count > before.versions.get(version, 0)
            },
        )


@pytest.fixture(scope="module")
def seen(
    api: Api, predictors: Predictors, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Observations:
    key = predictors.create("health-predictor", replicas=2)
    predictors.wait(key, within=180)
    demand = Demand(USERS, LOAD_SECONDS, THINK)
    load = Load(kubectl.client(), key.name, demand)
    with api.watching(RISKPREDICTOR, key) as states, load:
        seen = Observations(states)
        _roll_out(seen, predictors, key, load.sums, _table(kubectl))
        _scale(seen, api, predictors, key, load.sums)
    seen.failures = dict(load.sums.failures)
    _publish(seen, tmp_path_factory.mktemp("outputs") / "riskpredictors.txt")
    return seen


def _roll_out(
    seen: Observations, predictors: Predictors, key: Key, sums: Sums, table: Callable[[], str]
) -> None:
    eventually(lambda: sums.ok > 100, within=120, what=f"requests are answered: {sums}")
    seen.tables["ready"] = table()
    with seen.phase("new version", sums):
        predictors.patch(key, modelVersion="v2")
        seen.tables["rolling"] = _while_rolling(table)
        predictors.wait(key, within=180)
    with seen.phase("broken version", sums):
        predictors.patch(key, modelVersion="nope")
        seen.broken = predictors.wait(key, "False", "ImagePullFailed", within=120)
        time.sleep(BROKEN_SECONDS)
        seen.tables["broken"] = table()
    with seen.phase("way back", sums):
        predictors.patch(key, modelVersion="v1")
        predictors.wait(key, within=180)


def _scale(seen: Observations, api: Api, predictors: Predictors, key: Key, sums: Sums) -> None:
    predictors.patch(key, replicas=4)
    predictors.wait(key, within=180)
    with seen.phase("fewer pods", sums, in_all=MANY):
        predictors.patch(key, replicas=2)
        pods = f"healthtech.dev/riskpredictor={key.name}"
        eventually(
            # The last one is gone only after it has drained.
            lambda: len(api.items(POD, key.namespace, pods)) == 2,
            within=180,
            what="two of four pods leave",
        )


def _while_rolling(table: Callable[[], str]) -> str:
    """The table when both versions serve or, where that is never said, when v2 is ready."""
    telling = re.compile(r"v2 +(v1,v2|v2 +True)")
    return eventually(lambda: text if telling.search(text := table()) else "", within=120)


def _table(kubectl: Kubectl) -> Callable[[], str]:
    return lambda: kubectl("get", "riskpredictors", "-o", "wide")


def _publish(seen: Observations, path: Path) -> None:
    text = "\n".join(f"# {moment}\n{table}" for moment, table in seen.tables.items())
    path.write_text(text)
    print(text)
    if wanted := os.environ.get("E2E_OUTPUTS"):
        Path(wanted).write_text(text)


@pytest.mark.parametrize(
    ("phase", "answering", "at_least"),
    [(phase, *expected) for phase, expected in PHASES.items()],
    ids=PHASES,
)
def test_no_request_fails(
    seen: Observations, phase: str, answering: set[str], at_least: int
) -> None:
    answers = seen.phases[phase]
    print(f"{phase}: {answers}")
    assert answers.failed == 0, seen.failures
    assert answers.ok >= at_least
    assert set(answers.versions) == answering


def test_not_one_of_20_000_requests_failed(seen: Observations) -> None:
    print(
        f"{seen.answered} requests answered during roll-outs and a scale-down,"
        f" {seen.failures} failed"
    )
    assert seen.failures == {}
    assert seen.answered >= MANY


def test_at_every_moment_the_status_keeps_the_rules_of_kstatus(seen: Observations) -> None:
    assert len(seen.states) > 10
    broken = {
        state["metadata"]["resourceVersion"]: found
        for state in seen.states
        if (found := violations(state))
    }
    assert broken == {}


def test_it_is_never_ready_while_another_version_serves(seen: Observations) -> None:
    for state in seen.states:
        serving = state["status"].get("servingVersion")
        if health(state) == "Current":
            assert serving == state["spec"]["modelVersion"], state["status"]
        if {c["type"]: c["status"] for c in state["status"]["conditions"]}["Ready"] == "True":
            # Also before the operator has seen a change: what it said was true of the older spec.
            assert state["status"]["image"] == f"health-predictor:{serving}"


def test_a_good_version_raises_no_false_alarm(seen: Observations) -> None:
    reasons = {
        condition["reason"]
        for state in seen.states
        if state["spec"]["modelVersion"] == "v2"
        for condition in state["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    assert reasons == {"Ready", "RollingOut"}


def test_ready_came_back_once_for_each_version_that_exists(seen: Observations) -> None:
    ready = [s["status"]["servingVersion"] for s in seen.states if health(s) == "Current"]
    turns = [now for before, now in zip(["", *ready], ready, strict=False) if now != before]
    assert turns == ["v1", "v2", "v1"]


def test_a_version_without_an_image_says_what_to_do(seen: Observations) -> None:
    status = seen.broken["status"]
    assert status["servingVersion"] == "v2"
    assert status["readyReplicas"] == 2
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert ready["message"] == (
        "nope: image health-predictor:nope cannot be pulled; check "
        "spec.modelVersion and spec.image, and that the image is in the registry; "
        "meanwhile v2 still answers"
    )


def test_kubectl_get_tells_the_state_at_a_glance(seen: Observations) -> None:
    rows = {moment: table.splitlines()[1].split() for moment, table in seen.tables.items()}
    # NAME MODEL SERVING READY ... REASON URL IMAGE; what is empty is no word.
    assert rows["ready"][1:4] == ["v1", "v1", "True"]
    rolling = rows["rolling"]
    # Both versions or, where nobody looked in time, the new one.
    assert (rolling[1:4], "RollingOut" in rolling) in (
        (["v2", "v1,v2", "False"], True),
        (["v2", "v2", "True"], False),
    )
    assert rows["broken"][1:4] == ["nope", "v2", "False"]
    assert "ImagePullFailed" in rows["broken"]
