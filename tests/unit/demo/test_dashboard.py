"""What the monitor shows, on the narrowest terminal that is still common."""

from __future__ import annotations

import io

from rich.console import Console

from riskdemo.dashboard import age, render
from riskdemo.snapshot import Event, Pod, Predictor, Snapshot

POD = Pod("health-predictor-77b644dcbd-2x7kz", "Running", True, 0, 3700, "v2", 28, 17)
PREDICTOR = Predictor(
    namespace="shop", name="health-predictor", model="v2", serving="v1", ready="False",
    reason="ImagePullFailed", message="health-predictor:v2 cannot be pulled",
    scaling="2 to 5", desired=2, cpu_percent=35, cpu_target=70, pods=(POD,),
)  # fmt: skip
EVENT = Event(9, "Warning", "ImagePullFailed", "shop/health-predictor", "cannot be pulled")


def shown(*predictors: Predictor, problem: str = "") -> str:
    out = io.StringIO()
    console = Console(file=out, width=80)
    console.print(render(Snapshot("now", problem, predictors, (EVENT,) if predictors else ())))
    return out.getvalue()


def test_a_pod_is_told_whole() -> None:
    (line,) = (line for line in shown(PREDICTOR).splitlines() if POD.name in line)
    assert line.split() == [POD.name, "v2", "Running", "yes", "0", "28m", "17Mi", "61m"]


def test_why_it_is_not_ready_is_told() -> None:
    text = shown(PREDICTOR)
    assert "model v2, serving v1" in text
    assert "not Ready: ImagePullFailed" in text
    assert PREDICTOR.message in text


def test_nothing_there_says_what_to_do() -> None:
    assert "kubectl apply -f deploy/samples/minimal.yaml" in shown()


def test_what_is_unknown_is_told_with_its_reason() -> None:
    assert "! metrics-server does not answer" in shown(problem="metrics-server does not answer")


def test_ages_read_like_kubectls() -> None:
    assert [age(seconds) for seconds in (5, 119, 120, 7200, 200_000)] == [
        "5s", "119s", "2m", "2h", "2d",
    ]  # fmt: skip
