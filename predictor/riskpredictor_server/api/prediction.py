"""Answers prediction requests: body bytes in, :class:`Reply` out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

import orjson

from riskpredictor_server.api.json_body import BodyError, decode
from riskpredictor_server.api.problems import JSON, Reply, problem
from riskpredictor_server.api.records import InvalidRecordError, read_record, read_records
from riskpredictor_server.metrics import Metrics
from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.audit import AuditLog
from riskpredictor_server.model.drift import Recent
from riskpredictor_server.model.scorer import Contributions
from riskpredictor_server.model.vitals import VITAL_NAMES, VITALS, Values


def is_json(content_type: str) -> bool:
    """Whether the media type is JSON.

    Its parameters mean nothing: JSON is UTF-8 (RFC 8259, 8.1), whatever charset a client names.
    """
    media = content_type.partition(";")[0].strip().lower()
    return media in (JSON, "text/json") or (
        media.startswith("application/") and media.endswith("+json")
    )


class Predictor:
    """Answers ``POST /predict`` with a verified model; counts and audits what it answers."""

    def __init__(
        self, model: Model, metrics: Metrics, max_batch: int, audit: AuditLog | None = None
    ) -> None:
        self.model = model
        self._version = model.version
        self._audit = audit
        self.metrics = metrics
        self.max_batch = max_batch
        self.recent = Recent()
        """The latest scored values, for the drift metric."""
        self._trained_on = tuple(
            (row["trained_on"]["minimum"], row["trained_on"]["maximum"])
            for row in sorted(
                model.card["features"], key=lambda row: VITAL_NAMES.index(row["name"])
            )
        )
        (
            (self._hr_lo, self._hr_hi),
            (self._bp_lo, self._bp_hi),
            (self._t_lo, self._t_hi),
            (self._ox_lo, self._ox_hi),
        ) = self._trained_on

    def reply(self, body: bytes, content_type: str, request_id: str) -> Reply:
        """Answer one request body; no body makes it raise."""
        if content_type != JSON and not is_json(content_type):
            self.metrics.rejected.add(("", "not_json"))
            detail = f"Content-Type is {content_type[:64]!r}; send {JSON}"
            return problem(415, detail, request_id)
        try:
            document = decode(body)
        except BodyError as error:
            self.metrics.rejected.add(("", "malformed"))
            errors = [{"field": error.field, "detail": error.detail}] if error.field else []
            return problem(400, error.detail, request_id, errors=errors)
        if type(document) is dict and "instances" in document:
            return self._batch(document, request_id)
        try:
            values = read_record(document)
        except InvalidRecordError as invalid:
            return self.invalid(invalid.errors, request_id)
        probabilities, shares = self.model.scorer.score(values)
        answer = self._answer(*probabilities, shares, self._warnings(values))
        answer["request_id"] = request_id
        self.metrics.predictions.add((answer["risk_level"],))
        self.recent.add(values)
        if self._audit:
            self._audit.write([values], [answer], request_id)
        return Reply(200, JSON, orjson.dumps(answer))

    def _answer(
        self,
        low: float,
        medium: float,
        high: float,
        shares: Contributions | None,
        warnings: Sequence[dict[str, Any]],
    ) -> dict[str, Any]:
        """Build one prediction of an answer, in the order of its published fields."""
        if low >= medium and low >= high:
            level, confidence = "Low", low
        elif medium >= high:
            level, confidence = "Medium", medium
        else:
            level, confidence = "High", high
        contributions = None
        if shares:
            hr, bp, t, ox = shares
            contributions = {
                "heart_rate": hr,
                "blood_pressure": bp,
                "temperature": t,
                "oxygen_level": ox,
            }
        return {
            "risk_level": level,
            "confidence": confidence,
            "probabilities": {"Low": low, "Medium": medium, "High": high},
            "contributions": contributions,
            "warnings": warnings,
            "temperature_unit": "F",
            "model_version": self._version,
        }

    def _warnings(self, values: Values) -> Sequence[dict[str, Any]]:
        hr, bp, t, ox = values
        if (
            self._hr_lo <= hr <= self._hr_hi
            and self._bp_lo <= bp <= self._bp_hi
            and self._t_lo <= t <= self._t_hi
            and self._ox_lo <= ox <= self._ox_hi
        ):
            return ()
        return [
            {
                "field": vital.name,
                "value": value,
                "trained_on": {"minimum": low, "maximum": high, "unit": vital.unit},
                "detail": f"outside the {low:g} to {high:g} {vital.unit} that the model was trained"
                " on: the answer is an extrapolation",
            }
            for vital, value, (low, high) in zip(VITALS, values, self._trained_on, strict=True)
            if not low <= value <= high
        ]

    def _all_warnings(self, rows: list[Values]) -> Iterable[Sequence[dict[str, Any]]]:
        # Most batches have no warnings; checking whole columns takes a third of the time.
        if all(
            low <= min(column) and max(column) <= high
            for column, (low, high) in zip(zip(*rows, strict=True), self._trained_on, strict=True)
        ):
            return repeat(())
        return map(self._warnings, rows)

    def _batch(self, document: dict[str, Any], request_id: str) -> Reply:
        instances = document["instances"]
        wrong = self._envelope_error(document)
        if wrong:
            return self.invalid([wrong], request_id)
        try:
            rows = read_records(instances, "instances")
        except InvalidRecordError as invalid:
            return self.invalid(invalid.errors, request_id)
        body = {
            "predictions": self.answers(rows, request_id),
            "model_version": self.model.version,
            "request_id": request_id,
        }
        return Reply(200, JSON, orjson.dumps(body))

    def answers(self, rows: list[Values], request_id: str) -> list[dict[str, Any]]:
        """Score, count and audit checked records."""
        low, medium, high, shares = self.model.scorer.score_many(rows)
        predictions = list(
            map(self._answer, low, medium, high, shares or repeat(None), self._all_warnings(rows))
        )
        for level, count in Counter(map(itemgetter("risk_level"), predictions)).items():
            self.metrics.predictions.add((level,), count)
        self.recent.extend(rows)
        if self._audit:
            self._audit.write(rows, predictions, request_id)
        return predictions

    def _envelope_error(self, document: dict[str, Any]) -> dict[str, Any] | None:
        instances = document["instances"]
        if len(document) > 1:
            other = next(name for name in document if name != "instances")
            detail = 'a batch has the one field "instances"'
            return {"field": str(other)[:64], "problem": "unknown_field", "detail": detail}
        if type(instances) is not list or not 1 <= len(instances) <= self.max_batch:
            detail = f"must be an array of 1 to {self.max_batch} records"
            return {"field": "instances", "problem": "not_allowed", "detail": detail}
        return None

    def invalid(self, errors: list[dict[str, Any]], request_id: str) -> Reply:
        """Build the 422 reply and count its errors."""
        self.count_rejected(errors)
        count = f"{len(errors)} problem" + ("s" if len(errors) > 1 else "")
        return problem(422, f"{count}; {InvalidRecordError(errors)}", request_id, errors=errors)

    def count_rejected(self, errors: list[dict[str, Any]]) -> None:
        """Count errors by field; unknown names share a label, or clients could grow the metrics."""
        for error in errors:
            name = error["field"].rsplit(".", 1)[-1]
            known = name if name in VITAL_NAMES or name == "temperature_unit" else ""
            self.metrics.rejected.add((known, error["problem"]))
