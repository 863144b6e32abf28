"""A model change on a real API server: what the operator writes, and what it never does.

Fake nodes start the pods, and servers answer in their place (``support/counting_pods.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.operator.trial import FAST, digest

import kstatus
from riskpredictor_operator.core import api as names
from riskpredictor_operator.core.api import ANNOTATION_ABORTED, ANNOTATION_STAGE, CHILDREN, EVENT
from riskpredictor_operator.kube import Key
from support.api import DEPLOYMENT, RISKPREDICTOR, Api, Body, eventually
from support.audit import WRITES, Mark, resource_of
from support.cluster import LocalCluster
from support.counting_pods import CountingPods
from support.operator import Supervisor
from support.plugin import Plugin
from support.predictors import Predictors

SLOW_CANARY = {**FAST, "canary": {"steps": [{"percent": 10, "minDuration": "1h"}]}}
SLOW_SHADOW = {**FAST, "shadow": {"minDuration": "1h"}}


@pytest.fixture(scope="module")
def operator(
    operator_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervisor]:
    """An operator that is started again when it is killed, and that asks pods often."""
    log = tmp_path_factory.mktemp("rollout") / "operator.log"
    flags = ("--leader-election=false", "--evidence-seconds=1")
    with Supervisor(operator_config, log, *flags) as supervisor:
        yield supervisor
    assert "Traceback" not in supervisor.says()


@pytest.fixture
def pods(api: Api, namespace: str) -> Iterator[CountingPods]:
    with CountingPods(api, namespace) as pods:
        yield pods


class Changing:
    """One RiskPredictor whose model changes."""

    def __init__(self, api: Api, predictors: Predictors) -> None:
        self._api = api
        self._predictors = predictors
        self.key = Key(predictors.namespace, "risk")

    def serve(self, **spec: Any) -> None:
        """Serve v1, one pod of it."""
        self._predictors.create(minReplicas=1, **{"rollout": FAST, **spec})
        self._predictors.wait(self.key)

    def declare(self, **spec: Any) -> Body:
        """A commit."""
        return self._predictors.patch(self.key, **spec)

    @property
    def body(self) -> Body:
        return self._api.need(RISKPREDICTOR, self.key)

    @property
    def deployment(self) -> Body:
        return self._api.need(DEPLOYMENT, self.key)

    @property
    def template(self) -> Body:
        found: Body = self.deployment["spec"]["template"]
        return found

    @property
    def stage(self) -> str:
        """The stage in the pod template; empty without a candidate."""
        return str((self.template["metadata"].get("annotations") or {}).get(ANNOTATION_STAGE, ""))

    def until(self, phase: str, within: float = 90.0) -> Body:
        """Wait for a phase; ``status.rollout``."""

        def reached() -> Body | None:
            rollout: Body = (self.body.get("status") or {}).get("rollout") or {}
            return rollout if rollout.get("phase") == phase else None

        found = eventually(reached, within=within, every=0.1, what=f"{self.key}: {phase}")
        assert found is not None
        assert kstatus.violations(self.body) == []
        return found

    def until_aborted(self) -> Body:
        """Wait for an abort, and for the pods that follow it; ``status.rollout``."""
        rollout = self.until("Aborted")
        eventually(lambda: not self.stage, what=f"{self.key}: the former template")
        return rollout

    def until_promoted(self, version: str) -> Body:
        """Wait until a model has passed all steps and is served; its entry in the history."""
        eventually(lambda: self._newest(version), within=120, every=0.1, what=f"{version} promoted")
        self._predictors.wait(self.key)
        entry: Body = self.body["status"]["history"][0]
        assert (entry["version"], entry["outcome"]) == (version, "Promoted")
        return entry

    def _newest(self, version: str) -> bool:
        history = (self.body.get("status") or {}).get("history") or [{}]
        return (history[0].get("version"), history[0].get("outcome")) == (version, "Promoted")


@pytest.fixture
def changing(api: Api, predictors: Predictors, operator: Supervisor) -> Changing:
    assert operator
    return Changing(api, predictors)


def of_git(body: Body) -> dict[str, Any]:
    """What a commit declares, and nobody else may touch."""
    metadata = body["metadata"]
    kept = {name: metadata.get(name) for name in ("generation", "annotations", "labels")}
    return {"spec": body["spec"], **kept}


@pytest.mark.usefixtures("pods")
def test_neither_promotion_nor_abort_nor_revert_writes_what_git_declares(
    cluster: LocalCluster, changing: Changing, predictors: Predictors
) -> None:
    changing.serve()
    mark = Mark(cluster)
    declared = of_git(changing.declare(modelVersion="v2"))
    entry = changing.until_promoted("v2")
    assert {gate["state"] for gate in entry["gates"]} <= {"Passed", "NotApplicable"}
    assert of_git(changing.body) == declared
    served = changing.template
    declared = of_git(changing.declare(modelVersion="bad-v3"))
    changing.until_aborted()
    assert predictors.condition(changing.key)["reason"] == "RolloutAborted"
    assert changing.template == served
    assert of_git(changing.body) == declared
    declared = of_git(changing.declare(modelVersion="v2"))
    predictors.wait(changing.key)
    assert of_git(changing.body) == declared
    assert declared["generation"] == 4
    written = {
        resource_of(entry)
        for entry in mark.requests()
        if entry["verb"] in WRITES and entry["objectRef"]["resource"] == "riskpredictors"
    }
    assert written == {"riskpredictors/status"}


def _restart(operator: Supervisor) -> None:
    count = operator.says().count("listed ")
    operator.kill()
    eventually(lambda: operator.says().count("listed ") > count, within=60, what="it has listed")


def _manifest(key: Key, **spec: Any) -> str:
    """A file in Git."""
    return json.dumps(
        {
            "apiVersion": RISKPREDICTOR.api_version,
            "kind": RISKPREDICTOR.kind,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "spec": {"minReplicas": 1, "rollout": FAST, **spec},
        }
    )


@pytest.mark.usefixtures("pods")
def test_an_abort_outlasts_restarts_and_the_same_file_and_changes_of_other_fields(
    cluster: LocalCluster, api: Api, changing: Changing, operator: Supervisor,
    predictors: Predictors,
) -> None:  # fmt: skip
    def apply(**spec: Any) -> None:
        cluster.kubectl("apply", "-f", "-", stdin=_manifest(changing.key, **spec))

    def await_pass() -> None:
        body = changing.body
        eventually(
            lambda: changing.body["status"]["observedGeneration"] == body["metadata"]["generation"]
        )

    apply(modelVersion="v1")
    predictors.wait(changing.key)
    apply(modelVersion="bad-v2")
    changing.until_aborted()
    settled = changing.deployment
    with api.watching(DEPLOYMENT, changing.key) as states:
        for _ in range(2):
            _restart(operator)
        apply(modelVersion="bad-v2")
        changing.declare(maxReplicas=7)
        await_pass()
        cluster.kubectl(
            "-n", changing.key.namespace, "annotate", "riskpredictor", changing.key.name, "note=x"
        )
        apply(modelVersion="bad-v2")
        await_pass()
        assert {state["metadata"]["generation"] for state in states} == {
            settled["metadata"]["generation"]
        }, "nothing was asked of the pods"
        changing.declare(podTemplate={"annotations": {"example.com/team": "er"}})
        eventually(lambda: changing.deployment["metadata"]["generation"] > 1)
        predictors.wait(changing.key, "False", "RolloutAborted")
        assert all("candidate" not in json.dumps(state["spec"]) for state in states)
    assert changing.until("Aborted")["candidate"]["version"] == "bad-v2"
    apply(modelVersion="bad-v2", rollout={**FAST, "retry": "1"})
    changing.until("Shadow")


@pytest.mark.usefixtures("pods")
def test_a_person_aborts_one_change_and_not_the_next_try(
    cluster: LocalCluster, changing: Changing
) -> None:
    changing.serve(rollout=SLOW_CANARY)
    served = changing.template
    changing.declare(modelVersion="v2")
    assert changing.until("Canary")["percent"] == 10
    said = Plugin(cluster, changing.key.namespace)("rollout", "abort", "risk", "--yes")
    assert said == "risk: v2 was aborted, v1 is the model again\n"
    entry = changing.body["status"]["history"][0]
    assert entry["outcome"] == "Aborted"
    assert "stopped by hand" in entry["message"]
    eventually(lambda: changing.template == served, what="the former template")
    changing.declare(rollout={**FAST, "retry": "2"})
    assert names.ANNOTATION_ABORT in changing.body["metadata"]["annotations"]
    assert changing.until_promoted("v2")["retry"] == "2"


@pytest.mark.usefixtures("pods")
def test_what_passed_its_gates_is_promoted_once_its_digest_is_approved(
    changing: Changing, predictors: Predictors
) -> None:
    changing.serve(rollout={**FAST, "approval": {"required": True}})
    changing.declare(modelVersion="v2")
    told = changing.until("AwaitingApproval")
    assert told["candidate"]["digest"] == digest("v2")
    message = predictors.condition(changing.key)["message"]
    assert f"set spec.rollout.approval.digest to {digest('v2')}" in message
    changing.declare(rollout={"approval": {"digest": digest("v3")}})

    def named() -> bool:
        return f"it is {digest('v3')}" in predictors.condition(changing.key)["message"]

    eventually(named, what="the wrong digest is named")
    assert changing.body["status"]["rollout"]["phase"] == "AwaitingApproval"
    changing.declare(rollout={"approval": {"digest": digest("v2")}})
    assert changing.until_promoted("v2")["approval"] == digest("v2")


@pytest.mark.usefixtures("pods")
def test_other_gates_while_a_model_is_on_trial_are_told_and_cost_no_evidence(
    api: Api, changing: Changing
) -> None:
    changing.serve(rollout=SLOW_SHADOW)
    changing.declare(modelVersion="v2")
    eventually(lambda: (changing.until("Shadow").get("evidence") or {}).get("pairs", 0) > 0)
    before = changing.until("Shadow")
    changing.declare(rollout={"gates": {"maxUpgradePercent": 25}})

    def told() -> list[str]:
        events = api.items(EVENT, changing.key.namespace)
        return [e["message"] for e in events if e["reason"] == "GatesChanged"]

    (message,) = eventually(told, what="the Event")
    assert before["policyDigest"] in message
    after = changing.until("Shadow")
    assert after["policyDigest"] != before["policyDigest"]
    assert after["evidence"]["pairs"] >= before["evidence"]["pairs"]
    assert (after["id"], after["startedAt"]) == (before["id"], before["startedAt"])


@pytest.mark.usefixtures("pods")
def test_a_wiped_status_forgets_no_abort(api: Api, changing: Changing) -> None:
    changing.serve()
    changing.declare(modelVersion="bad-v2")
    changing.until_aborted()
    annotations = changing.deployment["metadata"]["annotations"]
    assert annotations[ANNOTATION_ABORTED] == changing.body["status"]["aborted"][0]["key"]
    with api.watching(DEPLOYMENT, changing.key) as states:
        wiped = {"rollout": None, "aborted": None, "history": None}
        api.patch(RISKPREDICTOR, changing.key, {"status": wiped}, sub="status")
        told = changing.until("Aborted")
        assert "the Deployment's annotation remembers it" in told["message"]
        assert len({state["metadata"]["generation"] for state in states}) == 1


@pytest.mark.usefixtures("pods")
def test_a_wiped_status_takes_no_step_back(api: Api, changing: Changing) -> None:
    changing.serve(rollout=SLOW_CANARY)
    changing.declare(modelVersion="v2")
    changing.until("Canary")
    eventually(lambda: changing.stage == "Canary-10")
    with api.watching(DEPLOYMENT, changing.key) as states:
        wiped = {"rollout": None, "aborted": None, "history": None}
        api.patch(RISKPREDICTOR, changing.key, {"status": wiped}, sub="status")
        assert changing.until("Canary")["stable"]["version"] == "v1"
        assert len({state["metadata"]["generation"] for state in states}) == 1


@pytest.mark.usefixtures("pods")
def test_a_deleted_deployment_comes_back_at_its_stage(api: Api, changing: Changing) -> None:
    changing.serve(rollout=SLOW_CANARY)
    changing.declare(modelVersion="v2")
    before = changing.until("Canary")
    eventually(lambda: changing.stage == "Canary-10")
    template = changing.template
    api.delete(DEPLOYMENT, changing.key)
    eventually(lambda: api.get(DEPLOYMENT, changing.key), what="the Deployment")
    assert changing.template == template
    assert changing.until("Canary")["id"] == before["id"]


def test_one_that_is_deleted_in_the_middle_leaves_nothing(
    api: Api, changing: Changing, pods: CountingPods
) -> None:
    changing.serve(rollout=SLOW_CANARY)
    changing.declare(modelVersion="v2")
    changing.until("Canary")
    api.delete(RISKPREDICTOR, changing.key)

    def left() -> list[str]:
        kinds = (*CHILDREN, names.POD, names.CONFIG_MAP)
        found = [(kind, each) for kind in kinds for each in api.items(kind, changing.key.namespace)]
        return [
            f"{kind.kind} {each['metadata']['name']}"
            for kind, each in found
            if each["metadata"]["name"] != "kube-root-ca.crt"
        ]

    eventually(lambda: not left(), within=60, what="nothing is left")
    asked = pods.asked
    # Another change is polled meanwhile, so that there was time to ask the former pods, too.
    changing.serve(rollout=SLOW_SHADOW, modelVersion="v4")
    changing.declare(modelVersion="v5")
    eventually(lambda: pods.asked > asked, what="pods of the namesake")
    assert changing.until("Shadow")["candidate"]["version"] == "v5"
