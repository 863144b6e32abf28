"""Prometheus metrics of the runtime; each help text documents name, unit and labels.

Those about RiskPredictors are in ``riskpredictor_operator/metrics.py``.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LEADER = Gauge("riskpredictor_operator_leader", "1 while this replica holds the lease, else 0.")
OBJECTS = Gauge(
    "riskpredictor_operator_objects", "Objects in the operator's picture of the cluster.", ["kind"]
)
QUEUE_DEPTH = Gauge("riskpredictor_operator_queue_depth", "RiskPredictors that wait for a worker.")
RETRIES = Counter(
    "riskpredictor_operator_retries", "Reconciliations put back with a back-off after a failure."
)
RECONCILE_SECONDS = Histogram(
    "riskpredictor_operator_reconcile_seconds",
    "Time of one reconciliation by result: done, dropped, retried, reported, failed.",
    ["result"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
API_REQUESTS = Counter(
    "riskpredictor_operator_api_requests",
    "Requests to the API server by verb, resource and status code; code 0 means no answer.",
    ["verb", "resource", "code"],
)
WATCH_EVENTS = Counter(
    "riskpredictor_operator_watch_events", "Watch events received by kind.", ["kind"]
)
LAST_EVENT = Gauge(
    "riskpredictor_operator_last_event_timestamp_seconds",
    "Unix time of the last watch event by kind.",
    ["kind"],
)
RELISTS = Counter(
    "riskpredictor_operator_resyncs", "Full lists of the cluster by result.", ["result"]
)
PRUNED = Counter(
    "riskpredictor_operator_resync_pruned",
    "Objects whose deletion the watches missed, by kind.",
    ["kind"],
)
LOOP_LAG = Gauge(
    "riskpredictor_operator_loop_lag_seconds", "How late the event loop ran a timer, last measured."
)
