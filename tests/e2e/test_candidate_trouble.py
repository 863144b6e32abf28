"""What may be wrong with a candidate or its store, on real pods: who is served notices nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3

from riskpredictor_operator.core.api import CONFIG_MAP, POD
from riskpredictor_operator.kube import Key
from support.api import SECRET, Api, Body, eventually
from support.candidates import GOOD, ONE_BYTE, STABLE, WRONG_CASE
from support.clinic import AT_ONCE, HELD, OPEN, Clinic, Trial, policy
from support.cluster import LocalCluster
from support.stores import http
from support.stores.http import WebServer

SOLO = {"minPairs": 100, "minDuration": "0s"}


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and what the status says of it."""

    reason: str
    says: str
    version: str = GOOD
    declared: Body = field(default_factory=dict)
    """Members of ``spec.model``."""
    place: str = ""
    """Where in the store it is said to be; empty: where it is."""


TROUBLES = {
    "one-byte-changed": Trouble("ModelDigestMismatch", "scorer.json", ONE_BYTE),
    "golden-case": Trouble("CandidateRejected", "golden case 'well'", WRONG_CASE),
    "missing": Trouble("ModelNotFound", "card.json", place="nowhere"),
    "password": Trouble(
        "ModelFetchFailed", "401", declared={"credentialsSecret": {"name": "other"}}
    ),
    "authority": Trouble("ModelFetchFailed", "certificate", declared={"caBundle": None}),
}


@dataclass
class Callers:
    """Somebody who asks every RiskPredictor again and again, as a new client each time."""

    urls: dict[str, str]
    record: Body
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    """By RiskPredictor: who answered how often, or what went wrong."""

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask during the block."""
        ended = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(name, ended)) for name in self.urls]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _ask(self, name: str, ended: threading.Event) -> None:
        counts = self.answers[name] = Counter()
        while not ended.wait(0.1):
            with urllib3.PoolManager(retries=False) as client:
                try:
                    answer = client.request(
                        "POST", f"{self.urls[name]}/predict", json=self.record, timeout=10
                    )
                    counts[answer.headers.get("X-Model-Version", str(answer.status))] += 1
                except urllib3.exceptions.HTTPError as error:
                    counts[repr(error)] += 1


@pytest.fixture(scope="module")
def troubled(clinic: Clinic, store: WebServer, api: Api) -> dict[str, Trial]:
    """A RiskPredictor for each trouble, all declared at once; v1 serves them when they begin."""
    namespace = clinic.predictors.namespace
    api.create(SECRET, {"metadata": {"name": "other", "namespace": namespace},
                        "stringData": {"username": "x", "password": "y"}})  # fmt: skip
    trials = {name: clinic.declare(name, store, rollout=policy(gates=OPEN)) for name in TROUBLES}
    for trial in trials.values():
        trial.ready()
    return trials


@pytest.fixture(scope="module")
def callers(clinic: Clinic, store: WebServer, troubled: dict[str, Trial]) -> Callers:
    """Who asked while the candidates were declared, refused, and the pods became three."""
    callers = Callers({name: t.url for name, t in troubled.items()}, clinic.records[0])
    with callers.asking():
        for name, trouble in TROUBLES.items():
            model = clinic.model(store, trouble.version, **trouble.declared)
            if trouble.place:
                model["source"] = {"http": {"url": f"{store.url}/{trouble.place}/"}}
            troubled[name].patch(modelVersion=trouble.version, model=model)
        for name, trouble in TROUBLES.items():
            troubled[name].not_ready(trouble.reason)
            troubled[name].patch(replicas=3)
        for trial in troubled.values():
            eventually(
                lambda trial=trial: trial.status.get("readyReplicas") == 3,  # type: ignore[misc]
                within=240, what=f"{trial.key}: three pods answer",
            )  # fmt: skip
    return callers


@pytest.mark.parametrize("name", TROUBLES)
def test_a_broken_candidate_is_told_and_harms_nobody(
    troubled: dict[str, Trial], callers: Callers, name: str
) -> None:
    """Also not a scale-out, whose new pods have no candidate either."""
    ready = troubled[name].condition("Ready")
    print(f"{name}: {ready['reason']}: {ready['message']}; {callers.answers[name]}")
    assert ready["reason"] == TROUBLES[name].reason
    assert TROUBLES[name].says in ready["message"]
    assert troubled[name].status["servingVersion"] == STABLE
    assert set(callers.answers[name]) == {STABLE}


def test_a_store_that_is_gone_stops_neither_a_change_nor_the_way_back(
    clinic: Clinic, cluster: LocalCluster, api: Api, folder: Path
) -> None:
    """The cluster has copies of both models by then."""
    namespace = clinic.predictors.namespace
    with http.serve(cluster.machine_address, folder / "outage") as store:
        assert store.authority
        authority = {"ca.crt": store.authority.read_text()}
        metadata = {"name": "outage-ca", "namespace": namespace}
        api.create(CONFIG_MAP, {"metadata": metadata, "data": authority})
        ca = {"caBundle": {"configMap": "outage-ca", "key": "ca.crt"}}
        first, second = (clinic.model(store, version, **ca) for version in (STABLE, GOOD))
        rollout = policy({"percent": 10, **SOLO}, shadow=HELD, gates=OPEN)
        trial = clinic.declare("outage", store, model=first, replicas=2, rollout=rollout)
        trial.ready()
        trial.patch(modelVersion=GOOD, model=second)
        trial.at_stage("Shadow")
        eventually(lambda: len(_copies(api, trial)) == 2, within=60, what="copies of both models")
        store.stop()
    trial.patch(rollout={"shadow": AT_ONCE})
    trial.send_new(100)
    trial.at_stage("Canary-10")
    trial.send_new(300)
    assert trial.ready()["servingVersion"] == GOOD
    for pod in trial.pods():
        api.delete(POD, Key(namespace, pod["metadata"]["name"]))
    trial.at_stage("")
    assert trial.ready()["readyReplicas"] == 2
    assert set(trial.send(clinic.records[:20])) == {GOOD}
    trial.patch(modelVersion=STABLE, model=first)
    assert trial.ready()["servingVersion"] == STABLE
    trial.at_stage("")
    assert set(trial.send(clinic.records[:20])) == {STABLE}


def _copies(api: Api, trial: Trial) -> list[Body]:
    prefix = f"{trial.key.name}-model-"
    bodies = api.items(CONFIG_MAP, trial.key.namespace)
    return [body for body in bodies if body["metadata"]["name"].startswith(prefix)]
