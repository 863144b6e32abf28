"""Audit log: one JSON line per prediction on standard output, off by default."""

from __future__ import annotations

import logging
import time
from io import FileIO
from typing import Any

import orjson

from riskpredictor_server.line_writer import LineWriter
from riskpredictor_server.model.schema import Schema, Values

log = logging.getLogger("riskpredictor")

_STDOUT = 1


class AuditLog:
    """Writes each prediction with its request id and model, and the vitals if asked for.

    Lines that cannot be written are counted, reported once in the log, and leave a line with their
    number.
    """

    def __init__(
        self, model_version: str, digest: str, schema: Schema, *, with_vitals: bool
    ) -> None:
        self._model = {"model_version": model_version, "digest": digest}
        self._names = schema.names
        self._with_vitals = with_vitals
        self._writer = LineWriter(FileIO(_STDOUT, "w", closefd=False), _gap)
        self._loss_logged = False

    @property
    def lost(self) -> int:
        """Number of lines that could not be written."""
        return self._writer.lost

    def write(self, rows: list[Values], answers: list[dict[str, Any]], request_id: str) -> None:
        """Queue one line per answer, in one write so that lines of two requests never mix."""
        stamp = {"audit": "prediction", "time": time.time(), "request_id": request_id}
        lines = []
        for index, (values, answer) in enumerate(zip(rows, answers, strict=True)):
            line = {
                **stamp,
                **self._model,
                "row": index,
                "risk_level": answer["risk_level"],
                "confidence": answer["confidence"],
            }
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
