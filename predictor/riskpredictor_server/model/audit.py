"""Audit log: one JSON line per prediction on standard output, off by default."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from io import FileIO
from typing import Any, NamedTuple, Self

import orjson

from riskpredictor_server.line_writer import LineWriter
from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.schema import Values

log = logging.getLogger("riskpredictor")

_STDOUT = 1


Identity = dict[str, str]


def identity(model: Model) -> Identity:
    """How lines and metrics name a model."""
    return {"model_version": model.version, "digest": model.digest}


class Scoring(NamedTuple):
    """Which of two models answered, and what the other one said."""

    answered: Identity
    other: Identity
    other_levels: Sequence[str]
    """Per record."""


class AuditLog:
    """Writes each prediction with its request id and model, and the vitals if asked for.

    Lines that cannot be written are counted, reported once in the log, and leave a line with their
    number.
    """

    def __init__(self, model: Model, *, with_vitals: bool) -> None:
        self._model = identity(model)
        self._names = model.schema.names
        self._with_vitals = with_vitals
        self._writer = LineWriter(FileIO(_STDOUT, "w", closefd=False), _gap)
        self._loss_logged = False

    def of(self, model: Model) -> Self:
        """Return the same log for the answers of another model alone."""
        other = copy.copy(self)
        other._model, other._names = identity(model), model.schema.names
        return other

    @property
    def lost(self) -> int:
        """Number of lines that could not be written."""
        return self._writer.lost

    def write(
        self,
        rows: Sequence[Values],
        answers: Sequence[dict[str, Any]],
        request_id: str,
        scoring: Scoring | None = None,
    ) -> None:
        """Queue one line per answer, in one write so that lines of two requests never mix.

        ``scoring`` tells which model answered, if two have scored; else it is the log's own.
        """
        model = scoring.answered if scoring else self._model
        stamp = {"audit": "prediction", "time": time.time(), "request_id": request_id}
        lines = []
        for index, (values, answer) in enumerate(zip(rows, answers, strict=True)):
            line = {
                **stamp,
                **model,
                "row": index,
                "risk_level": answer["risk_level"],
                "confidence": answer["confidence"],
            }
            if scoring:
                line["shadow"] = {**scoring.other, "risk_level": scoring.other_levels[index]}
            if self._with_vitals:
                line["vitals"] = dict(zip(self._names, values, strict=True))
            lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self._writer.write(b"".join(lines), len(lines))
        if self._writer.lost and not self._loss_logged:
            self._loss_logged = True
            log.error(
                "audit log: lines are lost (%s); see riskpredictor_audit_lost_total",
                self._writer.reason,
            )

    def close(self) -> None:
        """Give queued lines a little time to be written."""
        self._writer.close()


def _gap(lines: int, reason: str) -> bytes:
    gap = {"audit": "lost", "time": time.time(), "lines": lines, "reason": reason}
    return orjson.dumps(gap, option=orjson.OPT_APPEND_NEWLINE)
