"""Prometheus metrics about RiskPredictors; each help text documents name, unit and labels.

Those of watches, queue, workers and lease are in ``runtime/metrics.py``, which modules outside
``runtime`` import as ``runtime_metrics``.
"""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import Counter, Gauge, Info

from riskpredictor_operator.kube import Body, Key

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
STALLED = Gauge(
    "riskpredictor_operator_riskpredictor_stalled",
    "1 where a RiskPredictor is Stalled, so that nothing changes without a person, else 0.",
    ["namespace", "name"],
)
ROLLOUT_PHASE = Gauge(
    "riskpredictor_operator_rollout_phase",
    "1 for the phase of a RiskPredictor's change of model (status.rollout.phase): Shadow, Canary, "
    "AwaitingApproval, Promoting, Aborted, Observing; absent where nothing is under way.",
    ["namespace", "name", "phase"],
)
ROLLOUT_PAIRS = Gauge(
    "riskpredictor_operator_rollout_pairs",
    "Distinct inputs that both models have scored (status.rollout.evidence.pairs).",
    ["namespace", "name"],
)
ROLLOUTS = Counter(
    "riskpredictor_operator_rollouts",
    "Ended changes of a model by outcome (status.history: Promoted, Withdrawn, Aborted, "
    "Superseded, Reverted) and reason, which is the outcome where there is no other.",
    ["outcome", "reason"],
)

_phases: dict[Key, str] = {}
"""The phase that is reported of each predictor."""


def note_rollout(key: Key, rollout: Body | None) -> None:
    """Report ``status.rollout`` of a RiskPredictor; None where it has none."""
    phase = str((rollout or {}).get("phase", ""))
    known = _phases.pop(key, "")
    if known and known != phase:
        ROLLOUT_PHASE.remove(key.namespace, key.name, known)
    if rollout is None or not phase:
        with suppress(KeyError):
            ROLLOUT_PAIRS.remove(key.namespace, key.name)
        return
    _phases[key] = phase
    ROLLOUT_PHASE.labels(key.namespace, key.name, phase).set(1)
    pairs = (rollout.get("evidence") or {}).get("pairs", 0)
    ROLLOUT_PAIRS.labels(key.namespace, key.name).set(pairs)


def count_outcome(outcome: str, reason: str) -> None:
    """Count a change of a model that has ended, as ``status.history`` tells it."""
    ROLLOUTS.labels(outcome, reason).inc()


def forget_predictor(key: Key) -> None:
    """Stop reporting a RiskPredictor that is gone."""
    note_rollout(key, None)
    for gauge in (READY, SUSPENDED, STALLED):
        with suppress(KeyError):
            gauge.remove(key.namespace, key.name)
