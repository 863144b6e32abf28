"""Specification of a pod's report: what is read of it, and what is refused by its name."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.operator.builders import Object, changed, without
from unit.operator.reports import LEVELS, MATRIX, ROLLOUT_ID, bytes_of, report

from riskpredictor_operator.core.change.evidence import (
    Cases,
    Counts,
    Evidence,
    PodReport,
    ReportError,
    parse_report,
)


def parsed(document: Object) -> PodReport:
    return parse_report("risk-1", bytes_of(document))


def test_a_whole_report() -> None:
    cases = {"digest": "sha256:cc", "passed": 2, "failed": ["septic shock"]}
    assert parsed(report(cases=cases)) == PodReport(
        pod="risk-1",
        instance="a1",
        rollout_id=ROLLOUT_ID,
        levels=LEVELS,
        state="Comparing",
        reason="",
        message="",
        stable_digest="sha256:aa",
        candidate_version="v2",
        candidate_digest="sha256:bb",
        counts=Counts(MATRIX, errors=7, withheld=3, answered=90),
        cases=Cases("sha256:cc", 2, ("septic shock",)),
        brier=(0.12, None),
    )


def test_a_pod_without_a_candidate() -> None:
    read = parsed(report(candidate=None))
    assert (read.state, read.candidate_version, read.candidate_digest) == ("", "", "")


def test_a_candidate_of_which_only_the_failure_is_known() -> None:
    candidate = {"state": "Unusable", "reason": "ModelNotFound", "message": "no v2 there"}
    read = parsed(report(candidate=candidate))
    assert (read.state, read.reason, read.message) == ("Unusable", "ModelNotFound", "no v2 there")
    assert (read.candidate_version, read.candidate_digest) == ("", "")


def test_a_long_message_is_shortened() -> None:
    candidate = {"state": "Unusable", "reason": "ModelRejected", "message": "x" * 5000}
    assert len(parsed(report(candidate=candidate)).message) == 1024


def test_a_long_text_of_a_failed_case_is_shortened() -> None:
    cases = {"digest": "", "passed": 0, "failed": ["x" * 5000]}
    (failed,) = (parsed(report(cases=cases)).cases or Cases("", 0, ())).failed
    assert len(failed) == 256


def test_fields_of_a_newer_server_are_left_aside() -> None:
    assert parsed(report(later={"a": 1})) == parsed(report())


EVERY_FIELD = [
    ("instance",), ("id",), ("levels",), ("stable",), ("stable", "digest"), ("candidate",),
    ("candidate", "state"), ("pairs",), ("matrix",), ("answers",), ("answers", "candidate"),
    ("withheld",), ("errors",), ("errors", "raised"), ("errors", "invalid"), ("errors", "slow"),
    ("cases",), ("brier",), ("brier", "stable"), ("brier", "candidate"),
]  # fmt: skip


@pytest.mark.parametrize("path", EVERY_FIELD, ids=".".join)
def test_a_missing_field_is_named(path: tuple[str, ...]) -> None:
    with pytest.raises(ReportError, match=f"^{'.'.join(path)}: missing$"):
        parsed(without(report(), *path))


COUNTS = [
    ("pairs",), ("withheld",), ("answers", "candidate"), ("errors", "raised"),
    ("errors", "invalid"), ("errors", "slow"),
]  # fmt: skip


@pytest.mark.parametrize("value", [-1, 1.0, "1", True, None, 10**12], ids=repr)
@pytest.mark.parametrize("path", COUNTS, ids=".".join)
def test_counts_are_whole_numbers_from_0_on(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(ReportError, match=f"^{'.'.join(path)}: must be a whole number from 0 on$"):
        parsed(changed(report(), value, *path))


WRONG: dict[str, tuple[Any, tuple[str | int, ...], str]] = {
    "no instance": ("", ("instance",), "instance: must not be empty"),
    "a long instance": ("x" * 257, ("instance",), "instance: must be a text of at most 256"),
    "a number as id": (7, ("id",), "id: must be a text"),
    "no level": ([], ("levels",), "levels: must be different names, at least one"),
    "a level twice": (["Low"] * 3, ("levels",), "levels: must be different names"),
    "levels in a text": ("Low", ("levels",), "levels: must be a list of at most 20 texts"),
    "too many levels": ([str(n) for n in range(21)], ("levels",), "levels: must be a list of at"),
    "a level of another kind": ([1, 2, 3], ("levels",), "levels: must be a list of at most 20"),
    "a ragged matrix": ([[1, 2], [3]], ("matrix",), "matrix: must be a square of whole numbers"),
    "an empty matrix": ([], ("matrix",), "matrix: must be a square"),
    "a negative cell": (-1, ("matrix", 1, 1), "matrix: must be a square of whole numbers from 0"),
    "half a pair": (0.5, ("matrix", 1, 1), "matrix: must be a square of whole numbers from 0"),
    "a small matrix": ([[812]], ("matrix",), "matrix: has 1 rows for 3 levels"),
    "other pairs": (813, ("pairs",), "pairs: 813 is not the sum of the matrix"),
    "an unknown state": ("Fine", ("candidate", "state"), "candidate.state: 'Fine' is none of"),
    "an empty candidate": ({}, ("candidate",), "candidate: must be an object with fields"),
    "a candidate's name": ("v2", ("candidate",), "candidate: must be an object"),
    "errors in sum": (7, ("errors",), "errors: must be an object"),
    "cases by number": (3, ("cases",), "cases: must be an object"),
    "a negative score": (-0.1, ("brier", "stable"), "brier.stable: must be null or a number"),
    "no number": (float("nan"), ("brier", "stable"), "brier.stable: must be null or a number"),
    "an endless score": (float("inf"), ("brier", "stable"), "brier.stable: must be null or"),
    "a score of truth": (True, ("brier", "stable"), "brier.stable: must be null or a number"),
    "failed cases by number": (
        {"digest": "", "passed": 0, "failed": 2}, ("cases",), "cases.failed: must be a list",
    ),
    "very many failed cases": (
        {"digest": "", "passed": 0, "failed": ["x"] * 101}, ("cases",), "cases.failed: must be a",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "path", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(value: Any, path: tuple[str | int, ...], told: str) -> None:
    with pytest.raises(ReportError) as caught:
        parsed(changed(report(), value, *path))
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"[]", b"null", b"\xff\xfe", b"[" * 60_000, b"1" * 5000],
    ids=["nothing", "no JSON", "a list", "null", "no text", "deep", "a huge number"],
)
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(ReportError, match=r"^the answer is no JSON object$"):
        parse_report("risk-1", content)


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(EVERY_FIELD), _VALUES)
def test_whatever_a_field_holds_it_is_read_or_refused(path: tuple[str, ...], value: Any) -> None:
    document = changed(report(), value, *path)
    with suppress(ReportError):
        assert parsed(document).counts.pairs == document["pairs"]


_COUNT = st.integers(0, 10**6)
counts = st.builds(
    Counts,
    st.just(()) | st.tuples(*[st.tuples(_COUNT, _COUNT, _COUNT)] * 3),
    errors=_COUNT,
    withheld=_COUNT,
    answered=_COUNT,
)


@given(counts)
def test_counts_come_back_from_the_status(value: Counts) -> None:
    stored = json.loads(json.dumps(value.to_document()))
    assert Counts.from_document(stored) == value


@pytest.mark.parametrize(
    "document",
    [
        None, {}, {"matrix": "x"}, {"matrix": [[1, 2], [3]]}, {"matrix": [[1]], "errors": -1},
        {"matrix": [[-1]]}, {"matrix": [[1]], "errors": None},
    ],
    ids=repr,
)  # fmt: skip
def test_counts_that_somebody_edited_are_nothing(document: Any) -> None:
    assert Counts.from_document(document) == Counts()


@given(counts, counts, counts)
def test_counts_add_up_in_any_order(a: Counts, b: Counts, c: Counts) -> None:
    assert (a + b) + c == c + (b + a)
    assert (a + b).pairs == a.pairs + b.pairs
    assert a + Counts() == a


def test_the_total_is_of_pods_that_are_there_and_of_those_that_were() -> None:
    one, other = parsed(report("a1")), parsed(report("a2"))
    carried = Counts(((1, 0, 0), (0, 0, 0), (0, 0, 0)), errors=1)
    evidence = Evidence(ROLLOUT_ID, (one, other), carried)
    assert evidence.total.pairs == 2 * 812 + 1
    assert evidence.total.errors == 2 * 7 + 1
    assert evidence.total.answered == 2 * 90
