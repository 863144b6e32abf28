"""Specification of settings: environment and flags of the same names, refused by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from riskpredictor_operator import settings as module
from riskpredictor_operator.settings import Settings, default_identity, load, own_namespace

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def test_without_a_word_the_defaults_hold() -> None:
    assert load([], {}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("namespace", "shop", "shop"), ("workers", "4", 4), ("resync_seconds", "1.5", 1.5),
        ("leader_election", "false", False), ("leader_election", "YES", True),
        ("http_port", "0", 0), ("log_format", "json", "json"), ("log_level", "debug", "debug"),
    ],
)  # fmt: skip
def test_environment_and_flag_mean_the_same(name: str, text: str, value: Any) -> None:
    by_flag = load(["--" + name.replace("_", "-"), text], {})
    by_environment = load([], {"RISKPREDICTOR_" + name.upper(): text})
    assert by_flag == by_environment == dataclasses.replace(Settings(), **{name: value})


def test_a_flag_beats_the_environment() -> None:
    assert load(["--workers", "4"], {"RISKPREDICTOR_WORKERS": "8"}).workers == 4


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("workers", "many"), ("workers", "-1"), ("workers", "0"), ("resync_seconds", "0"),
        ("resync_seconds", "inf"), ("resync_seconds", "nan"), ("lease_seconds", "soon"),
        ("leader_election", "perhaps"), ("http_port", "-1"), ("http_port", "65536"),
        ("log_format", "xml"), ("log_level", "loud"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["flag", "environment"])
def test_an_unusable_value_is_refused_by_name(
    name: str, text: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flag, variable = "--" + name.replace("_", "-"), "RISKPREDICTOR_" + name.upper()
    argv, environ = ([flag, text], {}) if way == "flag" else ([], {variable: text})
    with pytest.raises(SystemExit) as caught:
        load(argv, environ)
    assert caught.value.code == 2
    assert flag in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", FIELDS)
def test_help_documents_every_setting(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--help"], {})
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert "--" + name.replace("_", "-") in shown
    assert f"[RISKPREDICTOR_{name.upper()}; default {FIELDS[name].default!r}]" in shown
    assert FIELDS[name].metadata["help"] in shown
    assert FIELDS[name].metadata["help"].endswith(".")


def test_the_namespace_of_the_lease(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounted = tmp_path / "namespace"
    monkeypatch.setattr(module, "_NAMESPACE_FILE", mounted)
    assert own_namespace(Settings()) == "default"
    mounted.write_text("riskpredictor-system\n")
    assert own_namespace(Settings()) == "riskpredictor-system"
    assert own_namespace(Settings(operator_namespace="mine")) == "mine"


def test_the_identity_differs_between_processes() -> None:
    assert default_identity().rpartition("_")[2].isdigit()
