"""The population stability index, and the window that it is computed from."""

from __future__ import annotations

from typing import Any

from unit.predictor.support import artifact, service

from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.drift import DRIFT_SECONDS, DRIFT_WINDOW, MIN_SAMPLES, Recent, drift
from riskpredictor_server.training.recipes import RECIPES
from riskpredictor_server.training.synthetic import generate


def index(vitals: Any) -> dict[str, float]:
    model = load(artifact())
    return drift([tuple(row) for row in vitals.tolist()], model.schema, model.card["features"])


def scores(acuity: float, count: int = 2000) -> dict[str, float]:
    vitals, _ = generate(count, seed=77, acuity=acuity)
    return index(vitals)


def test_patients_like_the_training_ones_do_not_drift() -> None:
    assert max(scores(acuity=RECIPES["v1"].acuity).values()) < 0.1


def test_a_sicker_population_drifts() -> None:
    assert max(scores(acuity=20).values()) > 0.25


def test_a_shifted_vital_is_the_one_that_drifts() -> None:
    vitals, _ = generate(1000, seed=78)
    vitals[:, 2] += 2.0
    found = index(vitals)
    assert found["temperature"] > 1
    assert found["blood_pressure"] < 0.1


def test_few_samples_say_nothing() -> None:
    assert scores(1.0, MIN_SAMPLES - 1) == {}
    assert scores(1.0, MIN_SAMPLES) != {}


def test_the_score_looks_back_over_a_time_and_a_number() -> None:
    now = 1000.0
    recent = Recent(clock=lambda: now)
    old, new = (85.0, 120.0, 98.6, 97.0), (90.0, 130.0, 99.0, 95.0)
    recent.extend([old] * 300)
    now += DRIFT_SECONDS
    recent.add(new)
    assert recent.values() == [old] * 300 + [new]
    # A ward that went quiet is not judged by what was asked hours ago.
    now += 1
    assert recent.values() == [new]
    recent.extend([new] * (DRIFT_WINDOW + 5))
    assert len(recent.values()) == DRIFT_WINDOW


def test_the_score_is_in_the_metrics() -> None:
    serving = service()
    assert serving.predictor
    assert b"riskpredictor_input_drift" not in serving.exposition().body
    serving.predictor.recent.extend([(85.0, 120.0, 98.6, 97.0)] * MIN_SAMPLES)
    text = serving.exposition().body.decode()
    (line,) = [line for line in text.splitlines() if 'drift{field="heart_rate"}' in line]
    assert float(line.split()[-1]) > 1
