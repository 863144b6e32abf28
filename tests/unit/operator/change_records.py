"""A status about a change of the model in which every field is set."""

from __future__ import annotations

from unit.operator.builders import declared

from riskpredictor_operator.core.change import state as states
from riskpredictor_operator.core.change.evidence import Counts
from riskpredictor_operator.core.change.gates import PASSED, GateResult
from riskpredictor_operator.core.change.record import ABORTED, PROMOTED, Record, Who
from riskpredictor_operator.core.change.state import Snapshot, State
from riskpredictor_operator.core.release import Release

DIGEST, OTHER = "sha256:" + "0a" * 32, "sha256:" + "0b" * 32
NOW = "2026-03-01T14:00:00Z"

STATE = State(
    id="0123456789ab",
    phase=states.CANARY,
    percent=10,
    stable=Release(
        "v1",
        "health-predictor:v1",
        declared(
            model={
                "digest": OTHER,
                "source": {"s3": {"bucket": "models", "prefix": "risk/v1", "pathStyle": True}},
                "credentialsSecret": {"name": "store"},
                "caBundle": {"configMap": "ca", "key": "ca.crt"},
                "signature": {"publicKey": {"configMap": "keys", "key": "release.pub"}},
            }
        ).model,
    ),
    candidate=Release(
        "v2",
        "health-predictor:v2",
        declared(model={"digest": DIGEST, "source": {"pvc": {"claimName": "models"}}}).model,
    ),
    digest=DIGEST,
    policy_digest=OTHER,
    generation=7,
    started_at="2026-03-01T12:00:00Z",
    step_started_at="2026-03-01T13:00:00Z",
    deadline_at="2026-03-08T12:00:00Z",
    step_pairs=500,
    carried=Counts(((1, 0), (0, 2)), errors=1, withheld=2, answered=3),
    snapshot=Snapshot(Counts(((600, 4), (3, 205)), errors=4, withheld=5, answered=80), 2, NOW),
    levels=("Low", "High"),
    gates=(GateResult("Downgrade", PASSED, "0.37 % of 812", "0.1 to 0.98 %", "2 %"),),
    cases_digest=OTHER,
    reason="CanaryRunning",
    message="10 % of the requests",
)
_RP = declared(rollout={"approval": {"digest": DIGEST}, "retry": "2"})
_WHO = Who("argocd-controller", "pull request 42")

RECORD = (
    Record(STATE)
    .served(STATE.stable, _RP, _WHO, NOW)
    .ended(PROMOTED, STATE, _RP, _WHO, NOW)
    .ended(ABORTED, STATE, _RP, _WHO, NOW)
)
