"""Validates records of requests by a model's schema: types, ranges, units, unknown fields.

The OpenAPI description is generated from the same schema.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from riskpredictor_server.api.hints import Hints, listed
from riskpredictor_server.model.schema import Feature, Schema, Values, unit_name

_MAX_ERRORS: Final = 100
_NUMBER: Final = frozenset((int, float))
"""Exact types: bool is a subclass of int, and true is no measurement."""


_Rule = tuple[Feature, Callable[[float], float]]
"""A feature in one of its units, and the conversion to its own."""


class InvalidRecordError(ValueError):
    """A record is refused; ``errors`` has one entry per bad, missing or unknown field."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(f"{errors[0]['field']}: {errors[0]['detail']}".removeprefix(": "))
        self.errors = errors


def problems(schema: Schema) -> tuple[str, ...]:
    """Every value of an error's ``problem``."""
    kinds = {feature.type for feature in schema.features}
    return (
        "missing",
        *(["not_a_number"] if kinds & {"number", "integer"} else []),
        *(["not_an_integer"] if "integer" in kinds else []),
        *(["not_a_boolean"] if "boolean" in kinds else []),
        "out_of_range",
        "not_allowed",
        "unknown_field",
        "not_an_object",
    )


class RecordReader:
    """Reads the records of one schema."""

    def __init__(self, schema: Schema, example: Mapping[str, Any]) -> None:
        """``example`` is a valid record, for hints."""
        self.schema = schema
        self._fields = frozenset(schema.fields)
        self._hints = Hints(schema, example)
        self._unknown = f"unknown field; the fields are {listed(schema.fields)}"
        self._fast = _fast_reader(schema)
        # Each feature as a record may give it, and the conversion, by the unit's name there.
        self._rules: list[tuple[Feature, dict[str, _Rule]]] = [
            (
                feature,
                {unit_name(feature.unit): (feature, float)}
                | {
                    unit_name(unit.name): (feature.in_unit(unit), unit.to_own)
                    for unit in feature.units
                },
            )
            for feature in schema.features
        ]

    def field_meant(self, name: str) -> str | None:
        """The field that an unknown name stands for, if that is plain."""
        return self._hints.field_meant(name)

    def read(self, record: Any, unit_prefix: str = "") -> Values:
        """Validate a decoded JSON record and return its values, in each feature's own unit.

        ``unit_prefix`` comes before the name of a unit's field where the request says it, for
        errors. Raises InvalidRecordError with the errors of all fields.
        """
        values = self._fast(record)
        return self._inspect(record, unit_prefix) if values is None else values

    def read_many(self, records: Iterable[Any], path: str, unit_prefix: str = "") -> list[Values]:
        """Validate a list of decoded records.

        Raises InvalidRecordError; its errors name fields as ``path[index].field``, and no further
        record is checked once there are 100.
        """
        rows: list[Values] = []
        errors: list[dict[str, Any]] = []
        fast, add = self._fast, rows.append
        for index, record in enumerate(records):
            values = fast(record)
            if values is None:
                try:
                    values = self._inspect(record, unit_prefix)
                except InvalidRecordError as invalid:
                    for error in invalid.errors:
                        field = f"{path}[{index}].{error['field']}".removesuffix(".")
                        errors.append({**error, "field": field})
                    if len(errors) >= _MAX_ERRORS:
                        break
                    continue
            add(values)
        if errors:
            raise InvalidRecordError(errors)
        return rows

    def _inspect(self, record: Any, unit_prefix: str) -> Values:
        if not isinstance(record, dict):
            detail = (
                f"a record is a JSON object with {listed(self.schema.names)}; this is"
                f" {_json_type(record)}{self._hints.document_meant(record)}"
            )
            raise InvalidRecordError([{"field": "", "problem": "not_an_object", "detail": detail}])
        unknown = [str(name)[:64] for name in list(record)[:64] if name not in self._fields]
        wrapper = self._hints.wrapper_meant(record) if len(unknown) == len(record) else None
        if wrapper:
            # Missing fields would only hide the one that tells why.
            name, detail = wrapper[0][:64], f"unknown field; {wrapper[1]}"
            error = {"field": name, "problem": "unknown_field", "detail": detail}
            raise InvalidRecordError([error])
        meant = {name: field for name in unknown if (field := self.field_meant(name)) not in record}
        errors: list[dict[str, Any]] = []
        rules = [self._rule(feature, units, record, errors) for feature, units in self._rules]
        values: list[Any] = []
        for (feature, _), (rule, convert) in zip(self._rules, rules, strict=True):
            value: Any = record.get(feature.name)
            if value is None and not feature.required:
                values.append(None)
            elif rule.accepts(value):
                values.append(convert(value) if feature.is_numeric else value)
            else:
                errors.append(self._field_error(feature, rule, record, meant, unit_prefix))
        errors.extend(
            {"field": name, "problem": "unknown_field", "detail": self._unknown_detail(meant, name)}
            for name in unknown
        )
        if errors:
            raise InvalidRecordError(errors)
        return tuple(values)

    def _rule(
        self,
        feature: Feature,
        units: Mapping[str, _Rule],
        record: Mapping[str, Any],
        errors: list[dict[str, Any]],
    ) -> _Rule:
        """The feature in the unit that the record says, and the conversion to its own."""
        own = next(iter(units.values()))
        if not feature.units or feature.unit_field not in record:
            return own
        unit = record[feature.unit_field]
        if isinstance(unit, str) and unit in units:
            return units[unit]
        allowed = list(feature.unit_names)
        errors.append(
            {
                "field": feature.unit_field,
                "problem": "not_allowed",
                "value": shown(unit),
                "allowed": allowed,
                "detail": f"{feature.unit_field} must be {quoted(allowed)}",
            }
        )
        return own

    def _unknown_detail(self, meant: Mapping[str, str | None], name: str) -> str:
        field = meant.get(name)
        return f'{self._unknown}; did you mean "{field}"?' if field else self._unknown

    def _field_error(
        self,
        feature: Feature,
        rule: Feature,
        record: Mapping[str, Any],
        meant: Mapping[str, str | None],
        unit_prefix: str,
    ) -> dict[str, Any]:
        """What is wrong with a field; ``meant`` has the fields that unknown names stand for."""
        value = record.get(feature.name)
        error: dict[str, Any] = {"field": feature.name}
        if feature.name not in record:
            detail = f"required, {rule.span()}"
            renamed = next((name for name, field in meant.items() if field == feature.name), None)
            if renamed:
                detail += f'; was it sent as "{renamed}"?'
            error |= {"problem": "missing", "detail": detail}
        elif rule.is_numeric:
            hint = self._hints.value_meant(feature, rule, value, unit_prefix)
            problem, detail = _number_problem(rule, value)
            error |= {"problem": problem, "value": shown(value), "detail": detail + hint}
        else:
            boolean = rule.type == "boolean"
            detail = (
                f"must be true or false; this is {_json_type(value)}"
                if boolean
                else f"must be {quoted(rule.values)}"
            )
            error |= {
                "problem": "not_a_boolean" if boolean else "not_allowed",
                "value": shown(value),
                "detail": detail + self._hints.choice_meant(rule, value),
            }
        if rule.is_numeric:
            return error | {"minimum": rule.minimum, "maximum": rule.maximum, "unit": rule.unit}
        return error | {"allowed": list(rule.choices)}


