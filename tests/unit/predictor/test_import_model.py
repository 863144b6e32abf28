"""What of a classifier from elsewhere cannot be served is refused, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from unit.predictor.support import records, write_records

from riskpredictor_server.model import vitals
from riskpredictor_server.train import main
from riskpredictor_server.training.synthetic import generate

VITALS, LABELS = generate(200, seed=1)


def named_in_another_order() -> Any:
    """As if fitted on a table whose columns are sorted."""
    classifier = RandomForestClassifier(5).fit(VITALS, LABELS)
    classifier.feature_names_in_ = np.array(sorted(vitals.VITALS.names), dtype=object)
    return classifier


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, "cannot be read: No such file"),
        (lambda: b"no pickle", "not a classifier that can be served"),
        (lambda: RidgeClassifier().fit(VITALS, LABELS), "it has no predict_proba"),
        (
            lambda: RandomForestClassifier(5).fit(VITALS, [label[0] for label in LABELS]),
            "its classes are ['H', 'L', 'M'], they must be ['Low', 'Medium', 'High']",
        ),
        (lambda: RandomForestClassifier(5).fit(VITALS[:, :3], LABELS), "cannot score"),
        (named_in_another_order, "its inputs are ['blood_pressure', 'heart_rate',"),
    ],
    ids=["absent", "no pickle", "no probabilities", "other classes", "other inputs", "other order"],
)
def test_a_classifier_that_cannot_be_served_is_refused(
    make: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier, out = tmp_path / "own.joblib", tmp_path / "model"
    made = make() if make else None
    if isinstance(made, bytes):
        classifier.write_bytes(made)
    elif made:
        joblib.dump(made, classifier)
    data = write_records(tmp_path / "unseen.csv", records(300))
    arguments = ["--classifier", str(classifier), "--data", str(data), "--out", str(out)]
    assert main(["--model-version", "forest-1", *arguments]) == 2
    text = capsys.readouterr().err
    assert f"{classifier}: " in text
    assert words in text
    assert not (out / "card.json").exists()
