"""The command ``train``: patients, labels, models, and arguments that it cannot use."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from unit.predictor.support import (
    HEALTHY,
    PREDICTOR,
    SICK,
    artifact,
    records,
    service,
    write_records,
)

from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.card import case_values
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.train import main
from riskpredictor_server.training.synthetic import generate, labels, news2_points
from riskpredictor_server.web.app import create_app


def card(version: str) -> Any:
    return orjson.loads((artifact(version) / "card.json").read_bytes())


def test_training_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """Nothing may depend on the order of a set, on a clock or on the process."""
    artifacts = [{path.name: path.read_bytes() for path in artifact().iterdir()}]
    for seed in ("1", "2"):
        out = tmp_path / seed
        command = [sys.executable, "-m", "riskpredictor_server.train", "--model-version", "v1"]
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(PREDICTOR)}
        subprocess.run([*command, "--out", str(out)], env=env, check=True, capture_output=True)
        artifacts.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert len(artifacts[0]) > 3
    assert artifacts[0] == artifacts[1] == artifacts[2]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_model_is_good_and_says_how_good(version: str) -> None:
    metrics = card(version)["metrics"]
    assert metrics["accuracy"] > 0.85
    assert metrics["cross_validation"]["accuracy_mean"] > 0.88
    assert metrics["brier"] < 0.2
    assert metrics["expected_calibration_error"] < 0.08
    assert sum(map(sum, metrics["confusion"]["counts"])) == metrics["records"] == 250
    assert card(version)["data"]["records"] == 1000


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_evident_patients_get_the_evident_answer(version: str) -> None:
    scorer = load(artifact(version)).scorer
    low = scorer.score(tuple(HEALTHY.values())).probabilities
    high = scorer.score(tuple(SICK.values())).probabilities
    assert low[0] > 0.95
    assert high[2] > 0.95


def test_versions_differ_in_their_answers() -> None:
    values = (104, 118, 102.4, 95)
    one, two = (load(artifact(version)).scorer.score(values) for version in ("v1", "v2"))
    assert max(abs(a - b) for a, b in zip(one.probabilities, two.probabilities, strict=True)) > 0.01


def test_generated_patients_are_plausible() -> None:
    vitals, levels = generate(20_000, seed=5)
    for vital, column in zip(VITALS.features, vitals.T, strict=True):
        assert vital.minimum <= column.min()
        assert column.max() <= vital.maximum
    shares = {level: levels.count(level) / len(levels) for level in ("Low", "Medium", "High")}
    assert 0.5 < shares["Low"] < 0.7
    assert 0.1 < shares["Medium"] < 0.25
    assert 0.1 < shares["High"] < 0.3
    # Fever speeds the heart, shock lowers pressure and speeds it.
    assert np.corrcoef(vitals[:, 0], vitals[:, 2])[0, 1] > 0.3
    assert np.corrcoef(vitals[:, 0], vitals[:, 1])[0, 1] < 0


@pytest.mark.parametrize(
    ("vitals", "points"),
    [
        ((75, 120, 98.6, 98), (0, 0, 0, 0)),
        ((40, 90, 95.0, 91), (3, 3, 3, 3)),
        ((41, 91, 95.1, 92), (1, 2, 1, 2)),
        ((50, 100, 96.8, 93), (1, 2, 1, 2)),
        ((51, 101, 96.9, 94), (0, 1, 0, 1)),
        ((90, 110, 100.4, 95), (0, 1, 0, 1)),
        ((91, 111, 100.5, 96), (1, 0, 1, 0)),
        ((110, 219, 102.2, 100), (1, 0, 1, 0)),
        ((111, 220, 102.3, 100), (2, 3, 2, 0)),
        ((130, 120, 98.6, 98), (2, 0, 0, 0)),
        ((131, 120, 98.6, 98), (3, 0, 0, 0)),
    ],
)
def test_points_are_those_of_the_news2_chart(vitals: Any, points: Any) -> None:
    assert tuple(news2_points(np.array([vitals], dtype=float))[0]) == points


def test_labels_follow_the_response_thresholds() -> None:
    points = np.array([[0, 0, 0, 0], [2, 0, 0, 0], [2, 1, 0, 0], [3, 0, 0, 0], [2, 2, 0, 1]])
    assert labels(points, np.zeros(5)) == ["Low", "Low", "Medium", "Medium", "High"]
    assert labels(points[1:2], np.array([3.0])) == ["High"]


def test_own_records_can_be_trained_on(tmp_path: Path) -> None:
    path = write_records(tmp_path / "records.csv", records(400))
    out = tmp_path / "out"
    assert main(["--model-version", "ward-7", "--data", str(path), "--out", str(out)]) == 0
    model = load(out)
    assert model.version == "ward-7"
    assert model.card["data"]["source"] == "records of a CSV file"
    assert model.card["data"]["records"] == 400


EXAMPLE = PREDICTOR / "examples" / "early-warning"


@pytest.fixture(scope="module")
def early_warning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the example, trained by the commands of its guide."""
    folder = tmp_path_factory.mktemp("early-warning")
    generated = subprocess.run(
        [sys.executable, str(EXAMPLE / "observations.py"), "--records", "1500"],
        check=True,
        capture_output=True,
    )
    (folder / "records.csv").write_bytes(generated.stdout)
    arguments = ["--schema", str(EXAMPLE / "schema.yaml"), "--group", "patient"]
    arguments += ["--data", str(folder / "records.csv"), "--model-version", "early-warning-1"]
    assert main([*arguments, "--out", str(folder / "model")]) == 0
    assert main([*arguments, "--out", str(folder / "again")]) == 0
    return folder


