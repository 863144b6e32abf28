"""``kubectl riskpredictor model`` on artifacts as training writes them: no cluster."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from unit.kubectl.cards import OLD
from unit.predictor.support import artifact, changed_copy, service

from riskpredictor_kubectl import artifacts
from riskpredictor_kubectl.artifacts import Declared
from riskpredictor_kubectl.cli import cli
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadgen import patients
from support import foreign_model
from support.cluster import ROOT


def _run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(cli, ["model", *map(str, arguments)])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def _refused(*arguments: str | Path) -> str:
    done = CliRunner().invoke(cli, ["model", *map(str, arguments)], standalone_mode=False)
    assert isinstance(done.exception, PluginError), done.output
    return str(done.exception)


def _digest(folder: Path) -> str:
    return f"sha256:{hashlib.sha256((folder / 'card.json').read_bytes()).hexdigest()}"


def _rows(text: str) -> list[list[str]]:
    return [re.split(r" {3,}", line.strip()) for line in text.splitlines()]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign_model.write(tmp_path_factory.mktemp("models") / "ward1")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which a web server has it."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """500 patients of the vitals."""
    path = tmp_path / "p.csv"
    rows = [json.loads(body) for body in patients(OLD, 1, 500)]
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines))
    return path


def test_a_model_is_shown_with_its_identity(ward: Path) -> None:
    text = _run("inspect", ward)
    rows = _rows(text)
    assert ["MODEL", "ward1"] in rows
    assert ["DIGEST", _digest(ward)] in rows
    assert ["LEVELS", "Low, Moderate, High, Very high"] in rows
    assert ["GOLDEN CASES", "3, all pass"] in rows
    assert ["lactate", "number", "0.1 to 30 mmol/L", "0.3 to 14.6", "35 %", "rises"] in rows
    assert ["consciousness", "category", "Alert, Voice, Pain, Unresponsive", "Alert, Voice, Pain",
            "-", "-"] in rows  # fmt: skip
    sizes = {path.name: str(path.stat().st_size) for path in ward.iterdir()}
    assert {row[0]: row[1] for row in rows[-2:]} == sizes
    facts = json.loads(_run("inspect", ward, "-o", "json"))
    assert (facts["version"], facts["digest"]) == ("ward1", _digest(ward))
    assert facts["card"] == json.loads((ward / "card.json").read_bytes())


def test_the_identity_is_the_one_that_the_predictor_has() -> None:
    model = service().model
    assert model
    assert json.loads(_run("inspect", artifact(), "-o", "json"))["digest"] == (
        f"sha256:{model.card_digest}"
    )


def test_what_is_pushed_is_what_the_lines_for_git_declare(
    web: tuple[Path, str], ward: Path
) -> None:
    folder, url = web
    _run("push", ward, folder / "risk")
    text = _run("resolve", f"{url}/risk/")
    assert len(text.splitlines()) == 2, "each is a line to be pasted below spec"
    assert yaml.safe_load(text) == json.loads(_run("resolve", f"{url}/risk/", "-o", "json")) == {
        "modelVersion": "ward1",
        "model": {"digest": _digest(ward), "source": {"http": {"url": f"{url}/risk/"}}},
    }  # fmt: skip
    assert _run("inspect", f"{url}/risk/") == _run("inspect", ward)


def test_lines_for_git_say_what_an_address_cannot(
    monkeypatch: pytest.MonkeyPatch, ward: Path
) -> None:
    asked: list[Any] = []

    def pushed(folder: str, where: str, access: artifacts.Access) -> tuple[str, Declared]:
        source = artifacts._place(where, access)
        asked.append((folder, access.credentials, access.authority))
        return f"{where}@1", Declared("ward1", _digest(ward), source)

    monkeypatch.setattr(artifacts, "push", pushed)
    told = _run("push", ward, "s3://models/risk/v2", "--endpoint=https://s3.example.com",
                "--region=eu-1", f"--credentials={ward}", f"--ca={ward / 'card.json'}")  # fmt: skip
    assert yaml.safe_load(told)["model"]["source"] == {"s3": {
        "bucket": "models", "prefix": "risk/v2", "endpoint": "https://s3.example.com",
        "region": "eu-1",
    }}  # fmt: skip
    assert asked == [(str(ward), str(ward), str(ward / "card.json"))]


def test_a_version_that_looks_like_a_number_stays_text(
    web: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = web
    foreign_model.write(folder / "risk", version="7")
    assert yaml.safe_load(_run("resolve", f"{url}/risk/"))["modelVersion"] == "7"


def _damage(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.2", 1))


@pytest.mark.parametrize("command", ["inspect", "push", "diff"])
def test_a_damaged_model_is_refused_by_every_command(
    command: str, ward: Path, tmp_path: Path
) -> None:
    copy = changed_copy(ward, tmp_path)
    _damage(copy, "scorer.json")
    target = [] if command == "inspect" else [tmp_path / "there"] if command == "push" else [ward]
    said = _refused(command, copy, *target)
    assert "scorer.json" in said
    assert "damaged" in said
    assert not (tmp_path / "there").exists()


def test_a_model_that_would_not_serve_is_not_pushed(ward: Path, tmp_path: Path) -> None:
    copy = changed_copy(ward, tmp_path)
    card = json.loads((copy / "card.json").read_bytes())
    card["golden_cases"][0]["probabilities"] = [0.25] * 4
    (copy / "card.json").write_text(json.dumps(card))
    said = _refused("push", copy, tmp_path / "there")
    assert said.startswith(
        f"error: the model at {copy} would not serve: card.json: digest mismatch"
    )
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inspect", "/nonexistent/m"), "has no card.json"),
        (("inspect", "ftp://x/y"), "must begin with s3://, gs://, az://, https://, oci://"),
        (("resolve", "models:/risk@champion"), "is at an MLflow server: name it with --server URL"),
        (("resolve", str(ROOT)), "is a folder, which pods cannot read; push it to a store first"),
        (
            ("inspect", "s3://b/p", "--region=x", "--endpoint=ftp://y"),
            "must begin with https:// or http",
        ),
        (("inspect", "https://h.example/p/", "--region=x"), "http.region: no such field"),
    ],
)
def test_a_place_that_holds_no_model_is_told(arguments: tuple[str, ...], said: str) -> None:
    assert said in _refused(*arguments)


def _pickled(tmp_path: Path) -> Path:
    """An artifact that is a pickle only, and leaves a trace when it is loaded."""
    folder = changed_copy(artifact(), tmp_path)
    (folder / "scorer.json").unlink()
    code = f"cos\nsystem\n(S'touch {tmp_path}/loaded'\ntR."
    (folder / "model.joblib").write_text(code)
    card = json.loads((folder / "card.json").read_bytes())
    digest = hashlib.sha256((folder / "model.joblib").read_bytes()).hexdigest()
    card["files"] = {"model.joblib": digest}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_a_pickle_is_not_loaded_unless_that_is_allowed(tmp_path: Path, data: Path) -> None:
    folder, trace = _pickled(tmp_path), tmp_path / "loaded"
    cases = len(json.loads((folder / "card.json").read_bytes())["golden_cases"])
    assert ["GOLDEN CASES", f"{cases}, not tried"] in _rows(_run("inspect", folder))
    _run("push", folder, tmp_path / "there")
    _run("diff", folder, artifact())
    said = _refused("diff", artifact(), folder, f"--data={data}")
    assert said.endswith("runs code when it is loaded; if you trust it: --allow-pickle")
    assert not trace.exists()


def test_the_flags_of_a_store_say_nothing_of_a_folder(ward: Path) -> None:
    """``diff FOLDER s3://... --endpoint URL``: what was trained beside what is in the store."""
    flags = ("--endpoint=https://s3.example.com", "--region=eu-1", "--path=model")
    assert _run("diff", artifact(), ward, *flags) == _run("diff", artifact(), ward)


