"""The audit log, off unless asked for: one JSON line per prediction, on standard output."""

from __future__ import annotations

import logging
import os
import threading
import time
from queue import SimpleQueue
from typing import Any

import orjson

from riskpredictor_server.api.records import VITAL_NAMES, Values

log = logging.getLogger("riskpredictor")

_STDOUT = 1
MOST_BYTES = 4_194_304
"""Lines that may wait for whoever reads standard output: some ten thousand predictions."""


class AuditLog:
    """Writes who was told what, by which model; a patient's vitals only if asked for.

    A thread does the writing: when nobody reads the pipe, a write waits, and predictions and
    probes must not wait with it. What does not fit into the queue is lost, counted and logged.
    """

    def __init__(self, model_version: str, digest: str, with_vitals: bool) -> None:
        self.lost = 0
        """Lines that could not be written."""
        self._model = {"model_version": model_version, "digest": digest}
        self._with_vitals = with_vitals
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

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
        self._put(b"".join(lines), len(lines))

    def _put(self, data: bytes, count: int) -> None:
        with self._lock:
            if self._waiting + len(data) > MOST_BYTES:
                self._lose(count, "nobody reads standard output")
                return
            self._waiting += len(data)
            self._queue.put(data)
            if self._thread is None:
                # Not before: a server that forks would leave it behind.
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(_STDOUT, rest) :]
            except OSError as error:
                with self._lock:
                    self._lose(data.count(b"\n"), str(error))
            with self._lock:
                self._waiting -= len(data)

    def _lose(self, count: int, reason: str) -> None:
        if not self.lost:
            log.error("audit log: lines are lost (%s); see riskpredictor_audit_lost_total", reason)
        self.lost += count

    def close(self, seconds: float = 2.0) -> None:
        """Wait until all is written, but not for ever."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread:
            self._queue.put(None)
            thread.join(seconds)
