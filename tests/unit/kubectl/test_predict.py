"""``predict``: its flags are those of the model that answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from unit.kubectl.cards import OLD, WARD, Card

from riskpredictor_kubectl import declaration
from riskpredictor_kubectl.cli import PROGRAM, cli
from riskpredictor_kubectl.commands import predict as command
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.flags import split
from riskpredictor_kubectl.predictor import Problem, RefusedError

VITALS = ("--heart-rate=85", "--blood-pressure=120", "--temperature=98", "--oxygen-level=97")
WARD_FLAGS = ("--respiratory-rate=14", "--glucose=5.5", "--supplemental-oxygen")


class _Predictor:
    """Answers with a card, and the last level for every record."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.asked: list[dict[str, Any]] = []
        self.problems: list[Problem] = []
        self.warnings: list[dict[str, Any]] = []

    def declaration(self) -> declaration.Declaration:
        return declaration.read(self.card)

    def predict(self, record: dict[str, Any]) -> dict[str, Any]:
        return self.predict_many([record])[0]

    def predict_many(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        self.asked += records
        if self.problems:
            raise RefusedError(self.problems)
        levels = self.card.get("levels") or ["Low", "Medium", "High"]
        names = [feature["name"] for feature in self.card["features"]]
        return [
            {
                "risk_level": levels[-1], "confidence": 0.7,
                "probabilities": {level: 1 / len(levels) for level in levels},
                "contributions": dict.fromkeys(names, 0.5), "warnings": self.warnings,
                "model_version": self.card["model_version"],
            }
            for _ in records
        ]  # fmt: skip


@pytest.fixture
def ward(monkeypatch: pytest.MonkeyPatch) -> _Predictor:
    return _served(monkeypatch, WARD)


@pytest.fixture
def vitals(monkeypatch: pytest.MonkeyPatch) -> _Predictor:
    return _served(monkeypatch, OLD)


def _served(monkeypatch: pytest.MonkeyPatch, card: Card) -> _Predictor:
    fake = _Predictor(card)

    @contextmanager
    def forwarding(_: object, name: str, **__: float) -> Iterator[SimpleNamespace]:
        if name == "asleep":
            raise PluginError("asleep has no pod that answers")
        yield SimpleNamespace(url="")

    monkeypatch.setattr(command, "client_of", lambda *_, **__: None)
    monkeypatch.setattr(command, "forwarding", forwarding)
    monkeypatch.setattr(command, "Predictor", lambda _: fake)
    return fake


def _run(*arguments: str) -> tuple[str, str]:
    """What it prints, and what it says to a person."""
    done = CliRunner().invoke(cli, ["predict", *arguments], prog_name=PROGRAM)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def _mistake(*arguments: str) -> tuple[str, str]:
    """The error of the command line, and the command whose help it points to."""
    done = CliRunner().invoke(
        cli, ["predict", *arguments], prog_name=PROGRAM, standalone_mode=False
    )
    assert isinstance(done.exception, click.UsageError), done.output
    assert done.exception.ctx
    return done.exception.format_message(), done.exception.ctx.command_path


def _refused(*arguments: str) -> list[str]:
    done = CliRunner().invoke(cli, ["predict", *arguments], standalone_mode=False)
    assert isinstance(done.exception, PluginError), done.output
    return str(done.exception).splitlines()


@pytest.mark.parametrize(
    ("line", "own", "model", "names"),
    [
        ("risk --a-b 1 --c=x -o json", "-o json", "--a-b 1 --c=x", "risk"),
        ("--a 1 --b 2 risk", "", "--a 1 --b 2", "risk"),
        ("--a=1 risk", "", "--a=1", "risk"),
        ("risk --a -5 --b -.5", "", "--a -5 --b -.5", "risk"),
        ("risk --a --b 1", "", "--a --b 1", "risk"),
        ("risk --a -n ward", "-n ward", "--a", "risk"),
        ("--a -ojson risk", "-ojson", "--a", "risk"),
        ("--output=json --a 1 risk", "--output=json", "--a 1", "risk"),
        ("--csv - risk", "--csv -", "", "risk"),
        ("risk other", "", "", "risk other"),
        ("--a -- risk", "", "--a", "risk"),
        ("--a risk", "", "--a risk", ""),
        ("risk -x", "-x", "", "risk"),
    ],
)
def test_words_are_for_the_command_or_for_the_model(
    line: str, own: str, model: str, names: str
) -> None:
    known = {"-o": True, "--output": True, "-n": True, "--csv": True, "--help": False}
    assert split(line.split(), known) == (own.split(), model.split(), names.split())


def test_the_vitals_are_flags_of_the_default_model(vitals: _Predictor) -> None:
    printed, _ = _run("risk", *VITALS)
    assert [re.split(r" {3,}", line) for line in printed.splitlines()] == [
        ["RISK", "CONFIDENCE", "LOW", "MEDIUM", "HIGH", "MODEL"],
        ["High", "0.7000", "0.3333", "0.3333", "0.3333", "v1"],
    ]
    celsius = ("--temperature", "-3.5", "--temperature-unit", "C")
    _run(*VITALS[:2], *celsius, "--oxygen-level", "97", "rp/risk")
    assert vitals.asked == [
        {"heart_rate": 85, "blood_pressure": 120, "temperature": 98, "oxygen_level": 97},
        {"heart_rate": 85, "blood_pressure": 120, "temperature": -3.5, "temperature_unit": "C",
         "oxygen_level": 97},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "missing --heart-rate, --blood-pressure, --temperature, --oxygen-level (or --csv"),
        (VITALS[:3], "missing --oxygen-level (or --csv FILE)"),
        (("--heart-rate=fast",), "'--heart-rate': 'fast' is not a number"),
        (("--heart-rate=nan",), "'--heart-rate': 'nan' is not a number"),
        (("--heart-rate",), "'--heart-rate' requires an argument"),
        (("--temperature-unit=K",), "'--temperature-unit': 'K' is not one of 'F', 'C'"),
        (("--csv=/dev/null", VITALS[0]), "--heart-rate and --csv exclude each other"),
        (("--json=/dev/null", "--temperature-unit=C"), "--temperature-unit and --json exclude"),
    ],
)
def test_a_mistake_in_a_flag_of_the_model_is_told(
    vitals: _Predictor, arguments: tuple[str, ...], said: str
) -> None:
    message, about = _mistake("risk", *arguments)
    assert said in message
    assert about == "kubectl riskpredictor predict risk"
    assert not vitals.asked


