"""Two models on the same records: distinct ones count once, and which models can be compared."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from unit.predictor.candidates import lower, patients, variant
from unit.predictor.support import artifact

from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.comparison import (
    Comparison,
    Distinct,
    NotComparableError,
    check_comparable,
)
from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.schema import Schema

PATIENTS = [tuple(record.values()) for record in patients(1000)]


def test_the_matrix_is_that_of_scoring_each_record_by_both() -> None:
    stable, candidate = load(artifact()), load(lower())
    comparison = Comparison(stable, candidate)
    comparison.compare(PATIENTS)
    level_of = stable.schema.level_of
    expected = Counter(
        (
            level_of(stable.scorer.score(row).probabilities),
            level_of(candidate.scorer.score(row).probabilities),
        )
        for row in PATIENTS
    )
    found = {(i, j): n for i, row in enumerate(comparison.matrix) for j, n in enumerate(row) if n}
    assert found == expected
    assert comparison.pairs == 1000
    assert sum(found[2, j] for j in (0, 1) if (2, j) in found) > 0


def test_a_record_that_comes_again_counts_once() -> None:
    comparison = Comparison(load(artifact()), load(variant()))
    comparison.compare([PATIENTS[0]] * 50 + [tuple(map(float, PATIENTS[0]))])
    assert comparison.pairs == 1
    comparison = Comparison(load(artifact()), load(variant()))
    comparison.compare([])
    assert comparison.pairs == 0


def test_a_record_is_new_once_and_others_hide_few() -> None:
    distinct = Distinct()
    records = [b"%d" % number for number in range(40_000)]
    new = [distinct.add(record) for record in records]
    assert all(new[:1000])
    assert sum(new) > 0.999 * len(records)
    assert not any(map(distinct.add, records))


X: dict[str, Any] = {
    "name": "x",
    "minimum": 0,
    "maximum": 10,
    "unit": "mmol/L",
    "units": {"mg/dL": {"scale": 0.111}},
}
Y: dict[str, Any] = {"name": "y", "type": "category", "values": ["A", "B"], "required": False}


def schema(*features: dict[str, Any], levels: tuple[str, ...] = ("Low", "High")) -> Schema:
    return read_schema({"features": list(features), "levels": list(levels)})


@pytest.mark.parametrize(
    "features",
    [
        (X, Y),
        (Y, X),
        (X | {"minimum": -1, "maximum": 11}, Y),
        (X | {"required": False}, Y),
        (X, Y | {"values": ["B", "C", "A"]}),
        (X, Y, {"name": "z", "type": "boolean", "required": False}),
        (X | {"title": "Another", "step": 5}, Y),
    ],
    ids=["same", "order", "wider", "optional", "more values", "more features", "title"],
)
def test_a_candidate_that_takes_every_record_can_be_compared(features: Any) -> None:
    check_comparable(schema(X, Y), schema(*features))


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ((X,), "y: it has no such feature"),
        ((X | {"type": "integer"}, Y), "x: its type is integer, that of the stable model number"),
        ((X | {"unit": "mg/L"}, Y), "x: its unit is mg/L, that of the stable model mmol/L"),
        ((X | {"minimum": 1}, Y), "x: it takes 1 to 10 mmol/L, the stable model 0 to 10 mmol/L"),
        ((X | {"maximum": 9}, Y), "x: it takes 0 to 9 mmol/L"),
        ((X | {"units": {}}, Y), "x: it does not take the unit mg/dL"),
        ((X | {"units": {"mg/dL": {"scale": 0.1}}}, Y), "x: it does not take the unit mg/dL"),
        ((X, Y | {"values": ["A", "C"]}), "y: it does not take the value B"),
        ((X, Y | {"required": True}), "y: it is required, and may be left out"),
        ((X, Y, {"name": "z", "type": "boolean"}), "z: it is required, and the stable model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_that_would_refuse_a_record_is_told_which(features: Any, words: str) -> None:
    with pytest.raises(NotComparableError) as raised:
        check_comparable(schema(X, Y), schema(*features))
    assert str(raised.value).startswith(words)


def test_a_number_takes_every_whole_number() -> None:
    whole = X | {"type": "integer"}
    check_comparable(schema(whole, Y), schema(X, Y))


def test_other_levels_are_told() -> None:
    with pytest.raises(NotComparableError, match="its levels are High, Low; those of the stable"):
        check_comparable(schema(X), schema(X, levels=("High", "Low")))
