"""The audit log, off unless asked for: one JSON line per prediction, on standard output."""

from __future__ import annotations

import os
import time
from typing import Any

import orjson

from riskpredictor_server.schema import VITAL_NAMES, Values

_STDOUT = 1


class AuditLog:
    """Writes who was told what, by which model; a patient's vitals only if asked for."""

    def __init__(self, model_version: str, digest: str, with_vitals: bool) -> None:
        self._model = {"model_version": model_version, "digest": digest}
        self._with_vitals = with_vitals

    def write(self, rows: list[Values], answers: list[dict[str, Any]], request_id: str) -> None:
        """One line per answer, all in one write so that lines of two requests never mix."""
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
                line["vitals"] = dict(zip(VITAL_NAMES, values, strict=True))
            lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        data = memoryview(b"".join(lines))
        while data:
            data = data[os.write(_STDOUT, data) :]
