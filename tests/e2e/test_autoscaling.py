"""Load brings pods, quiet takes them away, and without metrics predictions go on.

One scenario for all tests here: 40 users until there are five pods, then two users, then the same
without metrics-server, then with it again; then many users once more, and the Deployment is deleted
under them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from kstatus import violations
from riskdemo.load import Load
from riskdemo.shell import Kubectl
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_operator.core.api import EVENT, KIND, POD
from riskpredictor_operator.kube import Key
from support.api import AUTOSCALER, DEPLOYMENT, RISKPREDICTOR, Api, Body, eventually
from support.cluster import LocalCluster
from support.diagnosis import explain
from support.predictors import Predictors

STABILIZATION_SECONDS = 15
OUT_SECONDS, IN_SECONDS = 120.0, 120.0
"""Bounds of scaling out and in, on a busy machine."""
START_SECONDS = 60.0
"""Bound of a new pod's way from its scheduling to its first answer, while others want the CPU."""


@dataclass
class Observations:
    """What the scenario showed."""

    seconds: dict[str, float] = field(default_factory=dict)
    requests: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Answered and failed ones under heavy and under light load."""
    conditions: dict[str, Body] = field(default_factory=dict)
    """Autoscaling, at telling moments."""
    starts: dict[str, float] = field(default_factory=dict)
    """Of each pod that was added under load: seconds from its scheduling to its first answer."""
    scaling: list[Body] = field(default_factory=list)
    """Every state of the RiskPredictor on the way from two pods to five and back to two."""
    told: list[str] = field(default_factory=list)
    """Reasons of the Events about it meanwhile."""
    without_metrics: list[Body] = field(default_factory=list)
    """Every state of the RiskPredictor while metrics-server was away and came back."""
    wanted: int = 0
    """Pods that the autoscaler wanted when the Deployment was deleted."""
    recreated: Body = field(default_factory=dict)
    """The first state of the Deployment that came in its place."""


@pytest.fixture(scope="module")
def seen(cluster: LocalCluster, api: Api, predictors: Predictors, kubectl: Kubectl) -> Observations:
    key = predictors.create("health-predictor", scaleDownStabilizationSeconds=STABILIZATION_SECONDS)
    predictors.wait(key, within=180)
    scenario = _Scenario(Observations(), cluster, api, predictors, kubectl, key)
    scenario.play()
    _print(scenario.seen)
    return scenario.seen


def _print(seen: Observations) -> None:
    print(
        f"load onset to 5 ready pods: {seen.seconds['out']} s; quiet to 2: {seen.seconds['in']} s"
    )
    starts = ", ".join(f"{seconds:.1f}" for seconds in sorted(seen.starts.values()))
    print(f"pod scheduled to its first answer at 200m: {starts} s")
    print(f"answered and failed: {seen.requests}")
    print(f"Ready and the pods that are ready, from 2 to 5 and back: {_turns(seen)}")
    print(f"Events meanwhile: {seen.told}")


def _turns(seen: Observations) -> list[tuple[str, str, int]]:
    """Ready's status and reason with the number of ready pods, at each change while it scales."""
    turns = []
    for state in seen.scaling:
        ready = next(c for c in state["status"]["conditions"] if c["type"] == "Ready")
        turns.append((ready["status"], ready["reason"], state["status"].get("readyReplicas", 0)))
    return [turn for turn, _ in itertools.groupby(turns)]


