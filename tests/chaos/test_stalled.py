"""A roll-out that makes no progress for its whole deadline of five minutes. In the long run only.

The other tests run meanwhile. A short version is in tests/control_plane/test_reasons.py.
"""

from __future__ import annotations

from pathlib import Path

from riskpredictor_operator.kube import Key
from support.api import DEPLOYMENT, Api
from support.operator import Supervisor
from support.predictors import Predictors


def test_after_five_minutes_it_is_called_stalled(
    api: Api, stuck: Key, operator_config: Path, tmp_path: Path
) -> None:
    predictors = Predictors(api, stuck.namespace)
    with Supervisor(operator_config, tmp_path / "operator.log"):
        predictors.wait(stuck, "False", "RolloutStalled", within=330)
    stalled = predictors.condition(stuck, "Stalled")
    assert "makes no progress" in stalled["message"]
    assert "nothing answers yet" in stalled["message"]
    status = api.need(DEPLOYMENT, stuck)["status"]
    (progress,) = (c for c in status["conditions"] if c["type"] == "Progressing")
    assert progress["reason"] == "ProgressDeadlineExceeded"
