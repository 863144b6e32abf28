"""The answers of one process, independent of HTTP server and framework."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
from typing import Any

import orjson

from riskpredictor_server import __version__
from riskpredictor_server.api.openapi import document
from riskpredictor_server.api.paired_scoring import PairedScoring
from riskpredictor_server.api.prediction import Predictor
from riskpredictor_server.api.problems import JSON, RETRY, Reply, json_reply, problem
from riskpredictor_server.api.rollout import Rollout
from riskpredictor_server.logs import lost_lines
from riskpredictor_server.metrics import CONTENT_TYPE, Metrics
from riskpredictor_server.model.artifact import ArtifactError, Model, load
from riskpredictor_server.model.audit import AuditLog, identity
from riskpredictor_server.model.drift import drift
from riskpredictor_server.settings import Settings

log = logging.getLogger("riskpredictor")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Service:
    """Holds the model and the metrics of one process, and answers its routes."""

    def __init__(self, settings: Settings) -> None:
        """Load the model. If that fails, the server still runs, and /ready tells why."""
        self.settings = settings
        self.metrics = Metrics()
        self.draining = False
        self.reason = ""
        self.predictor: Predictor | None = None
        self.audit: AuditLog | None = None
        self.rollout: Rollout | None = None
        self._by_version: dict[str, Predictor] = {}
        """What answers requests for one version."""
        self._ids = itertools.count(1)
        self._boot = secrets.token_hex(6)
        try:
            model = load(settings.model)
        except ArtifactError as error:
            self.reason = str(error)
        else:
            if settings.audit_log != "off":
                vitals = settings.audit_log == "vitals"
                self.audit = AuditLog(model, with_vitals=vitals)
            log.info("model %s loaded, golden cases pass", model.version)
            self.rollout = Rollout(model, settings)
            self.predictor = Predictor(
                model,
                self.metrics,
                settings.max_batch,
                self.audit,
                self.rollout if self.rollout.candidate else None,
            )
            self._by_version = {model.version: self.predictor}
            if self.rollout.paired:
                self._add_versions(model, self.rollout.paired)
        if self.reason:
            log.error("not ready: %s", self.reason)
        version = self.model.version if self.model else "none"
        self.headers = (
            ("X-Served-By", _header_safe(settings.pod_name)),
            ("X-Model-Version", version),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        )
        self._health = Reply(200, JSON, orjson.dumps({"status": "alive", "version": __version__}))

    def _add_versions(self, model: Model, paired: PairedScoring) -> None:
        """Let requests name a version: neither answers for the other then, and no pair counts."""
        most, audit = self.settings.max_batch, self.audit
        alone = Predictor(model, self.metrics, most, audit)
        if self.predictor:
            alone.recent = self.predictor.recent
        of_candidate = audit.of(paired.model) if audit else None
        candidate = Predictor(
            paired.model, self.metrics, most, of_candidate, headers=paired.headers
        )
        self._by_version = {paired.model.version: candidate, model.version: alone}

    @property
    def subject_header(self) -> str:
        """Name of the header that assigns requests to a candidate, or empty."""
        return self.settings.subject_header if self.rollout and self.rollout.paired else ""

    @property
    def model(self) -> Model | None:
        """The verified model, or None."""
        return self.predictor.model if self.predictor else None

    def request_id(self, given: str | None) -> str:
        """Return the caller's id if it is a valid token, else a new one of this process."""
        if given and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._boot}-{next(self._ids):x}"

    def predict(
        self, body: bytes, content_type: str, request_id: str, subject: bytes = b""
    ) -> Reply:
        """Answer ``POST /predict``."""
        if self.predictor is None:
            return self.not_ready(request_id)
        return self.predictor.reply(body, content_type, request_id, subject)

    @property
    def versions(self) -> list[str]:
        """The versions that a request can ask for: the model's, then that of a candidate."""
        return list(reversed(self._by_version))

    def predictor_of(self, name: str, version: str | None, request_id: str) -> Predictor | Reply:
        """Return what answers for a version of a model, or the reply if nothing does.

        Without a version the candidate may answer in the place of the model.
        """
        if self.predictor is None:
            return self.not_ready(request_id)
        own = self.settings.model_name
        if name != own:
            return problem(404, f"there is no model {name[:64]!r}, only {own!r}", request_id)
        if version is None:
            return self.predictor
        if version in self._by_version:
            return self._by_version[version]
        served = " and ".join(map(repr, self.versions))
        return problem(404, f"there is no version {version[:64]!r}, only {served}", request_id)

    def health(self) -> Reply:
        """Answer ``GET /health``: the process is alive."""
        return self._health

    def ready(self, request_id: str) -> Reply:
        """Answer ``GET /ready``: the model is loaded and verified, and no drain has begun."""
        if self.model is None or self.draining:
            return self.not_ready(request_id)
        return json_reply({"status": "ready", "model_version": self.model.version})

    def not_ready(self, request_id: str) -> Reply:
        """Return 503 with the reason why there are no predictions."""
        reason = "shutting down" if self.draining else self.reason
        extra: dict[str, Any] = {"reason": reason}
        return problem(503, f"not ready: {reason}", request_id, headers=RETRY, **extra)

    def card(self, request_id: str) -> Reply:
        """Answer ``GET /model``."""
        if self.model is None:
            return self.not_ready(request_id)
        return Reply(200, JSON, orjson.dumps(self.model.card))

    def model_file(self, name: str, request_id: str) -> Reply:
        """Answer ``GET /model/files/{name}``: the bytes that were verified when it was loaded."""
        if self.model is None:
            return self.not_ready(request_id)
        return _file_of(self.model, name, request_id)

    def candidate_card(self, request_id: str) -> Reply:
        """Answer ``GET /model/candidate``."""
        model = self._model_of_candidate(request_id)
        return model if isinstance(model, Reply) else Reply(200, JSON, orjson.dumps(model.card))

    def candidate_file(self, name: str, request_id: str) -> Reply:
        """Answer ``GET /model/candidate/files/{name}``."""
        model = self._model_of_candidate(request_id)
        return model if isinstance(model, Reply) else _file_of(model, name, request_id)

    def _model_of_candidate(self, request_id: str) -> Model | Reply:
        if self.rollout is None:
            return self.not_ready(request_id)
        candidate = self.rollout.candidate
        if candidate is None:
            return problem(404, "there is no candidate here", request_id)
        detail = f"the candidate is not loaded: {candidate.message}"
        return candidate.model or problem(404, detail, request_id)

    def rollout_state(self, request_id: str) -> Reply:
        """Answer ``GET /rollout``, also while the server drains."""
        if self.rollout is None:
            return self.not_ready(request_id)
        return json_reply(self.rollout.document())

    def openapi(self, request_id: str) -> Reply:
        """Answer ``GET /openapi.json``: what records are, only a model knows."""
        if self.model is None:
            return self.not_ready(request_id)
        paired = self.rollout.paired if self.rollout else None
        return json_reply(document(self.settings, self.model, paired.model if paired else None))

    def exposition(self) -> Reply:
        """Answer ``GET /metrics``."""
        gauges: list[tuple[str, str, dict[str, str], float]] = [
            (
                "riskpredictor_ready",
                "1 when predictions are answered.",
                {},
                float(self.model is not None and not self.draining),
            )
        ]
        if self.model:
            text = "The model that answers; always 1."
            gauges.append(("riskpredictor_model_info", text, dict(identity(self.model)), 1.0))
        if self.rollout:
            gauges += self.rollout.gauges()
        if self.predictor:
            text = (
                "Population stability index of the inputs of the last hour, at most 2,000, against"
                " training; 0.25 is a shift, absent below 200."
            )
            model = self.predictor.model
            scores = drift(self.predictor.recent.values(), model.schema, model.card["features"])
            gauges += [
                ("riskpredictor_input_drift", text, {"field": name}, score)
                for name, score in scores.items()
            ]
        text = "Lines of the audit log that could not be written."
        lost = self.audit.lost if self.audit else 0
        gauges.append(("riskpredictor_audit_lost_total", text, {}, float(lost)))
        text = "Lines of the log that could not be written."
        gauges.append(("riskpredictor_log_lost_total", text, {}, float(lost_lines())))
        return Reply(200, CONTENT_TYPE, self.metrics.render(gauges))

    def close(self) -> None:
        """Write out the audit log."""
        if self.audit:
            self.audit.close()

    def observe(self, route: str, reply_status: int, seconds: float, request_id: str) -> None:
        """Count an answered request, and log it if the access log is on; never its body."""
        self.metrics.requests.observe(route, reply_status, seconds)
        if self.settings.access_log == "on":
            extra = {"route": route, "status": reply_status, "request_id": request_id}
            log.info("%s %d %.1f ms", route, reply_status, seconds * 1000, extra=extra)


def _file_of(model: Model, name: str, request_id: str) -> Reply:
    if name not in model.files:
        names = ", ".join(sorted(model.files))
        return problem(404, f"there is no file {name[:64]!r}, only {names}", request_id)
    media = JSON if name.endswith(".json") else "application/octet-stream"
    return Reply(200, media, model.files[name])


def _header_safe(text: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "-", text)[:253]