@dataclass
class _Scenario:
    seen: Observations
    cluster: LocalCluster
    api: Api
    predictors: Predictors
    kubectl: Kubectl
    key: Key
    _scheduled: dict[str, float] = field(default_factory=dict)

    def play(self) -> None:
        self._autoscaling("at first", "True")
        earlier = self._events()
        with self._load("heavy", users=40, think=0.0), self._noting_states():
            self._pods("out", 5, OUT_SECONDS, self._watch_starts)
            self.seen.conditions["under load"] = self._condition()
        with self._load("light", users=2, think=0.05):
            with self._noting_states():
                self._pods("in", 2, IN_SECONDS)
            self.seen.told = [r for name, r in self._events().items() if name not in earlier]
            with self.api.watching(RISKPREDICTOR, self.key) as self.seen.without_metrics:
                self.cluster.component("stop", "metrics-server")
                try:
                    self._autoscaling("without metrics", "False")
                finally:
                    self.cluster.component("start", "metrics-server")
                self._autoscaling("with metrics again", "True")
        with self._load("deleted", users=40, think=0.0):
            self._pods("out again", 5, OUT_SECONDS)
            self._delete_deployment()

    @contextmanager
    def _noting_states(self) -> Iterator[None]:
        with self.api.watching(RISKPREDICTOR, self.key) as states:
            yield
        self.seen.scaling += states

    def _events(self) -> dict[str, str]:
        """The Events about the RiskPredictor, by name."""
        return {
            event["metadata"]["name"]: event["reason"]
            for event in self.api.items(EVENT, self.key.namespace)
            if event["involvedObject"]["kind"] == KIND
        }

    def _delete_deployment(self) -> None:
        uid = self.api.need(DEPLOYMENT, self.key)["metadata"]["uid"]
        self.seen.wanted = self.api.need(AUTOSCALER, self.key)["status"]["desiredReplicas"]
        with self.api.watching(DEPLOYMENT, self.key) as states:
            self.api.delete(DEPLOYMENT, self.key)

            def found() -> list[Body]:
                return [state for state in states if state["metadata"]["uid"] != uid]

            self._wait(lambda: bool(found()), 60, "another Deployment")
            self.seen.recreated = found()[0]
        self.predictors.wait(self.key, within=120)

    @contextmanager
    def _load(self, name: str, users: int, think: float) -> Iterator[None]:
        demand = Demand(users, 300, think)
        load = Load(self.kubectl.client(), self.key.name, demand)
        with load:
            yield
        self.seen.requests[name] = (load.sums.ok, load.sums.failed)

    def _watch_starts(self) -> None:
        """To be called often: what the API server tells has a resolution of a second."""
        now = time.monotonic()
        for pod in self.api.items(
            POD, self.key.namespace, f"healthtech.dev/riskpredictor={self.key.name}"
        ):
            name = pod["metadata"]["name"]
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            # Ready is the answer to the kubelet's first question.
            if conditions.get("Ready") != "True":
                if conditions.get("PodScheduled") == "True":
                    self._scheduled.setdefault(name, now)
            elif name in self._scheduled:
                self.seen.starts.setdefault(name, now - self._scheduled[name])

    def _pods(
        self, name: str, count: int, within: float, look: Callable[[], None] = lambda: None
    ) -> None:
        """Wait for so many pods, all ready, as the autoscaler wants it."""

        def reached() -> bool:
            look()
            status = self.api.need(RISKPREDICTOR, self.key)["status"]
            wanted = self.api.need(AUTOSCALER, self.key)["status"]["desiredReplicas"]
            return bool(status["replicas"] == status["readyReplicas"] == wanted == count)

        started = time.monotonic()
        self._wait(reached, within, f"{count} pods")
        self.seen.seconds[name] = round(time.monotonic() - started, 1)
        self.predictors.wait(self.key, within=120)

    def _autoscaling(self, name: str, status: str) -> None:
        started = time.monotonic()
        self._wait(lambda: self._condition().get("status") == status, 90, f"Autoscaling={status}")
        self.seen.seconds[name] = round(time.monotonic() - started, 1)
        self.seen.conditions[name] = self._condition()

    def _condition(self) -> Body:
        return self.predictors.condition(self.key, "Autoscaling")

    def _wait(self, reached: Callable[[], bool], within: float, what: str) -> None:
        try:
            eventually(reached, within=within, every=0.2, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{explain(self.cluster, self.key)}") from None


def test_under_load_it_grows_from_two_to_five_pods(seen: Observations) -> None:
    assert seen.seconds["out"] < OUT_SECONDS
    said = "between 2 and 5 pods at 70 % of the CPU request"
    assert seen.conditions["under load"]["status"] == "True"
    assert seen.conditions["under load"]["message"] == said


def test_while_it_scales_it_stays_ready_and_tells_of_no_roll_out(seen: Observations) -> None:
    turns = _turns(seen)
    pods = [ready_pods for *_, ready_pods in turns]
    assert (pods[0], max(pods), pods[-1]) == (2, 5, 2), turns
    assert {(status, reason) for status, reason, _ in turns} == {("True", "Ready")}
    assert not {"RollingOut", "Ready"} & set(seen.told), seen.told


def test_a_new_pod_helps_soon(seen: Observations) -> None:
    assert len(seen.starts) == 3
    assert max(seen.starts.values()) < START_SECONDS


def test_growing_turns_nobody_away(seen: Observations) -> None:
    answered, failed = seen.requests["heavy"]
    assert failed == 0
    assert answered > 1000


def test_when_it_is_quiet_pods_go_and_no_request_with_them(seen: Observations) -> None:
    assert STABILIZATION_SECONDS < seen.seconds["in"] < IN_SECONDS
    answered, failed = seen.requests["light"]
    assert failed == 0
    assert answered > 500


def test_without_metrics_the_status_says_what_to_check(seen: Observations) -> None:
    condition = seen.conditions["without metrics"]
    assert condition["reason"] == "MetricsUnavailable"
    assert "check that metrics-server is installed and healthy" in condition["message"]


def test_without_metrics_it_stays_ready(seen: Observations) -> None:
    states = [
        {c["type"]: c["status"] for c in state["status"]["conditions"]}
        for state in seen.without_metrics
    ]
    assert {conditions["Ready"] for conditions in states} == {"True"}
    assert {conditions["Autoscaling"] for conditions in states} == {"True", "False"}
    assert [found for state in seen.without_metrics if (found := violations(state))] == []


def test_it_follows_the_load_again_when_metrics_come_back(seen: Observations) -> None:
    assert seen.conditions["with metrics again"]["reason"] == "ScalingActive"


def test_a_deployment_deleted_under_load_comes_back_as_large(seen: Observations) -> None:
    """Not at the minimum, whose pods would have to bear it all until the autoscaler looks again."""
    assert seen.recreated["metadata"]["generation"] == 1
    assert seen.wanted > 2
    assert seen.recreated["spec"]["replicas"] == seen.wanted
