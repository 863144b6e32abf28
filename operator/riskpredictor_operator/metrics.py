"""Prometheus metrics about RiskPredictors; each help text documents name, unit and labels.

Those of watches, queue, workers and lease are in ``runtime/metrics.py``, which modules outside
``runtime`` import as ``runtime_metrics``.
"""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import Counter, Gauge, Info

from riskpredictor_operator.kube import Key

BUILD = Info("riskpredictor_operator_build", "Version of the running operator.")
CHILD_WRITES = Counter(
    "riskpredictor_operator_child_writes",
    "Writes to children by kind and action.",
    ["kind", "action"],
)
ROLLS = Gauge(
    "riskpredictor_operator_rolls",
    "Predictors whose pods the operator itself replaces, by state: under way, waiting.",
    ["state"],
)
READY = Gauge(
    "riskpredictor_operator_riskpredictor_ready",
    "1 where a RiskPredictor's Ready condition is True, else 0.",
    ["namespace", "name"],
)
SUSPENDED = Gauge(
    "riskpredictor_operator_riskpredictor_suspended",
    "1 where a RiskPredictor is suspended (spec.suspend) and so not Ready on purpose, else 0.",
    ["namespace", "name"],
)


def forget_predictor(key: Key) -> None:
    """Stop reporting a RiskPredictor that is gone."""
    for gauge in (READY, SUSPENDED):
        with suppress(KeyError):
            gauge.remove(key.namespace, key.name)