def test_a_flag_that_the_model_does_not_have_lists_those_that_it_has(vitals: _Predictor) -> None:
    message, about = _mistake("risk", "--hart-rate=85")
    assert message == (
        "No such option '--hart-rate'. Model v1 has --heart-rate, --blood-pressure, "
        "--temperature, --temperature-unit, --oxygen-level."
    )
    assert about == "kubectl riskpredictor predict risk"


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        (WARD_FLAGS, {"supplemental_oxygen": True}),
        ((*WARD_FLAGS[:2], "--supplemental-oxygen", "false"), {"supplemental_oxygen": False}),
        ((*WARD_FLAGS[:2], "--supplemental-oxygen=true"), {"supplemental_oxygen": True}),
        ((*WARD_FLAGS, "--lactate", "2.25"), {"supplemental_oxygen": True, "lactate": 2.25}),
        ((*WARD_FLAGS, "--consciousness=Pain", "--glucose-unit", "mg/dL"),
         {"supplemental_oxygen": True, "consciousness": "Pain", "glucose_unit": "mg/dL"}),
    ],
)  # fmt: skip
def test_any_model_has_flags_of_the_types_of_its_features(
    ward: _Predictor, flags: tuple[str, ...], values: dict[str, Any]
) -> None:
    _run("risk", *flags)
    assert ward.asked == [{"respiratory_rate": 14, "glucose": 5.5, **values}]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (WARD_FLAGS[:2], "missing --supplemental-oxygen (or --csv FILE)"),
        (("--supplemental-oxygen=perhaps",), "'perhaps' is not a valid boolean"),
        (("--consciousness", "Asleep"), "'Asleep' is not one of 'Alert', 'Voice', 'Pain'"),
        (("--glucose-unit", "g"), "'g' is not one of 'mmol/L', 'mg/dL'"),
        (VITALS, "No such option '--heart-rate'. Model w7 has --respiratory-rate, "),
    ],
)
def test_what_is_wrong_for_one_model_says_what_is_right(
    ward: _Predictor, flags: tuple[str, ...], said: str
) -> None:
    assert said in _mistake("risk", *flags)[0]


def test_a_feature_named_as_a_flag_of_the_command_has_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = {"model_version": "c1", "features": [
        {"name": "context", "type": "category", "values": ["home", "ward"]}, {"name": "csv"},
    ]}  # fmt: skip
    served = _served(monkeypatch, card)
    _run("risk", "--feature-context=ward", "--feature-csv=1", "--context=kind")
    assert served.asked == [{"context": "ward", "csv": 1}]


def test_help_says_where_the_flags_come_from_and_asks_nobody_without_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "client_of", None)
    printed, _ = _run("--help")
    assert "NAME --help" in printed
    assert "Flags of model" not in printed


def test_help_with_a_name_lists_the_flags_of_its_model(ward: _Predictor) -> None:
    for words in (("risk", "--help"), ("-h", "--glucose", "5", "risk", "--csv=/nonexistent")):
        printed, _ = _run(*words)
        head, _, flags = printed.partition("\nFlags of model w7:\n")
        assert "--csv FILE" in head
        assert re.split(r" {2,}|\n +", flags.strip()) == [
            "--respiratory-rate NUMBER", "Respiratory rate, 4 to 70 breaths/min.",
            "--glucose NUMBER", "Glucose, 1 to 60 mmol/L.",
            "--glucose-unit [mmol/L|mg/dL]", "Default mmol/L.",
            "--lactate NUMBER", "Lactate, 0.1 to 30 mmol/L. From the last blood",
            "gas. May be left out.",
            "--supplemental-oxygen [true|false]", "Supplemental oxygen, true or false.",
            "--consciousness [Alert|Voice|Pain]", "Consciousness. May be left out.",
        ]  # fmt: skip
    assert not ward.asked


