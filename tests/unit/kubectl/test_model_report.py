"""What ``model inspect`` and ``model diff`` make of cards."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from unit.kubectl.cards import OLD, WARD, Card

from riskpredictor_kubectl import model_report
from riskpredictor_kubectl.comparison import agreement, figures, interval

METRICS: dict[str, Any] = {
    "records": 250,
    "accuracy": 0.91,
    "log_loss": None,
    "calibration": {"intercept": 0.2, "slope": 1.1, "of": "Call against the other levels"},
    "per_class": {
        level: {"precision": 0.5, "recall": 0.25, "f1": 0.3, "support": 40}
        for level in ("Watch", "Call", "Act now", "Stable")
    },
    "intervals": {
        "accuracy": [0.87, 0.95], "calibration_slope": [0.9, 1.3], "recall": {"Call": [0.1, 0.4]},
        "level": 0.95, "method": "bootstrap",
    },
}  # fmt: skip


def _card(card: Card, **more: Any) -> Card:
    return {**copy.deepcopy(card), "digest": f"sha256:{'a' * 64}", **more}


def _rows(text: str) -> list[list[str]]:
    return [re.split(r" {3,}", line.strip()) for line in text.splitlines()]


def _text(card: Card, *, proven: bool = True) -> list[list[str]]:
    return _rows(model_report.text("sha256:0", card, {"card.json": b"x"}, proven=proven))


def test_figures_come_in_the_order_of_risk_and_with_their_intervals() -> None:
    card = _card(WARD, metrics=METRICS)
    names = list(figures(card))
    assert names[:4] == ["records", "accuracy", "calibration_intercept", "calibration_slope"]
    assert [name for name in names if name.startswith("recall")] == [
        "recall of Stable", "recall of Watch", "recall of Act now", "recall of Call",
    ]  # fmt: skip
    assert interval(card, "recall of Call") == (0.1, 0.4)
    assert interval(card, "recall of Watch") is interval(card, "level") is None
    rows = _text(card)
    assert ["accuracy", "0.910", "0.870 to 0.950"] in rows
    assert ["Call", "40", "0.500", "0.250", "0.300", "0.100 to 0.400"] in rows


def test_a_card_of_an_older_trainer_has_no_column_of_intervals() -> None:
    rows = _text(OLD)
    assert ["METRIC", "VALUE"] in rows
    assert ["LEVEL", "RECORDS", "PRECISION", "RECALL", "F1"] in rows


def test_a_card_with_nothing_but_a_declaration_can_be_shown() -> None:
    rows = _text(WARD, proven=False)
    assert ["GOLDEN CASES", "0, not tried"] in rows
    assert ["lactate", "number", "0.1 to 30 mmol/L", "0.4 to 19.9", "75 %", "-"] in rows
    assert not [row for row in rows if row[0] == "METRIC"]


def test_a_risk_that_is_declared_and_does_not_hold_is_told() -> None:
    card = _card(WARD)
    for feature, holds in zip(card["features"], (True, False), strict=False):
        feature |= {"risk": "rises", "monotone": {"declared": "rises", "holds": holds}}
    rows = {row[0]: row[-1] for row in _text(card)}
    assert (rows["respiratory_rate"], rows["glucose"]) == ("rises", "rises: does not hold")


def test_a_long_list_of_values_is_cut() -> None:
    values = [f"value {number}" for number in range(50)]
    card = {"model_version": "c", "features": [
        {"name": "ward", "type": "category", "values": values, "trained_on": {"values": values}},
    ]}  # fmt: skip
    (row,) = [row for row in _text(card) if row[0] == "ward"]
    assert row[2] == row[3] == f"{', '.join(values)[:39]}…"


@pytest.mark.parametrize(
    ("levels", "up", "down"), [(["Low", "Mid", "High"], 2, 1), ([], None, None)]
)
def test_up_and_down_are_counted_where_levels_are_the_same(
    levels: list[str], up: int | None, down: int | None
) -> None:
    first = ["Low", "Low", "Mid", "High", "High"]
    second = ["Low", "High", "High", "Mid", "High"]
    found = agreement(levels, first, second)
    assert (found.records, found.same, found.upgraded, found.downgraded) == (5, 2, up, down)
    assert found.counts["High", "Mid"] == 1


def test_models_of_other_levels_are_compared_without_up_and_down() -> None:
    one = _card(OLD, metrics={})
    found = agreement([], ["Low", "High"], ["Stable", "Call"])
    text = model_report.difference_text(one, _card(WARD), found)
    assert "2 records: 0 (0.0 %) get the same level; the models have other levels, so none" in text
    assert re.split(r" {2,}", text.splitlines()[-4]) == [
        "v1 \\ w7", "Stable", "Watch", "Act now", "Call",
    ]  # fmt: skip
    assert text.splitlines()[-1].split() == ["High", "0", "0", "0", "1"]
    data = model_report.difference(one, _card(WARD), found)
    assert data["agreement"]["upgraded"] is None
    assert [each["name"] for each in data["features"] if not each["a"]] == [
        feature["name"] for feature in WARD["features"]
    ]
