"""Another default of the operator reaches a few predictors at a time, and stops if it is bad."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from riskpredictor_operator.core.rollout import is_rolling
from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import DEPLOYMENT, Api, eventually
from support.predictors import Predictors

COUNT = 8
LIMIT = 2
OTHER = "elsewhere/health-predictor"
FLAGS = (f"--image-repository={OTHER}", f"--max-rolls={LIMIT}")


@pytest.fixture
def settled(predictors: Predictors, operator_config: Path, tmp_path: Path) -> list[Key]:
    """Predictors as an operator with the old default left them."""
    with operators.running(operator_config, tmp_path / "old.log"):
        keys = [predictors.create(f"risk-{n}", minReplicas=1) for n in range(COUNT)]
        for key in keys:
            predictors.settle(key)
    return keys


def _moved(api: Api, namespace: str) -> tuple[int, int]:
    """Deployments with the new image, and those of them whose pods are being replaced."""
    bodies = [
        body
        for body in api.items(DEPLOYMENT, namespace)
        if body["spec"]["template"]["spec"]["containers"][0]["image"].startswith(OTHER)
    ]
    return len(bodies), sum(is_rolling(body) for body in bodies)


def test_a_few_roll_at_a_time(
    api: Api, namespace: str, settled: list[Key], operator_config: Path, tmp_path: Path
) -> None:
    most = 0
    with operators.running(operator_config, tmp_path / "new.log", *FLAGS):
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            moved, rolling = _moved(api, namespace)
            most = max(most, rolling)
            if moved == COUNT and rolling == 0:
                break
        else:
            raise AssertionError(f"{moved} of {COUNT} after 180 s")
    assert 1 <= most <= LIMIT


def test_a_bad_default_stops_after_a_few(
    api: Api,
    namespace: str,
    predictors: Predictors,
    settled: list[Key],
    operator_config: Path,
    tmp_path: Path,
) -> None:
    # No pod more than there are: none of the new ones can start.
    api.limit(namespace, pods=str(COUNT))
    with operators.running(operator_config, tmp_path / "new.log", *FLAGS):
        eventually(lambda: _moved(api, namespace)[0] == LIMIT, within=60)
        time.sleep(4.0)
        assert _moved(api, namespace)[0] == LIMIT, "it goes no further"
        ready = [predictors.condition(key)["status"] for key in settled]
        assert ready.count("True") == COUNT - LIMIT, "who waits serves on"
        api.lift_the_limit(namespace)
        eventually(lambda: _moved(api, namespace) == (COUNT, 0), within=120, every=0.2)
        for key in settled:
            predictors.wait(key)
