"""The change of a model on real pods: compared, tried, promoted or stopped, and remembered."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from riskpredictor_operator.core.api import ANNOTATION_CHANGE_REF
from support.api import RISKPREDICTOR, Api, Body, eventually
from support.audit import Mark
from support.candidates import GOOD, OTHER_LEVELS, STABLE, UNDER
from support.clinic import AT_ONCE, HELD, OPEN, Clinic, Trial, policy
from support.cluster import LocalCluster
from support.fetch import digest_of
from support.operator import SYSTEM
from support.stores.http import WebServer

AT_10, AT_50 = {"percent": 10, **HELD}, {"percent": 50, **HELD}
SHADOW = {"minPairs": 500, "minDuration": "0s"}
CHANGES: dict[str, tuple[str, Body]] = {
    "share": (GOOD, {"replicas": 2, "rollout": policy(AT_10, AT_50, gates=OPEN)}),
    "matrix": (UNDER, {"replicas": 2, "rollout": policy(shadow=HELD, gates=OPEN)}),
    "stopped": (UNDER, {"rollout": policy({"percent": 10, **AT_ONCE}, shadow=SHADOW)}),
    "back": (GOOD, {"rollout": policy(gates=OPEN)}),
    "few": (GOOD, {"rollout": policy(shadow=SHADOW)}),
    "approved": (GOOD, {"rollout": policy(gates=OPEN, approval={"required": True})}),
    "observed": (STABLE, {"rollout": policy(shadow=SHADOW, gates=OPEN)}),
    "other levels": (OTHER_LEVELS, {"rollout": policy(AT_10)}),
}
"""The model that a RiskPredictor changes to, and its spec; each is the subject of a test."""


@pytest.fixture(scope="module")
def audit(cluster: LocalCluster) -> Mark:
    """What the operator does from now on."""
    return Mark(cluster)


@pytest.fixture(scope="module")
def trials(clinic: Clinic, store: WebServer, audit: Mark) -> dict[str, Trial]:
    """A RiskPredictor for each change, all declared at once and then changed at once."""
    trials = {
        name: clinic.declare(name.replace(" ", "-"), store, **spec)
        for name, (_, spec) in CHANGES.items()
    }
    for trial in trials.values():
        trial.ready()
    for name, (version, _) in CHANGES.items():
        trials[name].change_to(version)
    return trials


def test_the_share_is_exact_and_sticky(trials: dict[str, Trial], clinic: Clinic) -> None:
    """With two pods, which know nothing of each other."""
    trial = trials["share"]
    trial.at_stage("Shadow")
    trial.send_new(500)
    trial.at_stage("Canary-10")
    subjects = [f"patient-{number}" for number in range(5000)]
    first = trial.send(clinic.records[:1], subjects)
    print(f"{first.count(GOOD)} of 5000 subjects at 10 %")
    assert set(first) == {STABLE, GOOD}
    # Three standard deviations of a binomial distribution.
    assert abs(first.count(GOOD) - 500) <= 64
    assert trial.send(clinic.records[1:2], subjects) == first
    trial.patch(rollout=policy(AT_10 | AT_ONCE, AT_50, gates=OPEN))
    trial.send_new(500)
    trial.at_stage("Canary-50")
    then = trial.send(clinic.records[:1], subjects)
    print(f"{then.count(GOOD)} of 5000 subjects at 50 %")
    assert abs(then.count(GOOD) - 2500) <= 106
    assert not [
        s for s, a, b in zip(subjects, first, then, strict=True) if (a, b) == (GOOD, STABLE)
    ]


def test_the_matrix_is_that_of_an_offline_comparison(
    trials: dict[str, Trial], clinic: Clinic, tmp_path: Path
) -> None:
    """1,000 patients, each sent once, to either of two pods."""
    trial = trials["matrix"]
    trial.at_stage("Shadow")
    records = clinic.records[:1000]
    assert set(trial.send(records)) == {STABLE}
    counted = trial.has_pairs(1000)
    file = tmp_path / "patients.csv"
    with file.open("w", newline="") as out:
        table = csv.DictWriter(out, list(clinic.schema.names))
        table.writeheader()
        table.writerows(records)
    compare = [sys.executable, "-m", "riskpredictor_server", "compare", "--json"]
    models = [clinic.models[STABLE], clinic.models[UNDER]]
    said = subprocess.run([*compare, *models, file], capture_output=True, text=True, check=True)
    offline = json.loads(said.stdout)
    print(f"{counted['matrix']} of {counted['pods']} pods")
    assert counted["pods"] == 2
    assert (counted["pairs"], counted["matrix"]) == (1000, offline["matrix"])
    assert offline["downgradePercent"] > 5, "the comparison has something to find"


@pytest.fixture(scope="module")
def stopped(trials: dict[str, Trial]) -> Trial:
    """One whose candidate under-triages, with the default gates, after it was stopped."""
    trial = trials["stopped"]
    trial.at_stage("Shadow")
    answered = trial.send_new(1000)
    trial.not_ready("RolloutAborted")
    answered += trial.send_new(1000)
    trial.at_stage("")
    answered += trial.send_new(500)
    assert answered == {STABLE: 2500}
    return trial


def test_a_model_that_under_triages_is_stopped_in_shadow_and_never_answers(stopped: Trial) -> None:
    status = stopped.status
    message = stopped.condition("Ready")["message"]
    print(message)
    assert f"{UNDER} was stopped, {STABLE} answers" in message
    assert "Downgrade is" in message
    assert stopped.condition("Stalled")["reason"] == "RolloutAborted"
    assert (status["servingVersion"], status["model"]["version"]) == (STABLE, STABLE)
    assert (status["rollout"]["phase"], status["history"][0]["outcome"]) == ("Aborted", "Aborted")
    failed = {gate["name"] for gate in status["history"][0]["gates"] if gate["state"] == "Failed"}
    assert "Downgrade" in failed


def test_an_abort_is_remembered(
    stopped: Trial, cluster: LocalCluster, api: Api, clinic: Clinic
) -> None:
    """Whatever happens to the operator and to other fields; only another retry word tries again."""
    before = stopped.deployment_generation
    body = api.need(RISKPREDICTOR, stopped.key)
    _restart_the_operator(cluster)
    declared = {
        "apiVersion": RISKPREDICTOR.api_version,
        "kind": RISKPREDICTOR.kind,
        "metadata": {"name": stopped.key.name, "namespace": stopped.key.namespace},
        "spec": body["spec"],
    }
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(declared)
    )
    cluster.kubectl("-n", stopped.key.namespace, "annotate", "rp", stopped.key.name, "note=seen")
    stopped.patch(replicas=2)
    eventually(lambda: stopped.status.get("readyReplicas") == 2, within=60)
    stopped.not_ready("RolloutAborted")
    stopped.at_stage("")
    assert stopped.deployment_generation == before + 1, "one change was asked for: replicas"
    assert stopped.rollout["phase"] == "Aborted"
    stopped.patch(rollout={"retry": "1"})
    stopped.at_stage("Shadow")
    assert stopped.rollout["phase"] == "Shadow"


def test_a_revert_ends_a_trial_at_once(stopped: Trial) -> None:
    """Nothing is sent, and no gate is asked."""
    stopped.change_to(STABLE)
    status = stopped.ready()
    stopped.at_stage("")
    assert "rollout" not in status
    assert status["servingVersion"] == STABLE
    assert [entry["outcome"] for entry in status["history"][:2]] == ["Reverted", "Aborted"]


def test_the_way_back_is_immediate_and_the_way_forth_is_gated_again(
    trials: dict[str, Trial], clinic: Clinic
) -> None:
    trial = trials["back"]
    trial.at_stage("Shadow")
    trial.send_new(200)
    assert trial.ready()["servingVersion"] == GOOD
    trial.change_to(STABLE)
    # Nobody has sent anything since.
    assert trial.ready()["servingVersion"] == STABLE
    history = [(entry["version"], entry["outcome"]) for entry in trial.status["history"]]
    assert history[:2] == [(STABLE, "Promoted"), (GOOD, "Withdrawn")]
    trial.change_to(GOOD)
    trial.at_stage("Shadow")
    assert trial.rollout["phase"] == "Shadow"
    assert set(trial.send(clinic.records[:50])) == {STABLE}


def test_too_few_requests_decide_nothing(trials: dict[str, Trial], clinic: Clinic) -> None:
    """Neither 40 patients nor 10,000 requests about one; the deadline makes it Stalled."""
    trial = trials["few"]
    trial.at_stage("Shadow")
    trial.send_batches(clinic.records[:1] * 10_000)
    assert trial.has_pairs(1)["pairs"] == 1
    trial.send_batches(clinic.records[1:40])
    assert trial.has_pairs(40)["pairs"] == 40
    ready = trial.not_ready("InsufficientData")
    print(ready["message"])
    assert "40 pairs in this step, needs about " in ready["message"]
    assert trial.condition("Reconciling")["status"] == "True"
    trial.patch(rollout={"deadline": "1s"})
    eventually(lambda: trial.condition("Stalled").get("status") == "True", within=60)
    assert trial.condition("Stalled")["reason"] == "InsufficientData"
    assert set(trial.send(clinic.records[:50])) == {STABLE}


def test_a_person_approves_by_digest_and_all_is_on_record(
    trials: dict[str, Trial], clinic: Clinic, api: Api
) -> None:
    right, other = digest_of(clinic.models[GOOD]), digest_of(clinic.models[UNDER])
    trial = trials["approved"]
    noted = {"metadata": {"annotations": {ANNOTATION_CHANGE_REF: "CHG-4711"}}}
    api.patch(RISKPREDICTOR, trial.key, noted)
    trial.at_stage("Shadow")
    trial.send_new(200)
    message = trial.not_ready("AwaitingApproval")["message"]
    assert f"set spec.rollout.approval.digest to {right}" in message
    assert trial.condition("CandidateAccepted")["reason"] == "GatesPassed"
    trial.patch(rollout={"approval": {"digest": other}})
    message = trial.not_ready("AwaitingApproval")["message"]
    assert f"it is {other}, another model" in message
    trial.patch(rollout={"approval": {"digest": right}})
    entry = trial.ready()["history"][0]
    print(json.dumps(entry))
    assert (entry["outcome"], entry["digest"], entry["approval"]) == ("Promoted", right, right)
    assert entry["from"] == {"version": STABLE, "digest": digest_of(clinic.models[STABLE])}
    assert (entry["image"], entry["changeRef"]) == ("health-predictor:runtime", "CHG-4711")
    assert entry["policyDigest"].startswith("sha256:")
    assert entry["manager"]
    assert {gate["name"] for gate in entry["gates"]} >= {"Downgrade", "CandidateErrors"}


def test_a_model_in_the_shadow_never_answers_and_what_it_showed_counts(
    trials: dict[str, Trial], clinic: Clinic, store: WebServer
) -> None:
    trial = trials["observed"]
    trial.patch(shadow={"modelVersion": GOOD, "model": clinic.model(store, GOOD)})
    trial.at_stage("Shadow")
    assert trial.send_new(600) == {STABLE: 600}
    status = trial.ready()
    assert (status["rollout"]["phase"], status["rollout"]["candidate"]["version"]) == (
        "Observing",
        GOOD,
    )
    trial.change_to(GOOD, shadow=None)
    status = trial.ready()
    assert status["servingVersion"] == GOOD
    # Nobody has sent anything since it was declared.
    assert status["history"][0]["evidence"]["pairs"] == 600
    assert status["history"][0]["outcome"] == "Promoted"


def test_a_model_that_cannot_be_compared_takes_a_rolling_update(
    trials: dict[str, Trial],
) -> None:
    """Its levels have other names, so there is nothing to count. Its golden cases passed."""
    status = trials["other levels"].ready()
    assert status["servingVersion"] == OTHER_LEVELS
    entry = status["history"][0]
    print(f"{entry['reason']}: {entry['message']}")
    assert (entry["outcome"], entry["reason"]) == ("Promoted", "CandidateNotComparable")
    assert "its levels are Green, Yellow, Orange, Red" in entry["message"]


def test_the_operator_writes_neither_spec_nor_annotations(
    trials: dict[str, Trial], audit: Mark, home: str
) -> None:
    """Of all that was declared, tried, promoted, stopped and taken back here."""
    written = {write.split()[1] for write in audit.writes(home)}
    assert {"deployments", "riskpredictors/status"} <= written
    assert "riskpredictors" not in written


def _restart_the_operator(cluster: LocalCluster) -> None:
    deployment = "deployment/riskpredictor-operator"
    cluster.kubectl("-n", SYSTEM, "rollout", "restart", deployment)
    cluster.kubectl("-n", SYSTEM, "rollout", "status", deployment, "--timeout=120s")
