"""Specification of settings: environment and flags of the same names, refused by name."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from riskpredictor_operator import settings as module
from riskpredictor_operator.settings import (
    OTHER_PROGRAMS,
    Settings,
    default_identity,
    load,
    own_namespace,
)
from riskpredictor_server.settings import Settings as PredictorSettings
from riskpredictor_server.store.settings import FetchSettings
from support.cluster import ROOT

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def test_without_a_word_the_defaults_hold() -> None:
    assert load([], {}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("namespace", "shop", "shop"), ("workers", "4", 4), ("resync_seconds", "1.5", 1.5),
        ("evidence_seconds", "1", 1.0), ("evidence_seconds", "600", 600.0),
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


UNUSABLE = [
    ("workers", "many", "no whole number"), ("workers", "-1", "not between 1"),
    ("workers", "0", "not between 1"), ("resync_seconds", "0", "not a positive number"),
    ("resync_seconds", "inf", "not a positive number"),
    ("resync_seconds", "nan", "not a positive number"),
    ("lease_seconds", "soon", "not a positive number"),
    ("evidence_seconds", "0.9", "not between 1 and 600 seconds"),
    ("evidence_seconds", "601", "not between 1 and 600 seconds"),
    ("evidence_seconds", "nan", "not a positive number"),
    ("leader_election", "perhaps", "neither true nor false"),
    ("http_port", "-1", "not between 0"), ("http_port", "65536", "not between 0"),
    ("log_format", "xml", "none of human, json"), ("log_level", "loud", "none of debug"),
    ("namespace", "shop,lab", "not the name of one namespace"),
    ("namespace", "Shop", "not the name of one namespace"),
    ("namespace", "a" * 64, "not the name of one namespace"),
    ("namespace", "*", "not the name of one namespace"),
    ("operator_namespace", "a_b", "not the name of a namespace"),
    ("image_repository", "risk:v1", "without tag"),
    ("image_repository", "r.example:5000/risk:v1", "without tag"),
    ("image_repository", "r.example/risk@sha256:" + "0" * 64, "without tag or digest"),
    ("image_repository", "r.example/Risk", "lower case"),
    ("image_repository", "Risk", "lower case"), ("image_repository", "a risk", "lower case"),
    ("image_repository", "https://r.example/risk", "image name"),
    ("lease_name", "The_Lease", "not a name of an object"), ("identity", "a b", "without spaces"),
    ("http_host", "localhost", "not an IP address"), ("http_host", "[::]", "not an IP address"),
    ("http_host", "1.2.3.4:80", "without port"), ("http_host", "1.2.3", "not an IP address"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "why"), UNUSABLE)
@pytest.mark.parametrize("way", ["flag", "environment"])
def test_an_unusable_value_is_refused_by_name(
    name: str, text: str, why: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flag, variable = "--" + name.replace("_", "-"), "RISKPREDICTOR_" + name.upper()
    argv, environ = ([f"{flag}={text}"], {}) if way == "flag" else ([], {variable: text})
    said = refusal(argv, environ, capsys)
    assert flag in said
    assert way == "flag" or variable in said
    assert why in said


def refusal(argv: list[str], environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the process ends."""
    with pytest.raises(SystemExit) as caught:
        load(argv, environ)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        (
            [],
            {"RISKPREDICTOR_NAMESPACES": "a"},
            "NAMESPACES; did you mean RISKPREDICTOR_NAMESPACE?",
        ),
        ([], {"RISKPREDICTOR_LOGLEVEL": "a"}, "LOGLEVEL; did you mean RISKPREDICTOR_LOG_LEVEL?"),
        ([], {"RISKPREDICTOR_HTTPPORT": "1"}, "HTTPPORT; did you mean RISKPREDICTOR_HTTP_PORT?"),
        ([], {"RiskPredictor_Workers": "1"}, "there is no setting RiskPredictor_Workers"),
        ([], {"RISKPREDICTOR_": "1"}, "there is no setting RISKPREDICTOR_;"),
        (["--worker", "1"], {}, "there is no setting --worker; did you mean --workers?"),
        (["--work=1"], {}, "there is no setting --work; did you mean --workers?"),
        (["shop"], {}, "there is no setting shop; --help lists all"),
    ],
)
def test_a_typing_error_in_a_name_is_told_with_the_name_that_was_meant(
    argv: list[str], environ: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(argv, environ, capsys)


SERVICE_LINKS = {
    f"{service}_{rest}": value
    for service in ("RISKPREDICTOR", "RISKPREDICTOR_OPERATOR", "RISKPREDICTOR_HTTP")
    for rest, value in {
        "SERVICE_HOST": "fd00::1", "SERVICE_PORT": "8080", "SERVICE_PORT_HTTP": "8080",
        "PORT": "tcp://[fd00::1]:8080", "PORT_8080_TCP": "tcp://[fd00::1]:8080",
        "PORT_8080_TCP_PROTO": "tcp", "PORT_8080_TCP_PORT": "8080",
        "PORT_8080_TCP_ADDR": "fd00::1",
    }.items()
}  # fmt: skip


def test_variables_that_kubernetes_sets_for_services_are_no_settings() -> None:
    assert load([], SERVICE_LINKS) == Settings()
    # Kubernetes leaves alone what the pod's own manifest sets.
    mine = {**SERVICE_LINKS, "RISKPREDICTOR_HTTP_PORT": "9000"}
    assert load([], mine) == Settings(http_port=9000)


def test_nor_are_those_of_our_other_programs() -> None:
    tools = [ROOT / "tools/cluster/localcluster", ROOT / "tools/kubectl/riskpredictor_kubectl"]
    texts = [path.read_text() for folder in tools for path in folder.glob("*.py")]
    read = {name for text in texts for name in re.findall(r"\b_?RISKPREDICTOR_[A-Z_]+", text)}
    predictors = {
        "RISKPREDICTOR_" + field.name.upper()
        for kind in (PredictorSettings, FetchSettings)
        for field in dataclasses.fields(kind)
    }
    shared = {"RISKPREDICTOR_" + name.upper() for name in FIELDS}
    assert (read | predictors) - shared == OTHER_PROGRAMS
    assert load([], dict.fromkeys(OTHER_PROGRAMS, "x")) == Settings()


@pytest.mark.parametrize("text", [" shop ", "shop\n", "\tshop"])
def test_spaces_around_a_value_are_dropped(text: str) -> None:
    assert load([], {"RISKPREDICTOR_NAMESPACE": text}).namespace == "shop"
    assert load(["--namespace", text], {}).namespace == "shop"
    assert load([], {"RISKPREDICTOR_WORKERS": " 4\n"}).workers == 4


@pytest.mark.parametrize("name", FIELDS)
def test_an_empty_variable_is_none(name: str) -> None:
    assert load([], {"RISKPREDICTOR_" + name.upper(): " "}) == Settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image_repository", "registry.example:5000/team/health-predictor"),
        ("image_repository", "localhost/risk"), ("image_repository", "[fd00::1]:5000/risk"),
        ("http_host", "0.0.0.0"), ("http_host", "fd00::1"), ("lease_name", "a.b-c"),
        ("identity", "pod-0"), ("operator_namespace", "a" * 63),
    ],
)  # fmt: skip
def test_a_usable_value(name: str, text: str) -> None:
    assert getattr(load([], {"RISKPREDICTOR_" + name.upper(): text}), name) == text


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
