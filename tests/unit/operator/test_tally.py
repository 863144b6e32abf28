"""Specification of adding up counts: whatever pods do, nothing is counted twice."""

from __future__ import annotations

import pytest
from unit.operator.reports import LEVELS, ROLLOUT_ID, bytes_of, report

from riskpredictor_operator.core.change.evidence import Counts, PodReport, ReportError, parse_report
from riskpredictor_operator.core.change.tally import (
    SILENT,
    UNAWARE,
    UNREACHABLE_SECONDS,
    Answer,
    Listed,
    Tally,
)

SEED = Counts(((5, 0, 0), (0, 0, 0), (0, 0, 0)), errors=1)


def counted(
    pairs: int, instance: str = "a1", levels: tuple[str, ...] = LEVELS, rollout_id: str = ROLLOUT_ID
) -> PodReport:
    """The report of a process that has seen so many pairs, all of the lowest level."""
    first = (pairs, *[0] * (len(levels) - 1))
    matrix = (first, *[(0,) * len(levels)] * (len(levels) - 1))
    document = report(instance, levels=levels, rollout_id=rollout_id, matrix=matrix)
    return parse_report("x", bytes_of(document))


def tally(seed: Counts = Counts()) -> Tally:  # noqa: B008 - immutable
    return Tally(ROLLOUT_ID, seed)


def take(
    its: Tally, now: float = 0.0, *, ready: bool = True, leaving: bool = False, **answers: Answer
) -> None:
    """One poll; the names of the pods are their uids."""
    its.take([Listed(uid, uid, ready, leaving) for uid in answers], answers, now)


def pairs(its: Tally) -> tuple[int, int]:
    """Of all, and those carried."""
    evidence = its.evidence(0.0)
    return evidence.total.pairs, evidence.carried.pairs


def test_the_latest_report_of_each_pod_counts() -> None:
    its = tally()
    take(its, p1=counted(10), p2=counted(20, "b1"))
    take(its, p1=counted(15), p2=counted(20, "b1"))
    assert pairs(its) == (35, 0)
    assert [each.pod for each in its.evidence(0.0).reports] == ["p1", "p2"]


def test_what_was_counted_before_a_restart_of_the_operator_stays() -> None:
    its = tally(SEED)
    take(its, p1=counted(10))
    assert pairs(its) == (15, 5)
    assert its.evidence(0.0).total.errors == 1 + 7


def test_the_counts_of_a_pod_that_is_gone_are_carried_on_once() -> None:
    its = tally()
    take(its, p1=counted(10), p2=counted(20, "b1"))
    for _ in range(3):
        take(its, p2=counted(20, "b1"))
        assert pairs(its) == (30, 10)


def test_a_container_that_restarts_begins_anew() -> None:
    its = tally()
    take(its, p1=counted(10, "a1"))
    take(its, p1=counted(3, "a2"))
    assert pairs(its) == (13, 10)
    take(its, p1=counted(4, "a2"))
    assert pairs(its) == (14, 10)


def test_a_pod_that_only_does_not_answer_keeps_its_counts() -> None:
    its = tally()
    take(its, p1=counted(10))
    take(its, p1=SILENT)
    assert pairs(its) == (10, 0)
    take(its, p1=counted(12))
    assert pairs(its) == (12, 0)


def test_an_address_that_is_another_pods_by_now_counts_once() -> None:
    """The list is behind: p1 is gone, and its address is p2's."""
    its = tally()
    take(its, p1=counted(10, "a1"))
    take(its, p1=counted(20, "b1"), p2=counted(20, "b1"))
    assert pairs(its) == (30, 10)
    take(its, p2=counted(21, "b1"))
    assert pairs(its) == (31, 10)


def test_a_pod_that_was_believed_gone_comes_back_with_its_counts() -> None:
    its = tally()
    take(its, p1=counted(10))
    take(its)
    assert pairs(its) == (10, 10)
    take(its, p1=counted(12))
    assert pairs(its) == (12, 0)


def test_a_pod_is_missed_when_a_list_lacks_it() -> None:
    its = tally()
    take(its, p1=counted(10), p2=SILENT)
    assert its.misses(["p1"])
    assert not its.misses(["p3", "p2", "p1"])


REFUSED: dict[str, tuple[Answer, str]] = {
    "another roll-out": (counted(9, rollout_id="other"), "it counts for roll-out other"),
    "no roll-out": (counted(9, rollout_id=""), "it counts for roll-out none"),
    "malformed": (ReportError("matrix: missing"), "matrix: missing"),
    "other levels": (
        counted(9, levels=("Low", "Fair", "High")),
        "its levels are Low, Fair, High, those of the others Low, Medium, High",
    ),
    "more levels": (
        counted(9, levels=("Low", "Medium", "High", "Grave")),
        "its levels are Low, Medium, High, Grave, those of the others Low, Medium, High",
    ),
    "no candidate": (
        parse_report("x", bytes_of(report(candidate=None))), "it has no candidate",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "why"), REFUSED.values(), ids=REFUSED)
