"""Answers prediction requests: body bytes in, :class:`Reply` out."""

from __future__ import annotations

from collections import Counter
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from riskpredictor_server.api.answers import Warner, answerer
from riskpredictor_server.api.json_body import BodyError, decode
from riskpredictor_server.api.problems import JSON, Headers, Reply, problem
from riskpredictor_server.api.records import InvalidRecordError, RecordReader
from riskpredictor_server.api.rollout import Rollout
from riskpredictor_server.metrics import Metrics
from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.audit import AuditLog
from riskpredictor_server.model.drift import Recent
from riskpredictor_server.model.schema import Values


def is_json(content_type: str) -> bool:
    """Whether the media type is JSON.

    Its parameters mean nothing: JSON is UTF-8 (RFC 8259, 8.1), whatever charset a client names.
    """
    media = content_type.partition(";")[0].strip().lower()
    return media in (JSON, "text/json") or (
        media.startswith("application/") and media.endswith("+json")
    )


class Answered(NamedTuple):
    """The predictions of a batch, and who made them."""

    predictions: list[dict[str, Any]]
    model: Model
    headers: Headers
    """Of the reply."""


class Predictor:
    """Answers ``POST /predict`` with a verified model; counts and audits what it answers."""

    def __init__(
        self,
        model: Model,
        metrics: Metrics,
        max_batch: int,
        audit: AuditLog | None = None,
        rollout: Rollout | None = None,
        headers: Headers = (),
    ) -> None:
        """``rollout`` has a candidate that may answer in the place of the model; ``headers`` are
        those of answers by the model.
        """
        self.model = model
        self._rollout = rollout
        self._headers = headers
        self._audit = audit
        self.metrics = metrics
        self.max_batch = max_batch
        self.reader = RecordReader(model.schema, model.examples[0]["record"])
        self.recent = Recent()
        """The latest scored values, for the drift metric."""
        self._fields = frozenset(model.schema.fields)
        self._answer, self._warner = answerer(model), Warner(model)

    def reply(self, body: bytes, content_type: str, request_id: str, subject: bytes = b"") -> Reply:
        """Answer one request body; no body makes it raise.

        ``subject`` is the value of the header by which requests are assigned to a candidate.
        """
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
            return self._batch(document, request_id, subject)
        try:
            values = self.reader.read(document)
        except InvalidRecordError as invalid:
            return self.invalid(invalid.errors, request_id)
        probabilities, shares = self.model.scorer.score(values)
        answer = self._answer(probabilities, shares, self._warner.warnings(values))
        headers, scoring = self._headers, None
        if self._rollout is not None:
            second = self._rollout.score(values, answer["risk_level"], subject)
            if second:
                scoring = second.scoring
                if second.answers:
                    (answer,), headers = second.answers, second.headers
        answer["request_id"] = request_id
        self.metrics.predictions.add((answer["risk_level"],))
        self.recent.add(values)
        if self._audit:
            self._audit.write([values], [answer], request_id, scoring)
        return Reply(200, JSON, orjson.dumps(answer), headers)

    def _batch(self, document: dict[str, Any], request_id: str, subject: bytes) -> Reply:
        instances = document["instances"]
        wrong = self._envelope_error(document)
        if wrong:
            return self.invalid([wrong], request_id)
        try:
            rows = self.reader.read_many(instances, "instances")
        except InvalidRecordError as invalid:
            return self.invalid(invalid.errors, request_id)
        predictions, model, headers = self.answers(rows, request_id, subject)
        body = {
            "predictions": predictions,
            "model_version": model.version,
            "request_id": request_id,
        }
        return Reply(200, JSON, orjson.dumps(body), headers)

    def answers(self, rows: list[Values], request_id: str, subject: bytes = b"") -> Answered:
        """Score, count and audit checked records."""
        probabilities, shares = self.model.scorer.score_many(rows)
        warnings = self._warner.of_many(rows)
        predictions = list(map(self._answer, probabilities, shares or repeat(None), warnings))
        answered, scoring = Answered(predictions, self.model, self._headers), None
        if self._rollout is not None:
            levels = [prediction["risk_level"] for prediction in predictions]
            second = self._rollout.score_many(rows, levels, subject)
            if second:
                scoring = second.scoring
                if second.answers:
                    predictions = second.answers
                    answered = Answered(predictions, second.model, second.headers)
        for level, count in Counter(map(itemgetter("risk_level"), predictions)).items():
            self.metrics.predictions.add((level,), count)
        self.recent.extend(rows)
        if self._audit:
            self._audit.write(rows, predictions, request_id, scoring)
        return answered

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
            known = name if name in self._fields else ""
            self.metrics.rejected.add((known, error["problem"]))
