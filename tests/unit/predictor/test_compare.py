"""Two models on a file of records: what is counted, and what is said of it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from unit.predictor.support import (
    RISK_LEVELS,
    VITAL_NAMES,
    artifact,
    records,
    service,
    write_records,
)

from riskpredictor_server.__main__ import main
from riskpredictor_server.compare import CompareError, Report, compare
from riskpredictor_server.model.artifact import Model, load
from riskpredictor_server.model.comparison import Comparison
from riskpredictor_server.model.scorer import ScoredMany

# Trained before a test captures what is printed.
pytestmark = pytest.mark.usefixtures("v1", "v2")
MATRIX = [[600, 4, 1], [3, 150, 2], [5, 15, 180]]


@pytest.fixture(scope="module")
def v1() -> Model:
    return load(artifact())


@pytest.fixture(scope="module")
def v2() -> Model:
    return load(artifact("v2"))


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """300 of them, the first 50 twice."""
    rows = records(300)
    return write_records(tmp_path / "patients.csv", rows + rows[:50])


def instances(patients: Path) -> list[dict[str, float]]:
    """The records as a client sends them."""
    with patients.open(newline="", encoding="utf-8") as file:
        return [{name: float(row[name]) for name in VITAL_NAMES} for row in csv.DictReader(file)]


def answered(folder: Path, patients: Path) -> dict[tuple[float, ...], int]:
    """The level that a server gives each record."""
    rows = instances(patients)
    body = json.dumps({"instances": rows}).encode()
    reply = service(model=folder).predict(body, "application/json", "id")
    levels = [each["risk_level"] for each in json.loads(reply.body)["predictions"]]
    return dict(
        zip((tuple(row.values()) for row in rows), map(RISK_LEVELS.index, levels), strict=True)
    )


def report(stable: Model, candidate: Model, matrix: list[list[int]]) -> Report:
    """Of a comparison that found this; of a thousand records."""
    comparison = Comparison(stable, candidate)
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            for _ in range(count):
                comparison.count(i, j)
    return Report(comparison, 1000)


def test_each_distinct_record_counts_once_by_what_servers_answer(
    patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = answered(artifact(), patients), answered(artifact("v2"), patients)
    wanted = [[0] * 3 for _ in RISK_LEVELS]
    for row, level in before.items():
        wanted[level][after[row]] += 1
    assert main(["compare", str(artifact()), str(artifact("v2")), str(patients), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["matrix"] == wanted
    assert sum(map(sum, wanted)) == found["pairs"] == len(before) < found["records"] == 350
    assert found["levels"] == list(RISK_LEVELS)
    assert found["stable"] == {"version": "v1", "digest": f"sha256:{load(artifact()).card_digest}"}
    assert found["candidate"]["version"] == "v2"


def test_a_pod_that_answered_these_records_has_the_same_matrix(
    patients: Path, v1: Model, v2: Model
) -> None:
    pod = service(candidate=str(artifact("v2")), candidate_percent=50.0, guard="None")
    body = json.dumps({"instances": instances(patients)}).encode()
    for _ in range(2):
        assert pod.predict(body, "application/json", "id").status == 200
    told = json.loads(pod.rollout_state("id").body)
    found = compare(v1, v2, patients).document()
    same = ("levels", "pairs", "matrix", "stable")
    assert [told[name] for name in same] == [found[name] for name in same]
    assert told["pairs"] == 300


def test_a_model_agrees_with_itself(patients: Path, v1: Model) -> None:
    found = compare(v1, v1, patients)
    assert (found.downgrades, found.upgrades, found.shifts) == (0, 0, [0, 0, 0])


def test_rates_are_of_what_they_say(v1: Model, v2: Model) -> None:
    document = report(v1, v2, MATRIX).document()
    assert document["downgradePercent"] == pytest.approx(100 * (3 + 5 + 15) / 960)
    assert document["severeDowngradePercent"] == pytest.approx(100 * 5 / 960)
    assert document["missedHighPercent"] == pytest.approx(100 * (5 + 15) / 200)
    assert document["upgradePercent"] == pytest.approx(100 * (4 + 1 + 2) / 960)
    assert document["classShiftPercent"] == pytest.approx(
        {"Low": 100 * 3 / 960, "Medium": 100 * 14 / 960, "High": -100 * 17 / 960}
    )


def test_a_rate_of_nothing_is_none(v1: Model, v2: Model) -> None:
    found = report(v1, v2, [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert found.document()["missedHighPercent"] is None
    assert "missed High             none  0 of 0" in found.table()


def test_the_table_is_for_people(v1: Model, v2: Model) -> None:
    assert report(v1, v2, MATRIX).table().splitlines() == [
        f"stable     v1  sha256:{v1.card_digest}",
        f"candidate  v2  sha256:{v2.card_digest}",
        "records    1000, 960 of them distinct",
        "",
        "                  candidate",
        "                  Low  Medium  High",
        "stable    Low     600       4     1",
        "          Medium    3     150     2",
        "          High      5      15   180",
        "",
        "agreement            96.88 %  930 of 960: the same level",
        "downgrade             2.40 %  23 of 960: a lower level",
        "severe downgrade      0.52 %  5 of 960: High became Low",
        "missed High          10.00 %  20 of 200: of those High, not High any more",
        "upgrade               0.73 %  7 of 960: a higher level",
        "share of Low         +0.31 %  +3",
        "share of Medium      +1.46 %  +14",
        "share of High        -1.77 %  -17",
    ]


class Fails:
    explains = False

    def score_many(self, _: object) -> ScoredMany:
        raise ZeroDivisionError


@pytest.mark.parametrize("stable", [False, True])
def test_a_model_that_cannot_score_the_records_is_an_error(
    patients: Path, v1: Model, v2: Model, stable: bool
) -> None:
    fails = replace(v1 if stable else v2, scorer=Fails())  # type: ignore[arg-type]
    models = (fails, v2) if stable else (v1, fails)
    with pytest.raises(CompareError, match=r"patients.csv: a model cannot score .*ZeroDivision"):
        compare(*models, patients)


def test_models_of_other_levels_are_refused(patients: Path, v1: Model, v2: Model) -> None:
    other = replace(v2, schema=replace(v2.schema, levels=("Low", "High", "Critical")))
    with pytest.raises(
        CompareError, match="v2 cannot be compared with v1: its levels are Low, High"
    ):
        compare(v1, other, patients)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            "heart_rate,blood_pressure,temperature,oxygen_level\n85,120,98.6,97\n85,12O,98.6,970\n",
            "line 3: column blood_pressure: value '12O': is no number",
        ),
        ("heart_rate,blood_pressure,temperature\n", "column oxygen_level is missing"),
        ("heart_rate,blood_pressure,temperature,oxygen_level\n", "has no records"),
        (
            "heart_rate,blood_pressure,temperature,oxygen_level\n" + "5,120,98.6,97\n" * 12,
            "… and 2 more",
        ),
    ],
    ids=["a value", "a column", "no records", "many faults"],
)
def test_what_is_wrong_in_the_file_is_named(
    content: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(content)
    assert main(["compare", str(artifact()), str(artifact("v2")), str(path)]) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.out == ""


def test_a_column_may_say_the_unit(tmp_path: Path, v1: Model) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(
        "heart_rate,blood_pressure,temperature,temperature_unit,oxygen_level\n"
        "85,120,37,C,97\n85,120,98.6,F,97\n"
    )
    assert compare(v1, v1, path).matrix == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_a_folder_without_a_model_is_named(
    tmp_path: Path, patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(artifact()), str(tmp_path), str(patients)]) == 2
    assert f"{tmp_path}/card.json cannot be read" in capsys.readouterr().err


def test_linear_models_need_no_more_than_the_image_of_the_server_has(patients: Path) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(['numpy', 'sklearn', 'pandas', 'joblib']);"
        "from riskpredictor_server.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "compare", *map(str, (artifact(), artifact("v2")))]
    subprocess.run([*command, str(patients)], check=True, stdout=subprocess.DEVNULL)