def test_the_example_of_another_record_is_trained(early_warning: Path) -> None:
    model = load(early_warning / "model")
    card = model.card
    assert [row["name"] for row in card["features"]] == [
        "respiratory_rate", "oxygen_saturation", "supplemental_oxygen", "systolic_pressure",
        "pulse",
        "consciousness", "temperature", "age", "lactate",
    ]  # fmt: skip
    assert all(row["monotone"]["holds"] for row in card["features"])
    assert 0.5 < card["features"][-1]["left_out"] < 0.75
    assert 1 < card["features"][-1]["fill"] < 2
    assert card["metrics"]["accuracy"] > 0.9
    assert "bootstrap of groups" in card["metrics"]["intervals"]["method"]
    assert card["metrics"]["also_fitted"] == 0
    assert card["data"]["groups"] > 500
    levels = [model.scorer.score(case_values(e["record"], model.schema)) for e in model.examples]
    assert [model.schema.level_of(score.probabilities) for score in levels] == [0, 1, 2]


def test_the_example_of_another_record_answers(early_warning: Path) -> None:
    client = create_app(service(model=early_warning / "model")).test_client()
    ill = {
        "respiratory_rate": 26,
        "oxygen_saturation": 89,
        "supplemental_oxygen": True,
        "systolic_pressure": 95,
        "pulse": 118,
        "consciousness": "Voice",
        "temperature": 39,
        "temperature_unit": "C",
        "age": 78,
    }
    answer = client.post("/predict", json=ill).get_json()
    assert answer["risk_level"] == "High"
    assert set(answer["contributions"]) == {name for name in ill if name != "temperature_unit"} | {
        "lactate"
    }
    well = {**ill, "respiratory_rate": 16, "oxygen_saturation": 97, "supplemental_oxygen": False}
    well |= {"systolic_pressure": 125, "pulse": 75, "consciousness": "Alert", "temperature": 36.8}
    assert client.post("/predict", json=well).get_json()["risk_level"] == "Low"
    assert client.post("/predict", json={**well, "consciousness": "alert"}).status_code == 422


def test_the_same_records_give_the_same_bytes(early_warning: Path) -> None:
    first, again = early_warning / "model", early_warning / "again"
    names = sorted(path.name for path in first.iterdir())
    assert "scorer.json" in names
    for name in names:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name


def test_doubtful_records_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = records(300)
    other = "High" if rows[0][-1] == "Low" else "Low"
    path = write_records(
        tmp_path / "records.csv",
        [[*row, "7"] for row in [*rows, *rows[:50], [*rows[0][:-1], other]]],
        "ward",
    )
    out = str(tmp_path / "out")
    assert main(["--model-version", "ward-7", "--data", str(path), "--out", out]) == 0
    told = capsys.readouterr().out
    assert f"note: {path}: not read: column ward" in told
    assert "note: 50 records repeat another, level included" in told
    assert "note: 3 records have the same values as others of another level" in told
    assert "held-out records were fitted, too: metrics flatter" in told
    assert "records of Medium were fitted, for 12 terms; below 10 per term" in told
    data = load(Path(out)).card["data"]
    assert (data["repeated"], data["conflicting"]) == (50, 3)


def test_what_no_record_shows_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text(
        """levels: [No, Yes]
features:
  - {name: rate, minimum: 0, maximum: 100, risk: rises outside 20..80}
  - {name: mind, type: category, values: [Alert, Voice, Pain]}
  - {name: fixed, minimum: 0, maximum: 30}
"""
    )
    lines = [
        f"{20 + i % 75},{('Alert', 'Pain')[i % 2]},5,{('No', 'Yes')[i % 2]}" for i in range(80)
    ]
    data = tmp_path / "records.csv"
    data.write_text("\n".join(["rate,mind,fixed,died", *lines]))
    arguments = ["--schema", str(schema), "--data", str(data), "--target", "died"]
    arguments += ["--model-version", "m", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "note: rate: no record is below 20; risk will not rise there" in told
    assert "note: mind: no record is Voice" in told
    assert "note: fixed: every record has 5; it will not change an answer" in told
    model = load(tmp_path / "out")
    assert model.scorer.score((50.0, "Pain", 5.0)).probabilities[1] > 0.8


def test_records_that_are_all_alike_teach_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema, data = tmp_path / "schema.yaml", tmp_path / "records.csv"
    schema.write_text("levels: [No, Yes]\nfeatures:\n- {name: rate, minimum: 0, maximum: 100}\n")
    data.write_text("\n".join(["rate,risk_level", *["5,No", "5,Yes"] * 20]))
    arguments = ["--model-version", "m", "--schema", str(schema), "--data", str(data)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "every feature is the same in all records" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model-version", "-v1"], "--model-version"),
        (["--model-version", "a/b"], "--model-version 'a/b'"),
        (["--model-version", "v1", "--records", "5"], "--records 5: must be 200 to 1000000"),
        (["--model-version", "v1", "--seed", "-1"], "--seed -1"),
        (["--model-version", "v1", "--data", "absent.csv"], "absent.csv: cannot be read"),
        (["--model-version", "v1", "--classifier", "x.joblib"], "--classifier needs --data"),
        (["--model-version", "v1", "--schema", "s.yaml"], "--schema needs --data FILE.csv"),
        (["--model-version", "v1", "--group", "patient"], "--group needs --data FILE.csv"),
        (["--model-version", "v1", "--target", "died"], "--target needs --data FILE.csv"),
        (
            ["--model-version", "v1", "--data", "a", "--schema", "s.yaml", "--recipe", "v1"],
            "--recipe is for the four vital signs",
        ),
        (
            ["--model-version", "v1", "--data", "a", "--schema", "absent.yaml"],
            "absent.yaml: cannot be read",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_arguments_name_the_flag(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(SystemExit):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--model-version", "v1", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "cannot be written" in capsys.readouterr().err
