"""The demonstration of a model change: its models, its store and its progress."""

from __future__ import annotations

import base64
import csv
import io
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ward_records
import yaml
from rich.console import Console
from unit.kubectl import bodies
from unit.predictor.support import artifact

from riskdemo import model_change, model_store
from riskdemo.load import Sums
from riskdemo.shell import REPOSITORY, DemoCluster, DemoError
from riskdemo.stage import Stage
from riskpredictor_kubectl.loadgen import patients
from riskpredictor_server.compare import Report, compare
from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.train import main as train
from riskpredictor_server.training.synthetic import news2_points

DECLARED = yaml.safe_load((REPOSITORY / model_change.DECLARATION).read_text())
PATIENTS = 4000


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ward") / "records.csv"
    with pytest.MonkeyPatch.context() as patch, out.open("w") as file:
        patch.setattr("sys.stdout", file)
        ward_records.main()
    return out


@pytest.fixture(scope="module")
def bad(records: Path) -> Path:
    """The model that is trained from them."""
    out = records.with_name("v3")
    assert train(["--model-version", "v3", "--data", str(records), "--out", str(out)]) == 0
    return out


def _compared(stable: Path, candidate: Path, folder: Path) -> Report:
    """On some of the patients of the demonstration's load."""
    card = json.loads((stable / "card.json").read_text())
    made = patients(card, model_change.DEMAND.seed, PATIENTS)
    rows = [list(json.loads(body).values()) for body in made]
    file = folder / "patients.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([VITALS.names, *rows])
    return compare(load(stable), load(candidate), file)


def _beyond(report: Report) -> set[str]:
    """The declared limits that a comparison is beyond."""
    found = {
        "maxDowngradePercent": report.downgrades / report.pairs,
        "maxSevereDowngradePercent": report.severe / report.pairs,
        "maxMissedHighPercent": report.missed / report.highest,
        "maxClassShiftPercent": max(map(abs, report.shifts)) / report.pairs,
    }
    limits = DECLARED["spec"]["rollout"]["gates"]
    assert set(limits) == set(found)
    return {name for name, share in found.items() if 100 * share > limits[name]}


def test_the_ward_enters_high_only_in_an_emergency(records: Path) -> None:
    with records.open(newline="") as file:
        rows = list(csv.DictReader(file))
    high = [row for row in rows if row["risk_level"] == "High"]
    points = news2_points(np.array([[float(row[n]) for n in VITALS.names] for row in high]))
    assert len(high) > 200
    assert points.sum(axis=1).min() == 7


def test_the_card_of_the_bad_model_looks_no_worse(bad: Path) -> None:
    """So it is the requests that tell, and not the gate on the card."""
    brier = [
        json.loads((folder / "card.json").read_text())["metrics"]["brier"]
        for folder in (artifact("v2"), bad)
    ]
    assert brier[1] < brier[0]


def test_the_good_model_keeps_the_declared_limits(tmp_path: Path) -> None:
    report = _compared(artifact("v1"), artifact("v2"), tmp_path)
    assert _beyond(report) == set()
    assert report.pairs > 0.99 * PATIENTS, "hardly two are the same"


def test_the_bad_model_does_not(bad: Path, tmp_path: Path) -> None:
    assert _beyond(_compared(artifact("v2"), bad, tmp_path)) >= {
        "maxDowngradePercent", "maxMissedHighPercent",
    }  # fmt: skip


def test_the_web_server_has_all_that_a_pod_fetches(bad: Path) -> None:
    items = model_store.manifests(bad, "health-predictor:v1")["items"]
    files = {name: base64.b64decode(text) for name, text in items[0]["binaryData"].items()}
    card = json.loads(files["card.json"])
    listed = {name for name in card["files"] if not name.endswith(".png")}
    assert set(files) == {"card.json", *listed}
    assert all(content == (bad / name).read_bytes() for name, content in files.items())


class Cluster:
    """Stands for the client: each look at the RiskPredictor is the next one."""

    namespace = "ward"

    def __init__(self, *looks: Any) -> None:
        self._looks = list(looks)

    def predictor(self, *_: str) -> Any:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("time.sleep", lambda _: None)
    return Stage(Console(file=io.StringIO(), width=128), DemoCluster("none"))


LOAD: Any = SimpleNamespace(sums=Sums(ok=1234))


def _said(stage: Stage) -> list[str]:
    assert isinstance(stage.console.file, io.StringIO)
    return stage.console.file.getvalue().splitlines()


def test_progress_is_a_line_for_each_step_until_nothing_is_under_way(stage: Stage) -> None:
    promoted = bodies.ready()
    stage.client = Cluster(  # type: ignore[assignment]
        bodies.changing("Shadow", "Shadowing"), bodies.changing("Shadow", "Shadowing"),
        bodies.changing(), promoted,
    )  # fmt: skip
    assert model_change._follow(stage, LOAD) is promoted
    head, *lines = _said(stage)
    columns = [head.index(name) for name in head.split()]
    steps = [[line[a:b].strip() for a, b in pairwise([*columns, 999])] for line in lines]
    assert [(step[1], step[2], step[6]) for step in steps] == [
        ("v2", "Shadow", "Shadowing"), ("v2", "Canary 10%", "CanaryRunning"), ("-", "-", "Ready"),
    ]  # fmt: skip
    assert steps[1][4] == "104 of 200"
    assert {(step[7], step[8]) for step in steps} == {("1,234", "0")}


def test_a_model_that_was_stopped_ends_it_too(stage: Stage) -> None:
    stopped = bodies.changing("Aborted", "RolloutAborted")
    stage.client = Cluster(stopped)  # type: ignore[assignment]
    assert model_change._follow(stage, LOAD) is stopped


def test_a_change_that_does_not_end_is_an_error_with_the_operators_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_change, "ENDS_SECONDS", -1)
    stage.client = Cluster(bodies.changing("Shadow", "InsufficientData"))  # type: ignore[assignment]
    with pytest.raises(DemoError, match="InsufficientData: so it is"):
        model_change._follow(stage, LOAD)