def _number_problem(rule: Feature, value: Any) -> tuple[str, str]:
    if type(value) not in _NUMBER:
        kind = "a JSON number" if rule.type == "number" else "a whole number"
        return "not_a_number", f"must be {kind}, {rule.span()}; this is {_json_type(value)}"
    if rule.minimum <= value <= rule.maximum:
        return "not_an_integer", f"must be a whole number, {rule.span()}"
    return "out_of_range", f"must be {rule.span()}"


def _fast_reader(schema: Schema) -> Callable[[Any], Values | None]:
    """Return a function for the common valid record, which takes a fraction of the time.

    It applies the rules of ``RecordReader._inspect``: values in each feature's own unit and no
    field for units. For any other record it returns None.
    """
    names = schema.names
    pick: Callable[[Any], Any] = itemgetter(*names) if len(names) > 1 else lambda r: (r[names[0]],)
    optional = not all(feature.required for feature in schema.features)
    count = len(names)
    spans = [(f.minimum, f.maximum) for f in schema.features]
    if not optional and all(f.type == "number" for f in schema.features):
        lows, highs = zip(*spans, strict=True)

        def read_numbers(record: Any) -> Values | None:
            if type(record) is not dict or len(record) != count:
                return None
            try:
                values: Values = pick(record)
            except KeyError:
                return None
            # NaN is in no range: every comparison with it is false.
            for value, low, high in zip(values, lows, highs):  # noqa: B905 - as many of each
                if type(value) not in _NUMBER or not low <= value <= high:
                    return None
            return values

        return read_numbers

    numbers = [
        (i, spans[i], _NUMBER if f.type == "number" else frozenset((int,)), f.required)
        for i, f in enumerate(schema.features)
        if f.is_numeric
    ]
    choices = [
        (i, bool if f.type == "boolean" else str, frozenset(f.choices), f.required)
        for i, f in enumerate(schema.features)
        if not f.is_numeric
    ]

    def read_mixed(record: Any) -> Values | None:
        if type(record) is not dict:
            return None
        values = tuple(map(record.get, names))
        # Otherwise a field is unknown, null or missing.
        if len(record) != count - values.count(None):
            return None
        for i, (low, high), types, required in numbers:
            value: Any = values[i]
            if value is None and not required:
                continue
            if type(value) not in types or not low <= value <= high:
                return None
        for i, kind, allowed, required in choices:
            value = values[i]
            if value is None and not required:
                continue
            if type(value) is not kind or value not in allowed:
                return None
        return values

    return read_mixed


def quoted(values: Sequence[str]) -> str:
    """Write a choice of texts: "F" or "C"."""
    *most, last = (f'"{value}"' for value in values)
    return f"{', '.join(most)} or {last}" if most else last


def _json_type(value: Any) -> str:
    for kinds, name in (
        (bool, "a boolean"),
        ((int, float), "a number"),
        (str, "a string"),
        (list, "an array"),
        (dict, "an object"),
    ):
        if isinstance(value, kinds):
            return name
    return "null"


def shown(value: Any) -> Any:
    """Shorten a client's value to what an error repeats: at most 64 characters of valid JSON."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else "a huge whole number"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else _json_type(value)
    return text if len(text) <= 64 else f"{text[:63]}…"
