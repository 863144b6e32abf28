from __future__ import annotations

import socket
from dataclasses import fields
from pathlib import Path

import pytest

from riskpredictor_server.settings import Settings, SettingsError, from_strings, parse


def test_flags_win_over_environment_over_defaults() -> None:
    environ = {"RISKPREDICTOR_PORT": "6000", "RISKPREDICTOR_HOST": "0.0.0.0"}
    settings = parse(["--port", "7000", "--model", "m"], environ)
    assert (settings.port, settings.host, settings.model) == (7000, "0.0.0.0", Path("m"))
    assert settings.max_batch == Settings().max_batch


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, socket.gethostname()),
        ({"POD_NAME": "a"}, "a"),
        ({"POD_NAME": "a", "RISKPREDICTOR_POD_NAME": "b"}, "b"),
    ],
)
def test_the_pod_name_comes_from_the_setting_the_pod_or_the_host(
    environ: dict[str, str], name: str
) -> None:
    assert from_strings({}, environ).pod_name == name


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", "80.5"),
        ("PORT", ""),
        ("BODY_TIMEOUT", "nan"),
        ("BODY_TIMEOUT", "-1"),
        ("MAX_BATCH", "1e3"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"RISKPREDICTOR_{variable}={value}: must be"):
        from_strings({}, {f"RISKPREDICTOR_{variable}": value})


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::", "::"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        (" 0.0.0.0\n", "0.0.0.0"),
        ("localhost", "localhost"),
        ("pod-1.ward_7.svc", "pod-1.ward_7.svc"),
    ],
)
def test_a_host_is_an_address_or_a_name(given: str, host: str) -> None:
    assert parse(["--host", given], {}).host == host


@pytest.mark.parametrize(
    "host", ["", "*", "[::1]:80", "127.0.0.1:80", "http://ward", "[::1", "::1]", ":80", "1::2::3"]
)
def test_another_host_is_refused_with_what_it_may_be(host: str) -> None:
    for argv, environ, name in (
        (["--host", host], {}, "--host"),
        ([], {"RISKPREDICTOR_HOST": host}, "RISKPREDICTOR_HOST"),
    ):
        with pytest.raises(SettingsError) as raised:
            parse(argv, environ)
        assert str(raised.value).startswith(f"{name}={host}: must be an IPv4 or IPv6 address or")


def test_memory_for_less_than_one_body_is_refused() -> None:
    with pytest.raises(SettingsError, match="--max-pending-bytes is 2000: must be at least"):
        parse(["--max-pending-bytes", "2000"], {})


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    text = capsys.readouterr().out
    for field in fields(Settings):
        assert "--" + field.name.replace("_", "-") in text