def test_help_is_there_when_the_model_is_not(ward: _Predictor) -> None:
    printed, _ = _run("asleep", "--help")
    assert printed.splitlines()[-1] == (
        "The model of asleep cannot be asked for its flags: asleep has no pod that answers"
    )


def test_a_shell_is_offered_the_flags_of_the_model(ward: _Predictor) -> None:
    def offers(*words: str) -> list[str]:
        *before, incomplete = words
        found = ShellComplete(cli, {}, PROGRAM, "").get_completions(before, incomplete)
        return [item.value for item in found]

    assert offers("predict", "risk", "--glu") == ["--glucose", "--glucose-unit"]
    assert {"--csv", "--lactate"} <= {*offers("predict", "risk", "--glucose", "5", "--")}
    assert offers("predict", "asleep", "--c") == offers("predict", "--c") == ["--csv", "--context"]


def test_refused_values_are_told_by_their_flags(ward: _Predictor) -> None:
    ward.problems = [
        Problem(None, "respiratory_rate", "must be 4 to 70 breaths/min, not 99"),
        Problem(None, "glucose", 'must be 1 to 60, not 99; say so with "glucose_unit": "mg/dL"'),
    ]  # fmt: skip
    assert _refused("risk", *WARD_FLAGS) == [
        "error: 2 values refused, nothing is predicted",
        "  --respiratory-rate: must be 4 to 70 breaths/min, not 99",
        "  --glucose: must be 1 to 60, not 99; say so with --glucose-unit mg/dL",
    ]


HEADER = "bed,respiratory_rate,glucose,supplemental_oxygen,lactate"
ROWS = f"{HEADER}\n1,14,99,true,2\n2,15,5,no,\n".replace("no", "false")


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "p.csv").write_text(ROWS)
    return f"--csv={tmp_path / 'p.csv'}"


def test_a_file_for_any_model_comes_back_with_its_levels(ward: _Predictor, table: str) -> None:
    printed, _ = _run("risk", table, "--glucose-unit=mg/dL", "-o", "csv")
    assert printed.splitlines() == [
        f"{HEADER},predicted_risk,confidence,stable,watch,act_now,call,model_version",
        "1,14,99,true,2,Call,0.7000,0.2500,0.2500,0.2500,0.2500,w7",
        "2,15,5,false,,Call,0.7000,0.2500,0.2500,0.2500,0.2500,w7",
    ]
    assert [record["glucose_unit"] for record in ward.asked] == ["mg/dL", "mg/dL"]
    assert "lactate" not in ward.asked[1]


def test_a_json_file_is_sent_as_it_is(ward: _Predictor, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"glucose": "high", "age": None}))
    _run("risk", f"--json={path}")
    assert ward.asked == [{"glucose": "high", "age": None}]
    path.write_text(json.dumps([{"glucose": 5}, {"glucose": 6, "lactate": None}]))
    printed, _ = _run("risk", f"--json={path}", "-o", "json")
    assert ward.asked[1:] == [{"glucose": 5}, {"glucose": 6, "lactate": None}]
    assert [one["record"] for one in json.loads(printed)["predictions"]] == [1, 2]
    ward.problems = [Problem(1, "glucose", "must be a number")]
    assert _refused("risk", f"--json={path}")[1] == "  record 2: glucose: must be a number"


def test_a_warning_about_one_patient_names_the_flag(ward: _Predictor) -> None:
    ward.warnings = [{"field": "lactate", "detail": "left out; scored as 1.2 mmol/L"}]
    _, said = _run("risk", *WARD_FLAGS)
    assert said == "warning: --lactate: left out; scored as 1.2 mmol/L\n"


def test_warnings_about_a_file_are_counted_by_what_they_are(ward: _Predictor, table: str) -> None:
    outside: dict[str, Any] = {"field": "glucose", "value": 59, "detail": "..."}
    left_out: dict[str, Any] = {
        "field": "lactate",
        "value": None,
        "filled_with": 1.2,
        "detail": "...",
    }
    said_outside = "warning: 2 of 2 lie outside the training data; -o json says in which values\n"
    said_left_out = "warning: 2 of 2 lack a value that the model fills in; -o json says which\n"
    for warnings, said in (
        ([], ""),
        ([outside], said_outside),
        ([left_out], said_left_out),
        ([left_out, outside], said_outside + said_left_out),
    ):
        ward.warnings = warnings
        assert _run("risk", table)[1] == said


def test_what_pushes_towards_the_highest_level_is_shown_for_each_feature(
    ward: _Predictor,
) -> None:
    printed, _ = _run("risk", *WARD_FLAGS, "-o", "wide")
    rows = [re.split(r" {3,}", line) for line in printed.splitlines()[3:]]
    assert rows[0] == ["FEATURE", "PUSHES TOWARDS CALL"]
    assert rows[1:3] == [["respiratory_rate", "+0.500"], ["glucose", "+0.500"]]
    assert len(rows) == 6
