"""The plug-in with a predictor of a model that is not the default one, as a real process."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from unit.predictor.support import ServerProcess, artifact

from riskpredictor_kubectl.cli import PROGRAM, cli
from riskpredictor_kubectl.commands import predict as command
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadpod import SCRIPT
from riskpredictor_kubectl.predictor import Predictor
from support import foreign_model

WELL = ("--respiratory-rate=16", "--glucose=5.5", "--supplemental-oxygen=false",
        "--consciousness=Alert")  # fmt: skip
HEADER = "bed,respiratory_rate,glucose,glucose_unit,supplemental_oxygen,consciousness,lactate"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = foreign_model.write(tmp_path_factory.mktemp("models") / "ward1")
    with ServerProcess(folder) as running:
        yield running


@pytest.fixture
def behind(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port-forward of any name leads to this server."""

    @contextmanager
    def forwarding(*_: object, **__: float) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(url=server.url)

    monkeypatch.setattr(command, "client_of", lambda *_, **__: None)
    monkeypatch.setattr(command, "forwarding", forwarding)


def _run(*arguments: str) -> tuple[str, str]:
    done = CliRunner().invoke(cli, ["predict", "ward", *arguments], prog_name=PROGRAM)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def _refused(*arguments: str) -> list[str]:
    done = CliRunner().invoke(cli, ["predict", "ward", *arguments], standalone_mode=False)
    assert isinstance(done.exception, PluginError), done.output
    return str(done.exception).splitlines()


@pytest.mark.usefixtures("behind")
def test_one_patient_from_flags(server: ServerProcess) -> None:
    printed, said = _run(*WELL, "--lactate=0.9", "-o", "json")
    answer, direct = json.loads(printed), Predictor(server.url).predict(dict(foreign_model.WELL))
    assert answer | {"request_id": ""} == direct | {"request_id": ""}
    assert list(answer["probabilities"]) == foreign_model.LEVELS
    assert said == ""
    milligrams = json.loads(_run(*WELL, "--glucose=99.1", "--glucose-unit=mg/dL", "-o", "json")[0])
    assert milligrams["probabilities"] == pytest.approx(
        json.loads(_run(*WELL, "-o", "json")[0])["probabilities"], abs=1e-3
    )


@pytest.mark.usefixtures("behind")
def test_a_feature_that_is_left_out_is_told() -> None:
    printed, said = _run(*WELL, "--supplemental-oxygen")
    assert printed.split()[:8] == [
        "RISK", "CONFIDENCE", "LOW", "MODERATE", "HIGH", "VERY", "HIGH", "MODEL",
    ]  # fmt: skip
    assert said == "warning: --lactate: left out: 1.2 mmol/L was scored instead\n"


@pytest.mark.usefixtures("behind")
def test_refused_values_are_told_by_flags() -> None:
    assert _refused(*WELL, "--respiratory-rate=16.5", "--glucose=99.1") == [
        "error: 2 values refused, nothing is predicted",
        "  --respiratory-rate: must be a whole number, 4 to 70 breaths/min, not 16.5",
        (
            "  --glucose: must be 0.5 to 50 mmol/L, not 99.1; 99.1 may be mg/dL, that is 5.5 "
            "mmol/L; say so with --glucose-unit mg/dL"
        ),
    ]


@pytest.mark.usefixtures("behind")
def test_a_file_of_patients(tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(f"{HEADER}\n1,16,99,mg/dL,0,Alert,0.9\n2,34,19.5,,TRUE,Pain,\n")
    printed, said = _run(f"--csv={path}", "-o", "csv")
    first, second = csv.DictReader(io.StringIO(printed))
    assert (first["predicted_risk"], second["predicted_risk"]) == ("Low", "Very high")
    assert sum(float(second[level]) for level in ("low", "moderate", "high", "very_high")) == (
        pytest.approx(1, abs=1e-3)
    )
    assert said == "warning: 1 of 2 lack a value that the model fills in; -o json says which\n"


@pytest.mark.usefixtures("behind")
def test_refused_rows_are_told_by_lines_and_refused_records_by_number(tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(f"{HEADER}\n1,16,5,,0,Alert,0.9\n2,34,19.5,,true,Asleep,\n")
    said = _refused(f"--csv={path}")[1:]
    assert said == [
        '  line 3: consciousness: must be "Alert", "Voice", "Pain" or "Unresponsive", not Asleep'
    ]
    path = tmp_path / "ward.json"
    path.write_text(json.dumps([foreign_model.WELL, {**foreign_model.ILL, "lactate": "high"}]))
    (line,) = _refused(f"--json={path}")[1:]
    assert line.startswith("  record 2: lactate: must be a JSON number, 0.1 to 30 mmol/L, not high")


@pytest.mark.usefixtures("behind")
def test_help_lists_the_flags_of_this_model() -> None:
    printed, _ = _run("--help")
    assert "Flags of model ward1:\n  --respiratory-rate NUMBER" in printed
    assert "--consciousness [Alert|Voice|Pain|Unresponsive]" in printed
    assert "--heart-rate NUMBER" not in printed


@pytest.mark.parametrize("model", ["default", "foreign"])
def test_a_load_is_of_patients_that_the_model_takes_and_knows(
    server: ServerProcess, model: str, tmp_path: Path
) -> None:
    """A load that drifted from the training data would set off the alert about drift."""
    with (
        ServerProcess(artifact())
        if model == "default"
        else ServerProcess(foreign_model.write(tmp_path / "m")) as running
    ):
        command = [sys.executable, str(SCRIPT), f"--url={running.url}", "--users=2", "--seconds=2"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        total = json.loads(done.stdout.splitlines()[-1])
        metrics = running.get("/metrics").body.decode()
    assert (total["done"], total["failed"]) == (True, 0)
    drifts = [
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("riskpredictor_input_drift{")
    ]
    assert len(drifts) >= 4
    assert max(drifts) < 0.1
