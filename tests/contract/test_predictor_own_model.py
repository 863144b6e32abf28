"""From a classifier of one's own to a server that answers with it: the recipe of the guide."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from unit.predictor.support import HEALTHY, SICK, ServerProcess

from riskpredictor_server.api.records import RISK_LEVELS, VITAL_NAMES
from riskpredictor_server.train import main
from riskpredictor_server.training.synthetic import generate

ROOT = Path(__file__).resolve().parents[2]


def fitted(path: Path, model: Any = None, columns: int = 4, levels: Any = None) -> Path:
    vitals, labels = generate(400, seed=1)
    if model is None:
        model = RandomForestClassifier(n_estimators=20, random_state=0)
    model.fit(vitals[:, :columns], [(levels or {}).get(label, label) for label in labels])
    joblib.dump(model, path)
    return path


def records(path: Path) -> Path:
    vitals, labels = generate(300, seed=2)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = ([*row, label] for row, label in zip(vitals.tolist(), labels, strict=True))
        csv.writer(file).writerows([[*VITAL_NAMES, "risk_level"], *rows])
    return path


def package(folder: Path, classifier: Path) -> int:
    arguments = ["--model-version", "forest-1", "--classifier", str(classifier)]
    data = records(folder / "unseen.csv")
    return main([*arguments, "--data", str(data), "--out", str(folder / "model")])


def test_a_forest_is_packaged_and_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = fitted(tmp_path / "forest.joblib")
    assert package(tmp_path, classifier) == 0
    assert "held-out accuracy 0." in capsys.readouterr().out
    with ServerProcess(tmp_path / "model") as server:
        assert server.get("/ready").json() == {"status": "ready", "model_version": "forest-1"}
        answers = server.post("/predict", {"instances": [HEALTHY, SICK]}).json()["predictions"]
        card = server.get("/model").json()
        metadata = server.get("/v2/models/riskpredictor").json()
    forest = joblib.load(classifier)
    order = [list(forest.classes_).index(level) for level in RISK_LEVELS]
    expected = forest.predict_proba(np.array([list(HEALTHY.values()), list(SICK.values())]))
    ours = [list(answer["probabilities"].values()) for answer in answers]
    assert ours == expected[:, order].tolist()
    assert [answer["risk_level"] for answer in answers] == ["Low", "High"]
    assert answers[0]["contributions"] is None
    assert card["metrics"]["records"] == 300
    assert card["recipe"]["summary"] == (
        "a RandomForestClassifier of scikit-learn, fitted elsewhere"
    )
    assert metadata["platform"] == "scikit-learn"


class _Named(RandomForestClassifier):  # type: ignore[misc]
    """As if fitted on a table whose columns have another order."""

    def fit(self, vitals: Any, labels: Any) -> Any:
        super().fit(vitals, labels)
        self.feature_names_in_ = np.array(sorted(VITAL_NAMES), dtype=object)
        return self


def text_file(path: Path) -> Path:
    path.write_text("no pickle")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p, "cannot be read: No such file"),
        (text_file, "not a classifier that can be served"),
        (lambda p: fitted(p, RidgeClassifier()), "it has no predict_proba"),
        (lambda p: fitted(p, levels={"Low": "a"}), "they must be ['Low', 'Medium', 'High']"),
        (lambda p: fitted(p, columns=3), "cannot score"),
        (lambda p: fitted(p, _Named(5)), "its inputs are ['blood_pressure', 'heart_rate',"),
    ],
    ids=["absent", "no pickle", "no probabilities", "other classes", "other inputs", "other order"],
)
def test_what_cannot_be_served_is_refused_and_says_why(
    make: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert package(tmp_path, make(tmp_path / "own.joblib")) == 2
    text = capsys.readouterr().err
    assert "own.joblib: " in text
    assert words in text
    assert not (tmp_path / "model" / "card.json").exists()


def test_records_are_needed_to_measure_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model-version", "v1", "--out", "x", "--classifier", "y.joblib"]
    assert main(arguments) == 2
    assert "--classifier needs --data" in capsys.readouterr().err


def test_the_guides_dockerfile_puts_the_model_where_the_image_looks() -> None:
    guide = (ROOT / "predictor" / "README.md").read_text()
    image = (ROOT / "Dockerfile.predictor").read_text()
    folder = re.search(r"RISKPREDICTOR_MODEL=(\S+)", image)
    assert folder
    assert f"COPY model-ward-7 {folder[1]}\n" in guide
    assert re.search(r"^ +FROM health-predictor:v1$", guide, re.MULTILINE)
    assert re.search(r"^ +FROM health-predictor:v1-sklearn$", guide, re.MULTILINE)
