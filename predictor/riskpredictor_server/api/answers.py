"""Builds the prediction of one record: level, probabilities, contributions, warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.schema import Feature, Values, number_text
from riskpredictor_server.model.scorer import Contributions, Probabilities

Warnings = Sequence[dict[str, Any]]


def answerer(
    model: Model,
) -> Callable[[Probabilities, Contributions | None, Warnings], dict[str, Any]]:
    """Return the function that builds one prediction of an answer of this model."""
    names, levels = model.schema.names, model.schema.levels
    downwards = levels[::-1]
    units = {f.unit_field: f.unit_names[0] for f in model.schema.features if f.units}
    last = {**units, "model_version": model.version}

    def answer(
        probabilities: Probabilities, shares: Contributions | None, warnings: Warnings
    ) -> dict[str, Any]:
        """Build it in the order of its published fields."""
        confidence = max(probabilities)
        return {
            # Of equal ones the highest: the safer error.
            "risk_level": downwards[probabilities[::-1].index(confidence)],
            "confidence": confidence,
            "probabilities": dict(zip(levels, probabilities)),  # noqa: B905 - as many of each
            "contributions": dict(zip(names, shares)) if shares else None,  # noqa: B905
            "warnings": warnings,
            **last,
        }

    return answer


class Warner:
    """Tells what a model was not trained on, and what was left out of a record."""

    def __init__(self, model: Model) -> None:
        features, rows = model.schema.features, model.card["features"]
        self._rows = list(zip(features, rows, strict=True))
        numbers = [(i, row["trained_on"]) for i, (f, row) in enumerate(self._rows) if f.is_numeric]
        self._numeric = tuple((i, span["minimum"], span["maximum"]) for i, span in numbers)
        self._choices = tuple(
            (i, frozenset(row["trained_on"]["values"]))
            for i, (feature, row) in enumerate(self._rows)
            if not feature.is_numeric
        )
        self._has_optional = not all(feature.required for feature in features)
        self._left_out = tuple(_left_out(f, row.get("fill")) for f, row in self._rows)

    def warnings(self, values: Values) -> Warnings:
        """The warnings of one record."""
        if self._has_optional and None in values:
            return self._all_of(values)
        for i, low, high in self._numeric:
            if not low <= values[i] <= high:
                return self._all_of(values)
        for i, seen in self._choices:
            if values[i] not in seen:
                return self._all_of(values)
        return ()

    def of_many(self, rows: Sequence[Values]) -> Iterable[Warnings]:
        """The warnings of each record of a batch."""
        # Most batches have none; checking whole columns takes a third of the time.
        columns = list(zip(*rows, strict=True))
        if (
            not (self._has_optional and any(None in column for column in columns))
            and all(
                low <= min(columns[i]) and max(columns[i]) <= high for i, low, high in self._numeric
            )
            and all(seen.issuperset(columns[i]) for i, seen in self._choices)
        ):
            return repeat(())
        return map(self.warnings, rows)

    def _all_of(self, values: Values) -> list[dict[str, Any]]:
        found = {i: self._left_out[i] for i, value in enumerate(values) if value is None}
        for i, low, high in self._numeric:
            if i not in found and not low <= values[i] <= high:
                found[i] = _beyond(*self._rows[i], values[i])
        for i, seen in self._choices:
            if i not in found and values[i] not in seen:
                found[i] = _beyond(*self._rows[i], values[i])
        return [found[i] for i in sorted(found)]


def _beyond(feature: Feature, row: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Tell that the model was not trained on a value."""
    span = row["trained_on"]
    if feature.is_numeric:
        low, high = span["minimum"], span["maximum"]
        span = {"minimum": low, "maximum": high, "unit": feature.unit}
        amount = _amount(f"{number_text(low)} to {number_text(high)}", feature)
        detail = f"outside the {amount} that the model was trained on"
    else:
        detail = f"no record that the model was trained on was {_text(value)}"
    return {
        "field": feature.name,
        "value": value,
        "trained_on": span,
        "detail": f"{detail}: the answer is an extrapolation",
    }


def _left_out(feature: Feature, fill: Any) -> dict[str, Any]:
    """Tell what was scored in the place of a feature that was left out."""
    how = "the model fills the gap in a way of its own"
    if fill is not None:
        how = f"{_amount(_text(fill), feature)} was scored instead"
    return {
        "field": feature.name,
        "value": None,
        "filled_with": fill,
        "detail": f"left out: {how}",
    }


def _amount(text: str, feature: Feature) -> str:
    return f"{text} {feature.unit}".rstrip()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else number_text(value)