def test_a_report_that_does_not_count_is_named(answer: Answer, why: str) -> None:
    its = tally()
    take(its, p1=counted(10), p2=counted(20, "b1"), p3=answer)
    evidence = its.evidence(0.0)
    assert evidence.total.pairs == 30
    assert evidence.refused == (f"p3: {why}",)
    take(its, p1=answer, p2=counted(20, "b1"), p3=counted(1, "c1"))
    evidence = its.evidence(0.0)
    assert evidence.total.pairs == 31, "what it has counted before stays"
    assert evidence.refused == (f"p1: {why}",)


def test_the_levels_are_those_of_most_pods_whichever_answers_first() -> None:
    other = ("Low", "High")
    its = tally()
    take(its, p1=counted(10, levels=other), p2=counted(20, "b1"), p3=counted(30, "c1"))
    assert pairs(its) == (50, 0)
    take(its, p1=counted(10, levels=other), p4=counted(10, "d1", levels=other))
    assert pairs(its) == (50, 50), "and stay so"


def test_pods_of_other_levels_than_former_ones_do_not_count() -> None:
    its = tally(SEED)
    take(its, p1=counted(10, levels=("Low", "High")))
    assert pairs(its) == (5, 5)
    assert its.evidence(0.0).refused == ("p1: it has 2 levels, pods before it 3",)


def test_a_pod_whose_server_knows_no_comparison_is_named() -> None:
    its = tally()
    take(its, p1=UNAWARE, p2=counted(10))
    assert its.evidence(0.0).unaware == ("p1",)
    take(its, p2=counted(10))
    assert its.evidence(0.0).unaware == ()


def unreachable(its: Tally, now: float) -> tuple[str, ...]:
    return its.evidence(now).unreachable


def test_a_pod_that_is_silent_for_two_minutes_is_named() -> None:
    its = tally()
    take(its, 0.0, p1=counted(10), p2=SILENT)
    take(its, 10.0, p1=SILENT, p2=SILENT)
    take(its, 20.0, p1=SILENT, p2=SILENT)
    assert unreachable(its, UNREACHABLE_SECONDS - 1) == ()
    assert unreachable(its, UNREACHABLE_SECONDS) == ("p2",)
    assert unreachable(its, UNREACHABLE_SECONDS + 10) == ("p1", "p2")
    take(its, 130.0, p1=counted(11), p2=SILENT)
    assert unreachable(its, 130.0) == ("p2",)


def test_a_pod_that_is_still_starting_is_not_unreachable() -> None:
    its = tally()
    for now in (0.0, 200.0, 400.0):
        take(its, now, p1=SILENT, ready=False)
        assert unreachable(its, now) == ()
    take(its, 410.0, p1=counted(1), ready=False)
    take(its, 420.0, p1=SILENT, ready=False)
    assert unreachable(its, 540.0) == ("p1",), "it has answered before"


def test_a_pod_that_is_being_deleted_and_answers_no_more_is_not_missed() -> None:
    """It may stay so for days, where its node is dead."""
    its = tally()
    take(its, 0.0, p1=counted(10))
    take(its, 10.0, p1=SILENT, ready=False, leaving=True)
    assert unreachable(its, 10.0 + UNREACHABLE_SECONDS) == ()
    assert its.evidence(300.0).total.pairs == 10


def test_a_ready_pod_that_has_not_answered_yet_is_named() -> None:
    its = tally()
    take(its, p1=counted(10), p2=SILENT)
    assert its.evidence(0.0).unheard == ("p2",)
    take(its, p1=SILENT, p2=counted(1, "b1"))
    assert its.evidence(0.0).unheard == (), "what p1 has said before is known"
    take(its, p3=SILENT, ready=False)
    assert its.evidence(0.0).unheard == (), "it is still starting"
    take(its, p4=SILENT, leaving=True)
    assert its.evidence(0.0).unheard == ()


def test_pods_that_cannot_be_listed_are_silent_and_keep_their_counts() -> None:
    its = tally()
    take(its, 0.0, p1=counted(10))
    its.miss(10.0)
    its.miss(20.0)
    assert its.evidence(130.0).total.pairs == 10
    assert unreachable(its, 129.0) == ()
    assert unreachable(its, 130.0) == ("p1",)
