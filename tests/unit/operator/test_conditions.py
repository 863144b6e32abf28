"""Specification of how conditions replace the stored ones."""

from __future__ import annotations

import pytest
from unit.operator.builders import LATER, NOW, Object

from riskpredictor_operator.core.conditions import MESSAGE_LIMIT, Condition, merge


def stored(name: str, status: str, *, reason: str = "Old", generation: int = 1) -> Object:
    return {
        "type": name, "status": status, "reason": reason, "message": "old",
        "observedGeneration": generation, "lastTransitionTime": NOW,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "since"),
    [
        pytest.param([], LATER, id="new"),
        pytest.param([stored("Ready", "False")], LATER, id="flipped"),
        pytest.param([stored("Ready", "True")], NOW, id="same status, other reason"),
        pytest.param(
            [stored("Available", "True")], LATER, id="another condition's time is not ours"
        ),
    ],
)
def test_the_transition_time_moves_only_when_the_status_flips(
    before: list[Object], since: str
) -> None:
    (merged,) = merge(before, [Condition("Ready", "True", "New", "new")], 7, LATER)
    assert merged == {
        "type": "Ready", "status": "True", "reason": "New", "message": "new",
        "observedGeneration": 7, "lastTransitionTime": since,
    }  # fmt: skip


def test_a_condition_that_no_longer_holds_is_dropped() -> None:
    before = [stored("Ready", "False"), stored("Stalled", "True")]
    after = merge(before, [Condition("Ready", "True", "New", "new")], 1, LATER)
    assert [condition["type"] for condition in after] == ["Ready"]


def test_a_message_of_others_is_not_stored_at_any_length() -> None:
    (merged,) = merge([], [Condition("Ready", "False", "New", "m" * 40_000)], 1, LATER)
    assert len(merged["message"]) == MESSAGE_LIMIT
    assert merged["message"].endswith("m…")
