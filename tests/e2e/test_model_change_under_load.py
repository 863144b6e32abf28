"""Models change under load, one to its end and one that is stopped: nobody is turned away.

A pod in the cluster sends requests through the Service all the while.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from riskdemo.load import Load
from riskdemo.shell import Kubectl
from riskpredictor_kubectl.loadgen import Demand
from support.api import AUTOSCALER, DEPLOYMENT, SERVICE, Api, eventually
from support.candidates import GOOD, STABLE, UNDER
from support.clinic import OPEN, Clinic, Trial, policy
from support.stores.http import WebServer

USERS, THINK = 10, 0.008
LOAD_SECONDS = 900
"""Bound of the load; it ends with the scenario."""
MANY = 20_000
FEW = {"minPairs": 200, "minDuration": "0s"}
STEPS = {"percent": 10, **FEW}, {"percent": 50, **FEW}
AUTOSCALED = {"replicas": None, "minReplicas": 2, "maxReplicas": 3}
RESOURCES = {
    "requests": {"cpu": "100m", "memory": "64Mi"},
    "limits": {"cpu": "1", "memory": "128Mi"},
}


@dataclass
class Observations:
    """What a scenario showed."""

    steps: list[str] = field(default_factory=list)
    """Each as it was reached."""
    objects: set[tuple[int, int, int]] = field(default_factory=set)
    """Numbers of Deployments, Services and autoscalers, whenever somebody looked."""
    answered: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def look(self, api: Api, trial: Trial) -> str:
        """Note the objects and the present step, and return it."""
        step = str(trial.rollout.get("step", ""))
        if step not in self.steps[-1:]:
            self.steps.append(step)
        labels = f"healthtech.dev/riskpredictor={trial.key.name}"
        kinds = (DEPLOYMENT, SERVICE, AUTOSCALER)
        deployments, services, autoscalers = (
            len(api.items(kind, trial.key.namespace, labels)) for kind in kinds
        )
        self.objects.add((deployments, services, autoscalers))
        return step


@pytest.fixture(scope="module")
def stopped(api: Api, kubectl: Kubectl, clinic: Clinic, store: WebServer) -> Observations:
    """A change to a model that under-triages; of models in a store, and with the default gates."""
    rollout = policy(*STEPS, shadow={"minPairs": 500, "minDuration": "0s"})
    trial = clinic.declare("stopped", store, rollout=rollout, resources=RESOURCES, **AUTOSCALED)
    trial.ready()
    seen = Observations()
    with Load(kubectl.client(), trial.key.name, Demand(USERS, LOAD_SECONDS, THINK)) as load:
        _await_answers(load, 100)
        trial.change_to(UNDER)
        eventually(
            lambda: seen.look(api, trial) == "Aborted",
            within=180, every=0.1, what=f"v2-under is stopped: {seen}",
        )  # fmt: skip
        trial.at_stage("")
        _await_answers(load, MANY // 4)
        seen.look(api, trial)
    return _ended(seen, load)


@pytest.fixture(scope="module")
def promoted(api: Api, kubectl: Kubectl, clinic: Clinic, store: WebServer) -> Observations:
    """A change to a model that may be promoted; both are in their images, the servers' too."""
    rollout = policy(*STEPS, shadow=FEW, gates=OPEN)
    trial = clinic.declare(
        "promoted", store, model=None, rollout=rollout, resources=RESOURCES, **AUTOSCALED
    )
    trial.ready()
    seen = Observations()
    with Load(kubectl.client(), trial.key.name, Demand(USERS, LOAD_SECONDS, THINK)) as load:
        _await_answers(load, 100)
        trial.patch(modelVersion=GOOD)
        eventually(
            lambda: seen.look(api, trial) == "" and trial.status["servingVersion"] == GOOD,
            within=240, every=0.1, what=f"v2 is promoted: {seen}",
        )  # fmt: skip
        trial.ready()
        _await_answers(load, MANY)
        seen.look(api, trial)
    assert trial.status["image"] == f"health-predictor:{GOOD}"
    return _ended(seen, load)


def _await_answers(load: Load, count: int) -> None:
    eventually(
        lambda: load.sums.ok >= count or load.sums.failed,
        within=240, every=0.1, what=f"{count} answers: {load.sums}",
    )  # fmt: skip


def _ended(seen: Observations, load: Load) -> Observations:
    seen.answered, seen.failures = dict(load.sums.versions), dict(load.sums.failures)
    print(seen)
    return seen


def test_not_one_of_20_000_requests_fails_while_a_model_is_tried_and_promoted(
    promoted: Observations,
) -> None:
    assert promoted.failures == {}
    assert sum(promoted.answered.values()) >= MANY
    assert set(promoted.answered) == {STABLE, GOOD}


def test_not_one_request_fails_while_a_model_is_stopped_and_it_answers_none(
    stopped: Observations,
) -> None:
    assert stopped.failures == {}
    assert sum(stopped.answered.values()) >= MANY // 4
    assert set(stopped.answered) == {STABLE}


def test_it_goes_through_all_steps_in_their_order(promoted: Observations) -> None:
    assert [step for step in promoted.steps if step] == [
        "Shadow",
        "Canary 10%",
        "Canary 50%",
        "Promoting",
    ]


def test_there_is_one_deployment_one_service_and_one_autoscaler_at_every_step(
    promoted: Observations, stopped: Observations
) -> None:
    assert promoted.objects | stopped.objects == {(1, 1, 1)}
