"""docs/METRICS.md: the table of every metric, from what operator and predictor export.

The help texts in the code are the source.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import REGISTRY, Metric, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from generate import ROOT, table
from riskpredictor_operator import metrics as operator
from riskpredictor_operator.runtime import metrics as operator_runtime
from riskpredictor_server import train
from riskpredictor_server.api.service import Service
from riskpredictor_server.model.drift import MIN_SAMPLES
from riskpredictor_server.settings import Settings

PAGE = ROOT / "docs" / "METRICS.md"

_INTRODUCTION = """\
<!-- Made by `make reference` from the code. Edit the help texts there instead. -->

# Metrics

Operator (port 8080) and predictors (port 5000) answer `GET /metrics` in the Prometheus text format.
[deploy/monitoring](../deploy/monitoring) has what scrapes them, the alerts and a dashboard;
[RUNBOOK.md](RUNBOOK.md) explains the alerts.

A histogram `x` has the series `x_bucket` (label `le`), `x_sum` and `x_count`. The PodMonitors add
`namespace`, `pod` and `container`, and to the predictors' series `healthtech_dev_riskpredictor` and
`healthtech_dev_model_version`.
"""


def files() -> Mapping[Path, bytes]:
    """The page."""
    return {PAGE: page().encode()}


def page() -> str:
    """The whole page as Markdown."""
    own: list[Metric] = []
    runtime: list[Metric] = []
    for family in text_string_to_metric_families(operator_exposition()):
        (own if family.name.startswith("riskpredictor_") else runtime).append(family)
    server = list(text_string_to_metric_families(predictor_exposition()))
    return "\n".join(
        [
            _INTRODUCTION,
            "## Operator\n",
            _table(own),
            "Of its Python process, by the Prometheus client:\n",
            _table(runtime),
            "## Predictor\n",
            _table(server),
        ]
    )


def operator_exposition() -> str:
    """What an operator answers at /metrics once every metric has a series."""
    operator.BUILD.info({"version": "x"})
    for metric in [*vars(operator).values(), *vars(operator_runtime).values()]:
        # The client has no public way to ask a metric for its labels' names.
        if isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(*metric._labelnames)
    return generate_latest(REGISTRY).decode()


def predictor_exposition() -> str:
    """What a predictor answers at /metrics once every metric has a series."""
    healthy = b'{"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97}'
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        train.main(["--model-version", "v1", "--out", folder])
        service = Service(Settings(model=Path(folder), candidate=folder))
        for body in [healthy] * MIN_SAMPLES + [b"{}"]:
            answer = service.predict(body, "application/json", "")
            service.observe("/predict", answer.status, 0.001, "")
        return service.exposition().body.decode()


def _table(families: Iterable[Metric]) -> str:
    rows = []
    # A counter's or histogram's time of birth, which the client adds.
    shown = [family for family in families if not family.name.endswith("_created")]
    for family in sorted(shown, key=lambda family: family.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        shown_labels = ", ".join(f"`{label}`" for label in sorted(labels))
        rows.append([f"`{name}`", family.type, shown_labels, _unit(family), family.documentation])
    return table(["Metric", "Type", "Labels", "Unit", "Meaning"], rows)


def _unit(family: Metric) -> str:
    """Names end with the unit if there is one, as Prometheus recommends."""
    unit = family.name.rsplit("_", 1)[-1]
    return unit if unit in ("seconds", "bytes") else ""
