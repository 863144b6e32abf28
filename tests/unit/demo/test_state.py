"""What a demonstration reads of a predictor."""

from __future__ import annotations

from typing import Any

import pytest

from riskdemo.state import read

BOUNDS = {"modelVersion": "v1", "targetCPUUtilizationPercentage": 70}


class Answers:
    """Stands for kubectl."""

    def __init__(self, spec: dict[str, Any], autoscalers: list[dict[str, Any]]) -> None:
        self._answers = {"riskpredictor": {"spec": spec}, "hpa": {"items": autoscalers}}

    def json(self, _: str, kind: str, *__: str) -> Any:
        return self._answers[kind]


@pytest.mark.parametrize(
    ("spec", "autoscalers", "desired"),
    [
        pytest.param({}, [], None, id="the autoscaler is not there yet"),
        pytest.param({}, [{"status": {}}], None, id="it has not looked yet"),
        # What the API server shows before its first look.
        pytest.param({}, [{"status": {"desiredReplicas": 0}}], None, id="it shows a zero"),
        pytest.param({}, [{"status": {"desiredReplicas": 4}}], 4, id="it wants four"),
        pytest.param({"replicas": 0}, [], 0, id="none by hand"),
    ],
)
def test_how_many_are_wanted(
    spec: dict[str, Any], autoscalers: list[dict[str, Any]], desired: int | None
) -> None:
    kubectl: Any = Answers({**BOUNDS, **spec}, autoscalers)
    assert read(kubectl, "risk").desired == desired