def test_two_models_stand_side_by_side(ward: Path) -> None:
    text = _run("diff", artifact("v1"), artifact("v2"))
    rows = _rows(text)
    assert ["LEVELS", "Low, Medium, High"] in rows, "what is the same is said once"
    assert ["DIGEST", f"A: {_digest(artifact('v1'))}"] in rows
    assert [f"B: {_digest(artifact('v2'))}"] in rows
    assert ["temperature", "77 to 113 °F (also C)", "="] in rows
    (recall,) = [row for row in rows if row[0] == "recall of High"]
    cards = [json.loads((artifact(v) / "card.json").read_bytes()) for v in ("v1", "v2")]
    a, b = (card["metrics"]["per_class"]["High"]["recall"] for card in cards)
    assert recall == ["recall of High", f"{a:.3f}", f"{b:.3f}", f"{b - a:+.3f}"]
    rows = _rows(_run("diff", artifact("v1"), ward))
    assert ["heart_rate", "20 to 300 bpm", "-"] in rows
    assert ["lactate", "-", "0.1 to 30 mmol/L, may be left out"] in rows


def test_the_answers_of_two_models_are_counted(data: Path) -> None:
    found = json.loads(_run("diff", artifact("v1"), artifact("v2"), "--data", data, "-o", "json"))
    agreed = found["agreement"]
    body = {"instances": [json.loads(body) for body in patients(OLD, 1, 500)]}
    answers = []
    for version in ("v1", "v2"):
        predictor = service(model=artifact(version)).predictor
        assert predictor
        reply = predictor.reply(json.dumps(body).encode(), "application/json", "r")
        answers.append([one["risk_level"] for one in json.loads(reply.body)["predictions"]])
    pairs = list(zip(*answers, strict=True))
    order = ["Low", "Medium", "High"]
    up = sum(order.index(b) > order.index(a) for a, b in pairs)
    same = sum(a == b for a, b in pairs)
    assert (agreed["records"], agreed["same"], agreed["upgraded"], agreed["downgraded"]) == (
        500, same, up, 500 - same - up,
    )  # fmt: skip
    assert {(c["a"], c["b"]): c["records"] for c in agreed["counts"]} == {
        pair: pairs.count(pair) for pair in set(pairs)
    }
    text = _run("diff", artifact("v1"), artifact("v2"), "--data", data)
    assert f"500 records: {same} ({same / 5:.1f} %) get the same level, " in text
    assert re.split(" +", text.splitlines()[-1])[0] == "High"


def test_records_that_a_model_does_not_take_are_told_by_line(
    data: Path, ward: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(data.read_text().replace("\n", "\n999,120,98.6,97\n", 1))
    said = _refused("diff", artifact("v1"), artifact("v2"), f"--data={path}").splitlines()
    assert said == [
        f"error: {path} for v1: 1 value refused, nothing is predicted",
        "  line 2: heart_rate: must be 20 to 300 bpm, not 999",
    ]
    said_of_columns = _refused("diff", artifact("v1"), ward, f"--data={data}")
    assert f"{data} for ward1: the header line lacks respiratory_rate, glucose" in said_of_columns


def test_without_the_predictors_package_only_this_command_is_missing(tmp_path: Path) -> None:
    (tmp_path / "riskpredictor_server.py").write_text("raise ImportError")
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT / 'tools/kubectl'}"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "riskpredictor_kubectl", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = run("model", "inspect", str(artifact()))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "error: kubectl riskpredictor model needs the predictor's package"
    )
    assert "pip install ./predictor" in done.stderr
    assert (run("status", "--help").returncode, run("model", "--help").returncode) == (0, 0)
