"""Specification of a model change: which step follows when, what stops it, and what is remembered.

Everything is pure: ``trial.Trial`` stands for the pods and for the operator's passes.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.operator.builders import declared
from unit.operator.trial import AGREES, FAST, UNDER_TRIAGE, Trial, digest, model, settled, shuffled

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.change.evidence import (
    NOT_COMPARABLE,
    SWITCHED_OFF,
    UNUSABLE,
    Cases,
    Counts,
)
from riskpredictor_operator.core.change.record import to_fields
from riskpredictor_operator.core.change.resolve import same_pods
from riskpredictor_operator.core.change.state import abort_key, after, from_document, to_document
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.release import Release, Serving

ENOUGH = 15
"""Times a hundred pairs after which all gates of the defaults pass, with room to spare."""


def why(trial: Trial) -> Explanation:
    assert trial.last.why is not None
    return trial.last.why


class TestSteps:
    def test_a_first_installation_serves_what_is_declared(self) -> None:
        trial = settled()
        assert (trial.answering, trial.phase) == ("v1", "")
        (entry,) = trial.status["history"]
        assert (entry["version"], entry["outcome"]) == ("v1", "Promoted")

    def test_a_good_model_goes_through_all_steps_and_is_promoted(self) -> None:
        trial = settled()
        trial.seen = []
        trial.declare("v2")
        for _ in range(60):
            trial.count(AGREES)
            trial.turn()
        assert trial.seen == ["Shadow", "Canary 10%", "Canary 50%", "Promoting", ""]
        assert (trial.answering, trial.phase) == ("v2", "")
        entry = trial.status["history"][0]
        assert entry["outcome"] == "Promoted"
        assert (entry["from"]["version"], entry["manager"]) == ("v1", "argocd-controller")
        assert entry["changeRef"] == "CHG-4711"
        assert {gate["state"] for gate in entry["gates"]} <= {"Passed", "NotApplicable"}

    def test_in_shadow_the_stable_model_answers_alone(self) -> None:
        trial = settled(shadow={"minDuration": "1h"})
        trial.declare("v2")
        trial.turn()
        assert trial.candidate is not None
        assert (trial.answering, trial.candidate.percent) == ("v1", 0)
        assert why(trial).reason == reasons.SHADOWING

    def test_without_a_policy_the_declared_model_is_served_at_once(self) -> None:
        trial = settled()
        trial.declare("v2", rollout={})
        trial.turn()
        assert trial.answering == "v2"
        assert "rollout" not in trial.status

    def test_without_canary_steps_promotion_follows_the_shadow(self) -> None:
        trial = settled(canary={"steps": []})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert trial.answering == "v2"

    def test_a_step_counts_its_own_pairs(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        assert trial.phase == "Canary"
        trial.turns(5)
        assert trial.status["rollout"]["step"] == "Canary 10%"
        trial.count(AGREES, 2)
        trial.turns(2)
        assert trial.status["rollout"]["step"] == "Canary 50%"

    def test_a_step_lasts_as_long_as_declared(self) -> None:
        trial = settled(shadow={"minPairs": 1, "minDuration": "1h"})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        assert trial.phase == "Shadow"
        trial.turn(3600)
        assert trial.phase == "Canary"

    def test_a_step_waits_for_its_pods(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.facts = {"settled": False}
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert trial.phase == "Shadow"
        assert "its pods are coming" in why(trial).message

    @pytest.mark.parametrize(
        "otherwise",
        [
            {"stage": "Canary-10"}, {"rollout_id": "0123456789ab"}, {"sample": 50.0},
            {"guard": "None"}, {"subject_header": "X-Ward"}, {"cases": "ward-cases"},
        ],
    )  # fmt: skip
    def test_pods_of_a_step_are_those_with_all_that_the_policy_says_of_it(
        self, otherwise: Any
    ) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        assert trial.live is not None
        assert trial.candidate is not None
        other = replace(trial.live, candidate=replace(trial.candidate, **otherwise))
        elsewhere = replace(trial.live.stable, image="mirror.example.com/health-predictor:runtime")
        assert same_pods(trial.live, replace(trial.live, stable=elsewhere))
        assert not same_pods(trial.live, other)

    def test_a_promotion_waits_for_its_pods(self) -> None:
        trial = settled(canary={"steps": []})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turn()
        trial.facts = {"settled": False}
        trial.turns(3)
        assert (trial.phase, why(trial).reason) == ("Promoting", reasons.PROMOTING)
        trial.facts = {}
        trial.turn()
        assert trial.phase == ""

    def test_what_is_not_served_yet_is_not_on_record(self) -> None:
        trial = Trial({**model("v1"), "rollout": FAST}, facts={"settled": False})
        trial.turns(3)
        assert "history" not in trial.status

    def test_counts_of_another_trial_are_none_of_this_one(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.other = "0123456789ab"
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert (trial.phase, trial.status["rollout"]["evidence"]["pairs"]) == ("Shadow", 0)

    def test_another_deadline_counts_from_the_same_beginning(self) -> None:
        trial = settled(deadline="7d")
        trial.declare("v2")
        trial.turns(3)
        began = trial.status["rollout"]["startedAt"]
        trial.policy(deadline="1d")
        trial.turn()
        assert trial.status["rollout"]["startedAt"] == began
        assert trial.status["rollout"]["deadlineAt"] == after(began, 86400)

    def test_mere_counts_are_written_once_a_minute(self) -> None:
        trial = settled(shadow={"minPairs": 100_000})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, 50)
        trial.turn()
        written = []
        for _ in range(60):
            trial.count(AGREES)
            trial.turn(5)
            written.append(trial.status["rollout"]["evidence"]["pairs"])
        assert len(set(written)) == 6

    def test_and_so_is_the_time_that_a_step_still_needs(self) -> None:
        trial = settled(shadow={"minPairs": 1, "minDuration": "1h"})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turn(5)
        told = []
        for _ in range(60):
            trial.turn(5)
            told.append((trial.status["rollout"]["evidence"]["at"], why(trial).message))
        assert len(set(told)) == 6

    def test_a_gate_that_is_decided_is_written_at_once(self) -> None:
        trial = settled(shadow={"minPairs": 100_000})
        trial.declare("v2")
        trial.turns(2)
        trial.count(AGREES, ENOUGH)
        trial.turn(5)
        (gate,) = [g for g in trial.status["rollout"]["gates"] if g["name"] == "Downgrade"]
        assert gate["state"] == "Passed"

    def test_so_is_that_a_step_has_its_pairs(self) -> None:
        trial = settled(shadow={"minPairs": 2000, "minDuration": "1d"})
        trial.declare("v2")
        trial.turns(2)
        trial.count(AGREES, ENOUGH)
        trial.turn(5)
        trial.count(AGREES, 4)
        trial.turn(5)
        assert trial.status["rollout"]["evidence"]["pairs"] == 1500
        trial.count(AGREES)
        trial.turn(5)
        assert trial.status["rollout"]["evidence"]["pairs"] == 2000

    def test_counts_of_pods_that_are_gone_are_kept(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.evidence = {"carried": Counts(((7, 0, 0), (0, 2, 0), (0, 0, 1)))}
        trial.turns(2, 100)
        assert trial.status["rollout"]["carried"]["matrix"] == [[7, 0, 0], [0, 2, 0], [0, 0, 1]]
        assert trial.status["rollout"]["evidence"]["pairs"] == 10

    def test_images_with_models_in_them_go_the_same_way(self) -> None:
        trial = settled()
        trial.spec = {"modelVersion": "v2", "rollout": trial.spec["rollout"]}
        trial.turn()
        assert trial.candidate is not None
        assert trial.candidate.release.image == "health-predictor:v2"
        trial.count(AGREES, ENOUGH)
        trial.turn()
        assert trial.status["rollout"]["candidate"]["digest"] == digest("v2")


class TestTooLittleTraffic:
    def test_the_time_left_is_told_as_of_the_last_counts(self) -> None:
        """Else each pass would write the status."""
        trial = settled(shadow={"minPairs": 1, "minDuration": "2m"})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES)
        trial.turn()
        said = why(trial).message
        trial.turns(5)
        assert (why(trial).message, trial.phase) == (said, "Shadow")
        trial.turn()
        assert why(trial).message != said

    def test_too_few_pairs_hold_and_say_so(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(((30, 0, 0), (0, 7, 0), (0, 0, 0)))
        trial.turns(3, 100)
        assert trial.phase == "Shadow"
        assert why(trial).reason == reasons.INSUFFICIENT_DATA
        assert "37 pairs in this step, needs about" in why(trial).message

    def test_after_the_deadline_that_is_stalled_and_no_failure(self) -> None:
        trial = settled(deadline="1d")
        trial.declare("v2")
        trial.turn()
        trial.count(((30, 0, 0), (0, 7, 0), (0, 0, 0)))
        trial.turn(86400)
        assert trial.last.stalled
        assert (trial.phase, why(trial).reason) == ("Shadow", reasons.INSUFFICIENT_DATA)
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        assert trial.phase == "Canary"

    def test_or_an_abort_if_that_is_declared(self) -> None:
        trial = settled(deadline="1d", onInconclusive="Abort")
        trial.declare("v2")
        trial.turn()
        trial.turn(86400)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")
        assert "undecided at spec.rollout.deadline" in why(trial).message

    @pytest.mark.parametrize(
        ("evidence", "said"),
        [
            ({"unaware": ("risk-1",)}, "cannot compare two models (risk-1 has no GET /rollout)"),
            ({"unaware": ("risk-1", "risk-2")}, "(risk-1, risk-2 have no GET /rollout)"),
            ({"refused": ("risk-1: matrix: missing",)}, "risk-1: matrix: missing"),
            ({"unreachable": ("risk-1",)}, "let it reach port 5000"),
            ({"reports": ()}, "let it reach port 5000"),
        ],
    )
    def test_pods_that_do_not_tell_their_counts_hold_it(
        self, evidence: dict[str, Any], said: str
    ) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.evidence = evidence
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert (trial.phase, why(trial).reason) == ("Shadow", reasons.INSUFFICIENT_DATA)
        assert said in why(trial).message

    def test_a_step_waits_for_an_answer_of_each_pod(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.evidence = {"unheard": ("risk-2",)}
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert (trial.phase, why(trial).reason) == ("Shadow", reasons.SHADOWING)
        assert "risk-2 has not told its counts yet" in why(trial).message

    def test_without_pods_nothing_is_decided(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.facts = {"wanted": 0, "ready": 0}
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert trial.phase == "Shadow"
        assert why(trial).reason == reasons.INSUFFICIENT_DATA


def aborted(**rollout: Any) -> Trial:
    trial = settled(**rollout)
    trial.declare("v2")
    trial.turn()
    trial.count(UNDER_TRIAGE, 20)
    trial.turns(2)
    return trial


class TestAbort:
    def test_a_model_that_misses_high_risks_never_answers(self) -> None:
        trial = aborted()
        assert (trial.phase, trial.answering) == ("Aborted", "v1")
        assert trial.candidate is None
        assert trial.seen[-2:] == ["Shadow", "Aborted"]
        assert why(trial).reason == reasons.ROLLOUT_ABORTED
        assert "MissedHigh is 50 % of 200" in why(trial).message
        assert "spec.rollout.retry" in why(trial).message

    @pytest.mark.parametrize("step", ["Canary 10%", "Awaiting approval"])
    def test_what_shows_only_later_stops_it_later(self, step: str) -> None:
        trial = settled(approval={"required": True})
        trial.declare("v2")
        for _ in range(60):
            if trial.seen[-1] == step:
                break
            trial.count(AGREES)
            trial.turn()
        assert trial.seen[-1] == step
        trial.count(UNDER_TRIAGE, 200)
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")

    def test_the_status_says_so_before_the_pods_change(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(UNDER_TRIAGE, 20)
        trial.turn()
        assert trial.phase == "Aborted"
        assert trial.last.moved
        assert trial.candidate is not None
        trial.turn()
        assert trial.candidate is None

    def test_it_is_remembered_whatever_else_changes(self) -> None:
        trial = aborted()
        before = trial.status["aborted"]
        for spec in (
            {"minReplicas": 3},
            {"maxReplicas": 9},
            {"targetCPUUtilizationPercentage": 50},
        ):
            trial.spec |= spec
            trial.turns(3, 1000)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")
        assert trial.status["aborted"] == before

    def test_the_deployment_remembers_it_where_the_status_is_lost(self) -> None:
        trial = aborted()
        trial.status = {}
        trial.turns(3)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")

    def test_the_status_remembers_it_where_the_deployment_is_lost(self) -> None:
        trial = aborted()
        trial.live = None
        trial.turns(3)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")

    def test_another_word_tries_it_again(self) -> None:
        trial = aborted()
        trial.policy(retry="1")
        trial.turn()
        assert trial.phase == "Shadow"
        trial.policy(retry="")
        trial.turns(2)
        assert trial.phase == "Aborted"

    def test_another_model_is_tried(self) -> None:
        trial = aborted()
        trial.declare("v3")
        trial.turn()
        assert (trial.phase, trial.status["rollout"]["candidate"]["version"]) == ("Shadow", "v3")

    def test_the_same_bytes_under_another_name_are_not(self) -> None:
        trial = aborted()
        trial.spec |= {"modelVersion": "v2b"}
        trial.turns(2)
        assert trial.phase == "Aborted"

    def test_a_person_stops_it(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.facts = {"abort_id": trial.status["rollout"]["id"]}
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")
        assert "stopped by hand" in why(trial).message

    def test_an_old_annotation_stops_nothing_else(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.facts = {"abort_id": trial.status["rollout"]["id"]}
        trial.turns(2)
        trial.policy(retry="again")
        trial.turns(2)
        assert trial.phase == "Shadow"

    def test_a_candidate_that_was_switched_off_is_stopped(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.report = {"state": SWITCHED_OFF}
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")

    @pytest.mark.parametrize(
        ("told", "reason"),
        [
            (reasons.MODEL_DIGEST_MISMATCH, reasons.MODEL_DIGEST_MISMATCH),
            (reasons.MODEL_SIGNATURE_INVALID, reasons.MODEL_SIGNATURE_INVALID),
            (reasons.MODEL_REJECTED, reasons.CANDIDATE_REJECTED),
        ],
    )
    def test_a_candidate_that_is_not_what_was_declared_is_stopped_at_once(
        self, told: str, reason: str
    ) -> None:
        trial = settled()
        trial.declare("v2")
        trial.report = {"state": UNUSABLE, "reason": told, "message": "card.json has sha256:06a8"}
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("Aborted", reason)
        assert "card.json has sha256:06a8" in why(trial).message

    def test_a_candidate_whose_image_holds_another_model_by_now_is_stopped(self) -> None:
        """What was counted is of the model before, and nobody knows which would be promoted."""
        trial = settled()
        trial.spec = {"modelVersion": "v2", "rollout": trial.spec["rollout"]}
        trial.turn()
        trial.count(AGREES)
        trial.turn()
        trial.report = {"candidate_digest": digest("v9")}
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("Aborted", reasons.MODEL_DIGEST_MISMATCH)
        assert f"risk-1 has {digest('v9')}" in why(trial).message
        assert trial.status["aborted"][0]["digest"] == digest("v2")

    def test_pods_with_different_models_in_the_same_image_stop_it(self) -> None:
        trial = settled()
        trial.spec = {"modelVersion": "v2", "rollout": trial.spec["rollout"]}
        trial.second = {"candidate_digest": digest("v9")}
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("Aborted", reasons.MODEL_DIGEST_MISMATCH)

    def test_one_pod_without_the_candidate_holds_it_and_stops_nothing(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.second = {
            "state": UNUSABLE, "reason": reasons.MODEL_FETCH_FAILED, "message": "HTTP 403"
        }  # fmt: skip
        trial.turns(3, 700)
        assert (trial.phase, why(trial).reason) == ("Shadow", reasons.MODEL_FETCH_FAILED)

    @pytest.mark.parametrize("told", [reasons.MODEL_NOT_FOUND, reasons.MODEL_FETCH_FAILED])
    def test_a_candidate_that_does_not_come_is_waited_for(self, told: str) -> None:
        trial = settled()
        trial.declare("v2")
        trial.report = {"state": UNUSABLE, "reason": told, "message": "HTTP 403"}
        trial.turns(3)
        assert (trial.phase, why(trial).reason) == ("Shadow", told)
        trial.turn(600)
        trial.turn()
        assert (trial.phase, why(trial).reason) == ("Aborted", told)

    def test_a_case_of_the_hospital_stops_it(self) -> None:
        trial = settled(gates={"cases": {"configMap": "ward-cases"}})
        trial.declare("v2")
        trial.report = {"cases": Cases("sha256:ab", 2, ("septic shock",))}
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("Aborted", reasons.CANDIDATE_REJECTED)
        assert "septic shock" in why(trial).message

    def test_a_configmap_of_cases_that_is_missing_is_waited_for_by_name(self) -> None:
        trial = settled(gates={"cases": {"configMap": "ward-cases"}})
        trial.declare("v2")
        trial.report = {"cases": Cases("", 0, ())}
        trial.turns(2)
        missing = "Cases (ConfigMap ward-cases is missing"
        assert missing in why(trial).message, "before the gates that wait for pairs"
        trial.count(AGREES)
        trial.turn(3600)
        assert (trial.phase, why(trial).reason) == ("Shadow", reasons.INSUFFICIENT_DATA)
        assert missing in why(trial).message

    def test_pods_that_do_not_come_up_stop_it(self) -> None:
        trial = settled()
        trial.declare("v2")
        trouble = Explanation(reasons.IMAGE_PULL_FAILED, "no such image")
        trial.facts = {"settled": False, "trouble": trouble}
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("Shadow", reasons.IMAGE_PULL_FAILED)
        trial.facts |= {"stalled": True}
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")

    def test_a_promotion_that_does_not_come_up_is_taken_back(self) -> None:
        trial = settled(canary={"steps": []})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turn()
        assert trial.phase == "Promoting"
        trouble = Explanation(reasons.CRASH_LOOPING, "exit code 1")
        trial.facts = {"settled": False, "trouble": trouble, "stalled": True}
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")


class TestRevert:
    @pytest.mark.parametrize("turns", range(1, 40, 3))
    def test_a_revert_ends_everything_at_once(self, turns: int) -> None:
        trial = settled()
        trial.declare("v2")
        for _ in range(turns):
            trial.count(AGREES)
            trial.turn()
        was = trial.answering
        trial.declare("v1")
        trial.turn()
        assert trial.answering == "v1"
        assert trial.candidate is None
        trial.turns(2)
        assert trial.phase == ""
        outcome = trial.status["history"][0]["outcome"]
        assert outcome == ("Reverted" if was == "v1" else "Promoted")

    def test_after_an_abort_it_ends_the_alarm(self) -> None:
        trial = aborted()
        trial.declare("v1")
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("", "v1")
        assert trial.last.why is None

    def test_a_promoted_model_is_gone_back_to_at_once_and_the_other_is_withdrawn(self) -> None:
        trial = settled(canary={"steps": []})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert trial.answering == "v2"
        trial.declare("v1")
        trial.turns(2)
        assert (trial.answering, trial.phase) == ("v1", "")
        outcomes = [(e["version"], e["outcome"]) for e in trial.status["history"]]
        assert outcomes == [("v1", "Promoted"), ("v2", "Withdrawn"), ("v1", "Promoted")]
        trial.declare("v2")
        trial.turn()
        assert trial.phase == "Shadow"

    def test_an_image_of_the_same_version_is_no_way_back_to_a_model_of_a_store(self) -> None:
        """Nobody knows what it holds."""
        trial = settled(canary={"steps": []})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        trial.spec = {"modelVersion": "v1", "rollout": trial.spec["rollout"]}
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("Shadow", "v2")

    def test_so_is_one_that_was_served_before_the_policy_was_declared(self) -> None:
        trial = Trial({**model("v1"), "rollout": {}})
        trial.turns(2)
        trial.declare("v2", rollout={**FAST, "canary": {"steps": []}})
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(3)
        assert trial.answering == "v2"
        trial.declare("v1")
        trial.turn()
        assert (trial.answering, trial.candidate) == ("v1", None)

    def test_a_withdrawn_model_gets_no_credit_for_what_was_counted_before(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        first = trial.status["rollout"]["id"]
        trial.declare("v1")
        trial.turns(2)
        trial.declare("v2")
        trial.turns(3)
        again = trial.status["rollout"]["id"]
        assert again != first, "pods of the first trial may still run"
        trial.turns(3)
        assert trial.status["rollout"]["id"] == again

    def test_a_third_model_takes_the_place_of_the_second(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turns(2)
        trial.declare("v3")
        trial.turn()
        assert trial.status["rollout"]["candidate"]["version"] == "v3"
        assert (trial.phase, trial.answering) == ("Shadow", "v1")
        assert trial.status["history"][0]["outcome"] == "Superseded"

    def test_a_trial_that_ends_without_its_gates_is_on_record(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turns(2)
        trial.policy(strategy="RollingUpdate")
        trial.turns(2)
        assert (trial.answering, trial.phase) == ("v2", "")
        entry, first = trial.status["history"]
        assert (entry["version"], entry["outcome"]) == ("v2", "Superseded")
        assert "spec.rollout.strategy is RollingUpdate" in entry["message"]
        assert first["version"] == "v1"


class TestApproval:
    def test_only_the_right_digest_promotes(self) -> None:
        trial = settled(canary={"steps": []}, approval={"required": True})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("AwaitingApproval", reasons.AWAITING_APPROVAL)
        assert digest("v2") in why(trial).message
        trial.policy(approval={"required": True, "digest": digest("v3")})
        trial.turns(2)
        assert trial.phase == "AwaitingApproval"
        assert "another model" in why(trial).message
        trial.policy(approval={"required": True, "digest": digest("v2")})
        trial.turns(3)
        assert (trial.phase, trial.answering) == ("", "v2")
        assert trial.status["history"][0]["approval"] == digest("v2")

    def test_a_pod_that_has_just_come_is_asked_first(self) -> None:
        """As an autoscaler brings it, without another step for people meanwhile."""
        trial = settled(canary={"steps": []}, approval={"required": True})
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        trial.evidence = {"unheard": ("risk-2",)}
        trial.policy(approval={"required": True, "digest": digest("v2")})
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("AwaitingApproval", reasons.AWAITING_APPROVAL)
        assert "risk-2 has not told its counts yet" in why(trial).message
        trial.evidence = {}
        trial.turns(3)
        assert trial.answering == "v2"

    def test_what_becomes_undecided_again_waits_for_that_first(self) -> None:
        trial = settled(approval={"required": True})
        trial.declare("v2")
        for _ in range(60):
            trial.count(AGREES)
            trial.turn()
        assert trial.phase == "AwaitingApproval"
        trial.evidence = {"unreachable": ("risk-1",)}
        trial.policy(approval={"required": True, "digest": digest("v2")})
        trial.turns(2)
        assert trial.status["rollout"]["step"] == "Canary 50%"
        assert trial.answering == "v1"


class TestNotComparable:
    def test_cases_that_cannot_be_checked_stop_it(self) -> None:
        trial = settled(gates={"cases": {"configMap": "ward-cases"}})
        trial.declare("v2")
        trial.report = {"state": NOT_COMPARABLE}
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("Aborted", reasons.CANDIDATE_REJECTED)

    def test_it_is_promoted_after_the_gates_that_need_no_pairs(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.report = {"state": NOT_COMPARABLE, "message": "it is no linear form"}
        trial.turns(4)
        assert trial.answering == "v2"
        entry = trial.status["history"][0]
        assert entry["reason"] == reasons.CANDIDATE_NOT_COMPARABLE
        assert "it is no linear form" in entry["message"]

    def test_one_pod_that_says_so_spares_no_candidate_its_gates(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.second = {"state": NOT_COMPARABLE, "message": "it is no linear form"}
        trial.turns(4)
        assert (trial.phase, trial.answering) == ("Shadow", "v1")

    def test_a_worse_card_stops_it(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.report = {"state": NOT_COMPARABLE, "brier": (0.12, 0.2)}
        trial.turns(2)
        assert (trial.phase, trial.answering) == ("Aborted", "v1")


class TestShadowSpec:
    def test_it_is_observed_and_never_promoted(self) -> None:
        trial = settled()
        trial.spec["shadow"] = model("v3")
        trial.turn()
        trial.count(AGREES, 50)
        trial.turns(20, 3600)
        assert (trial.phase, trial.answering) == ("Observing", "v1")
        assert trial.last.why is None
        assert trial.last.accepted is not None
        assert trial.last.accepted.status == "True"

    def test_what_it_has_found_counts_when_it_is_declared(self) -> None:
        trial = settled(shadow={"minPairs": 500, "minDuration": "1h"})
        trial.spec["shadow"] = model("v3")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(3, 3600)
        del trial.spec["shadow"]
        trial.declare("v3")
        trial.turns(2)
        assert trial.status["rollout"]["step"] == "Canary 10%"

    def test_one_that_fails_its_gates_answers_nobody_and_stays(self) -> None:
        trial = settled()
        trial.spec["shadow"] = model("v3")
        trial.turn()
        trial.count(UNDER_TRIAGE, 20)
        trial.turns(3, 3600)
        assert trial.phase == "Observing"
        assert trial.last.accepted is not None
        assert trial.last.accepted.status == "False"

    def test_a_change_of_the_model_has_the_place_first(self) -> None:
        trial = settled()
        trial.spec["shadow"] = model("v3")
        trial.turn()
        trial.declare("v2")
        trial.turn()
        assert trial.status["rollout"]["candidate"]["version"] == "v2"


class TestStableBroken:
    FACTS: ClassVar = {
        "settled": False,
        "ready": 0,
        "trouble": Explanation(reasons.CRASH_LOOPING, "exit code 1"),
        "unavailable_seconds": 61.0,
    }

    def test_where_nothing_answers_the_declared_model_goes_straight(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.report = {}
        trial.facts = self.FACTS
        trial.silent = True
        trial.turns(2)
        assert trial.answering == "v2"

    def test_a_trouble_that_no_waiting_helps_is_not_the_candidates(self) -> None:
        """The stable model has another digest than declared, or is not signed."""
        trial = settled()
        trial.declare("v2")
        mismatch = Explanation(reasons.MODEL_DIGEST_MISMATCH, "card.json has sha256:06a8")
        trial.facts = {**self.FACTS, "trouble": mismatch, "stalled": True}
        trial.facts |= {"unavailable_seconds": 5.0}
        trial.silent = True
        trial.turns(2)
        assert (trial.phase, why(trial).reason) == ("Shadow", reasons.MODEL_DIGEST_MISMATCH)
        trial.facts |= {"unavailable_seconds": 61.0}
        trial.turns(2)
        assert trial.answering == "v2"

    def test_a_promotion_without_a_comparison_needs_the_approval_too(self) -> None:
        trial = settled(approval={"required": True})
        trial.declare("v2")
        trial.facts, trial.silent = self.FACTS, True
        trial.turns(3)
        assert (trial.answering, why(trial).reason) == ("v1", reasons.CRASH_LOOPING)
        assert f"set spec.rollout.approval.digest to {digest('v2')}" in why(trial).message
        trial.policy(approval={"required": True, "digest": digest("v2")})
        trial.turns(2)
        assert trial.answering == "v2"

    @pytest.mark.parametrize(
        "facts",
        [
            {"unavailable_seconds": 59.0},
            {"trouble": Explanation(reasons.NODE_NOT_READY, "node-1")},
            {"trouble": None},
            {"ready": 1},
        ],
    )
    def test_an_outage_that_may_pass_lets_no_untried_model_in(self, facts: Any) -> None:
        trial = settled()
        trial.declare("v2")
        trial.facts = {**self.FACTS, **facts}
        trial.silent = True
        trial.turns(3)
        assert trial.answering == "v1"


class TestLoss:
    """What the status loses is taken from the template, and the other way round."""

    def test_a_lost_status_goes_on_at_the_stage_of_the_template(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        assert trial.status["rollout"]["step"] == "Canary 10%"
        trial.status = {}
        trial.turn()
        assert trial.status["rollout"]["step"] == "Canary 10%"

    def test_the_stage_of_another_trial_is_not_taken_over(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        trial.status = {}
        trial.declare("v3")
        trial.turn()
        assert (trial.phase, trial.status["rollout"]["candidate"]["version"]) == ("Shadow", "v3")

    def test_a_shadow_that_is_served_by_now_is_no_trial(self) -> None:
        trial = settled()
        trial.spec |= {"rollout": {}, "shadow": model("v3")}
        trial.turns(2)
        del trial.spec["shadow"]
        trial.declare("v3")
        trial.turn(cut="between")
        trial.spec["rollout"] = FAST
        trial.turns(2)
        assert (trial.answering, trial.phase) == ("v3", "")

    def test_lost_counts_are_not_counted_again_before_a_step_can_end(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, 100)
        trial.turns(2)
        assert trial.status["rollout"]["step"] == "Canary 10%"
        trial.matrix = ()
        trial.count(AGREES, ENOUGH)
        trial.turn()
        assert trial.status["rollout"]["step"] == "Canary 10%"
        trial.count(AGREES, 2)
        trial.turn()
        assert trial.status["rollout"]["step"] == "Canary 50%"

    def test_a_lost_deployment_comes_back_as_it_was(self) -> None:
        trial = settled()
        trial.declare("v2")
        trial.turn()
        trial.count(AGREES, ENOUGH)
        trial.turns(2)
        before = trial.live
        trial.live = None
        trial.turn()
        assert trial.live == before

    def test_a_status_of_another_life_is_not_believed(self) -> None:
        old = settled()
        old.declare("v8")
        old.turn()
        trial = settled()
        trial.live = Serving(Release("v9", "health-predictor:runtime", None))
        trial.status = old.status
        trial.declare("v2")
        trial.turn()
        assert trial.answering == "v9"
        assert trial.phase == "Shadow"

    @pytest.mark.parametrize(
        "rollout", ["text", 7, [], {}, {"id": 1}, {"phase": "Flying"}, {"stable": {"version": 3}}]
    )
    def test_a_damaged_status_is_no_obstacle(self, rollout: Any) -> None:
        trial = settled()
        trial.status["rollout"] = rollout
        trial.declare("v2")
        trial.turn()
        assert (trial.phase, trial.answering) == ("Shadow", "v1")


@pytest.mark.parametrize(
    "edited",
    [
        {"startedAt": "2026-03-01T12:00:00"},
        {"levels": ["Low", "High"]},
        {"evidence": {"matrix": [[1, 0], [0, 1]], "pods": 1, "at": "2027-03-01T12:00:00Z"}},
    ],
)
@pytest.mark.parametrize("evidence", [{}, {"reports": (), "carried": Counts(AGREES)}])
def test_a_field_that_somebody_edited_is_no_obstacle(edited: Any, evidence: Any) -> None:
    trial = settled()
    trial.declare("v2")
    trial.count(AGREES)
    trial.turns(2)
    trial.status["rollout"] |= edited
    trial.evidence = evidence
    trial.turn()
    assert (trial.phase, trial.answering) == ("Shadow", "v1")


@given(seed=st.integers(0, 2**32), goodness=st.sampled_from([AGREES, UNDER_TRIAGE]))
@settings(max_examples=60, deadline=None)
def test_kills_between_any_two_writes_change_no_outcome(seed: int, goodness: Any) -> None:
    chance = shuffled(seed)
    trial = settled()
    trial.declare("v2")
    for _ in range(200):
        trial.count(goodness)
        trial.turn(cut=chance.choice(["", "", "before", "between"]))
        if chance.random() < 0.05:
            trial.status = {} if chance.random() < 0.3 else copy.deepcopy(trial.status)
        if trial.answering == "v2" or trial.phase == "Aborted":
            break
        assert trial.answering == "v1"
    trial.turns(5)
    if goodness is AGREES:
        assert (trial.answering, trial.phase) == ("v2", "")
    else:
        assert (trial.answering, trial.phase) == ("v1", "Aborted")


ACTS = st.lists(
    st.sampled_from(
        ["good", "bad", "v1", "v2", "v3", "retry", "approve", "wipe", "lose", "night", "trouble"]
    ),
    max_size=25,
)


@given(acts=ACTS, required=st.booleans())
@settings(max_examples=150, deadline=None)
def test_from_every_state_there_is_an_end_or_a_wait_that_says_for_what(
    acts: list[str], required: bool
) -> None:
    trial = settled(approval={"required": required})
    for act in acts:
        match act:
            case "good" | "bad":
                trial.count(AGREES if act == "good" else UNDER_TRIAGE, 3)
            case "v1" | "v2" | "v3":
                trial.declare(act)
            case "retry":
                trial.policy(retry=trial.spec["rollout"].get("retry", "") + "x")
            case "approve":
                version = trial.spec["modelVersion"]
                trial.policy(approval={"required": required, "digest": digest(version)})
            case "wipe":
                trial.status = {}
            case "lose":
                trial.live = None
            case "night":
                trial.now = trial.now.replace(year=trial.now.year)
                trial.turn(40000)
            case "trouble":
                trouble = Explanation(reasons.CRASH_LOOPING, "exit code 1")
                trial.facts = {"settled": False, "trouble": trouble}
                trial.turn()
                trial.facts = {}
        trial.turn()
    for _ in range(12):
        trial.turn()
    before = copy.deepcopy(trial.status), trial.live
    trial.turns(3)
    version = trial.spec["modelVersion"]
    if trial.phase == "":
        assert (trial.answering, trial.last.why) == (version, None)
    elif trial.phase == "Aborted":
        assert trial.last.stalled
        assert why(trial).message
        assert trial.answering != version
    else:
        assert trial.answering != version
        assert why(trial).reason in {
            reasons.SHADOWING, reasons.CANARY_RUNNING, reasons.INSUFFICIENT_DATA,
            reasons.AWAITING_APPROVAL,
        }  # fmt: skip
        assert why(trial).message
    assert trial.live == before[1]


@given(acts=ACTS)
@settings(max_examples=100, deadline=None)
def test_what_is_stored_is_read_back_whole(acts: list[str]) -> None:
    trial = settled()
    trial.declare("v2")
    for act in acts:
        trial.count(AGREES if act == "good" else UNDER_TRIAGE)
        trial.turn()
        if document := trial.status.get("rollout"):
            state = from_document(document)
            assert state is not None
            assert to_document(state) == document


@given(acts=ACTS)
@settings(max_examples=30, deadline=None)
def test_the_crd_knows_every_field_that_is_written(acts: list[str]) -> None:
    trial = settled(approval={"required": True}, gates={"cases": {"configMap": "ward-cases"}})
    trial.report = {"cases": Cases("sha256:ab", 2, ())}
    trial.declare("v2")
    for act in acts:
        trial.count(AGREES if act == "good" else UNDER_TRIAGE)
        trial.turn()
        assert trial.status == to_fields(trial.last.record)


def test_an_abort_is_remembered_by_the_digest_alone() -> None:
    rp = declared(**model("v2"))
    one = Release("v2", "a:1", rp.model)
    assert abort_key(one, "") == abort_key(replace(one, version="v2b", image="b:2"), "")
    assert abort_key(one, "") != abort_key(one, "again")
