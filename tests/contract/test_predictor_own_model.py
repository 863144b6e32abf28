"""From a classifier of one's own to a server that answers with it: the recipe of the guide."""

from __future__ import annotations

import re
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from unit.predictor.support import (
    HEALTHY,
    SICK,
    ServerProcess,
    forest,
    in_order,
    records,
    write_records,
)

from riskpredictor_server.train import main

ROOT = Path(__file__).resolve().parents[2]


def test_a_forest_is_packaged_and_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier, out = tmp_path / "forest.joblib", tmp_path / "model"
    joblib.dump(forest(), classifier)
    data = write_records(tmp_path / "unseen.csv", records(300))
    arguments = ["--classifier", str(classifier), "--data", str(data), "--out", str(out)]
    assert main(["--model-version", "forest-1", *arguments]) == 0
    assert "held-out accuracy 0." in capsys.readouterr().out
    with ServerProcess(out) as server:
        assert server.get("/ready").json() == {"status": "ready", "model_version": "forest-1"}
        answers = server.post("/predict", {"instances": [HEALTHY, SICK]}).json()["predictions"]
        card = server.get("/model").json()
        metadata = server.get("/v2/models/riskpredictor").json()
    expected = in_order(forest(), np.array([list(HEALTHY.values()), list(SICK.values())]))
    assert [list(answer["probabilities"].values()) for answer in answers] == expected.tolist()
    assert [answer["risk_level"] for answer in answers] == ["Low", "High"]
    assert answers[0]["contributions"] is None
    assert card["metrics"]["records"] == 300
    # Also of a forest, which gives some levels a probability of 0.
    assert 0 < card["metrics"]["log_loss"] < 10
    assert card["recipe"]["summary"] == (
        "a RandomForestClassifier of scikit-learn,"
        f" fitted elsewhere with version {sklearn.__version__}"
    )
    assert metadata["platform"] == "scikit-learn"


def test_the_guides_dockerfile_puts_the_model_where_the_image_looks() -> None:
    guide = (ROOT / "predictor" / "README.md").read_text()
    image = (ROOT / "Dockerfile.predictor").read_text()
    folder = re.search(r"RISKPREDICTOR_MODEL=(\S+)", image)
    assert folder
    assert f"COPY model-ward-7 {folder[1]}\n" in guide
    assert re.search(r"^ +FROM health-predictor:v1$", guide, re.MULTILINE)
    assert re.search(r"^ +FROM health-predictor:v1-sklearn$", guide, re.MULTILINE)
