"""Audit log: one JSON line per prediction on standard output, off by default."""

from __future__ import annotations

import logging
import os
import threading
import time
from queue import SimpleQueue
from typing import Any

import orjson

from riskpredictor_server.model.vitals import VITAL_NAMES, Values

log = logging.getLogger("riskpredictor")

_STDOUT = 1
MAX_QUEUED_BYTES = 4_194_304
"""Most bytes that wait for standard output to be read: some ten thousand predictions."""


class AuditLog:
    """Writes each prediction with its request id and model, and the vitals if asked for.

    A thread does the writing: a write to a pipe that nobody reads blocks, and must not block
    predictions and probes. Lines that do not fit into the queue are dropped, counted and reported
    once in the log.
    """

    def __init__(self, model_version: str, digest: str, with_vitals: bool) -> None:
        self.lost = 0
        """Number of lines that could not be written."""
        self._model = {"model_version": model_version, "digest": digest}
        self._with_vitals = with_vitals
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

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
                line["vitals"] = dict(zip(VITAL_NAMES, values, strict=True))
            lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self._put(b"".join(lines), len(lines))

    def _put(self, data: bytes, count: int) -> None:
        with self._lock:
            if self._queued_bytes + len(data) > MAX_QUEUED_BYTES:
                self._lose(count, "nobody reads standard output")
                return
            self._queued_bytes += len(data)
            self._queue.put(data)
            if self._thread is None:
                # Started here, not in __init__: a WSGI server that forks would lose the thread.
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
                self._queued_bytes -= len(data)

    def _lose(self, count: int, reason: str) -> None:
        if not self.lost:
            log.error("audit log: lines are lost (%s); see riskpredictor_audit_lost_total", reason)
        self.lost += count

    def close(self, seconds: float = 2.0) -> None:
        """Wait up to ``seconds`` for queued lines to be written."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread:
            self._queue.put(None)
            thread.join(seconds)
