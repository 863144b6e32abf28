"""The changes of the model in a status, as plain data."""

from __future__ import annotations

import pytest
from unit.kubectl import bodies
from unit.kubectl.bodies import V1, V2

from riskpredictor_kubectl import model_change
from riskpredictor_kubectl.model_change import Change, Evidence, Model
from riskpredictor_kubectl.next_step import Step, needs, what_follows


def _current(predictor: bodies.Body) -> Change:
    change = model_change.current(predictor)
    assert change is not None
    return change


def test_without_a_change_there_is_none() -> None:
    assert model_change.current(bodies.ready()) is None
    assert model_change.past(bodies.ready()) == []
    del (bare := bodies.ready())["status"]
    assert model_change.current(bare) is None
    assert model_change.past(bare) == []


def test_one_under_way_has_its_models_counts_and_who_declared_it() -> None:
    change = _current(bodies.changing())
    assert (change.before, change.after) == (Model(**V1), Model(**V2))
    assert (change.step, change.percent, change.counted) == ("Canary 10%", 10, 104)
    assert change.evidence.matrix[1] == (9, 430, 7)
    assert change.evidence.levels == ("Low", "Medium", "High")
    assert [gate.state for gate in change.gates][:2] == ["Passed", "Pending"]
    assert (change.manager, change.change_ref) == ("argocd-controller", "CHG-4711")
    assert (change.is_running, change.ended) == (True, "")


def test_the_manager_is_who_set_the_version_last() -> None:
    predictor = bodies.changing()
    fields = predictor["metadata"]["managedFields"]
    fields.insert(0, {"manager": "ann", "time": bodies.CREATED, "fieldsV1": fields[0]["fieldsV1"]})
    assert _current(predictor).manager == "argocd-controller"
    fields[1]["time"] = "2026-01-01T00:00:00Z"
    assert _current(predictor).manager == "ann"
    del predictor["metadata"]["managedFields"]
    assert _current(predictor).manager == ""


@pytest.mark.parametrize(("digest", "approved"), [(V2["digest"], True), (V1["digest"], False)])
def test_an_approval_counts_only_for_the_model_that_it_names(digest: str, approved: bool) -> None:
    predictor = bodies.changing()
    predictor["spec"]["rollout"] = {**bodies.POLICY, "approval": {"digest": digest}}
    assert bool(_current(predictor).approval) is approved


@pytest.mark.parametrize(("phase", "running"), [
    ("Shadow", True), ("Canary", True), ("AwaitingApproval", True), ("Promoting", True),
    ("Aborted", False), ("Observing", False),
])  # fmt: skip
def test_what_is_aborted_or_only_observed_cannot_be_aborted(phase: str, running: bool) -> None:
    assert _current(bodies.changing(phase)).is_running is running


def test_one_of_which_nothing_is_counted_yet() -> None:
    predictor = bodies.changing("Shadow")
    for name in bodies.FOUND:
        del predictor["status"]["rollout"][name]
    change = _current(predictor)
    assert (change.evidence, change.gates, change.counted) == (Evidence(), (), 0)


def test_an_entry_of_the_history_has_its_own_time_and_people() -> None:
    predictor = bodies.ready()
    first = {"version": "v1", "image": "x:v1", "outcome": "Promoted", "at": bodies.CREATED,
             "generation": 1, "policyDigest": "sha256:c"}  # fmt: skip
    predictor["status"]["history"] = [bodies.entry("Aborted", reason="RolloutAborted"), first]
    latest, oldest = model_change.past(predictor)
    assert (latest.state, latest.reason, latest.ended) == (
        "Aborted", "RolloutAborted", bodies.LATER,
    )  # fmt: skip
    assert latest.before == Model("v1", V1["digest"], "")
    assert latest.is_running is False
    assert (oldest.before, oldest.evidence) == (Model(), Evidence()), "the first that was served"


@pytest.mark.parametrize(
    ("phase", "percent", "asked", "follows"),
    [
        ("Shadow", 0, Step(500, "1h"), "v2 answers 10 % of the requests"),
        ("Canary", 10, Step(200, "30m"), "v2 answers 50 % of the requests"),
        ("Canary", 12, Step(200, "30m"), "v2 answers 50 % of the requests"),
        ("Canary", 5, Step(500, "1h"), "v2 answers 10 % of the requests"),
        ("Canary", 50, Step(300, "45m"), "promotion of v2"),
        ("AwaitingApproval", 50, Step(300, "45m"),
         f"promotion, once spec.rollout.approval.digest in Git is {V2['digest']}"),
        ("Promoting", 0, None, "v2 alone answers, once all pods are replaced"),
        ("Aborted", 0, None, "nothing by itself"),
        ("Observing", 0, None,
         "nothing: v2 is compared until spec.shadow names another model or none"),
    ],
)  # fmt: skip
def test_what_a_step_asks_for_and_what_follows(
    phase: str, percent: float, asked: Step | None, follows: str
) -> None:
    predictor = bodies.changing(phase, percent=percent)
    change = _current(predictor)
    assert needs(change, predictor["spec"]) == asked
    assert what_follows(change, predictor["spec"]) == follows


def test_an_approval_that_is_missing_is_what_follows_the_last_step() -> None:
    predictor = bodies.changing("Canary", percent=50)
    spec = predictor["spec"]
    spec["rollout"] = {**bodies.POLICY, "approval": {"required": True}}
    said = what_follows(_current(predictor), spec)
    assert said == "approval in Git (spec.rollout.approval.digest)"
    spec["rollout"]["approval"]["digest"] = V2["digest"]
    assert what_follows(_current(predictor), spec) == "promotion of v2"


def test_without_canary_steps_the_shadow_is_the_last() -> None:
    predictor = bodies.changing("Shadow")
    predictor["spec"]["rollout"] = {**bodies.POLICY, "canary": {"steps": []}}
    assert what_follows(_current(predictor), predictor["spec"]) == "promotion of v2"
