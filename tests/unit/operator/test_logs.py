"""Log lines: a traceback only where it tells something."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from riskpredictor_operator.runtime import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    kopf = logging.getLogger("kopf").level
    yield
    root.handlers[:], root.level = handlers, level
    logging.getLogger("kopf").setLevel(kopf)


def _fail(error: Exception) -> None:
    try:
        raise error
    except type(error):
        logging.getLogger("somewhere").exception("it failed")


@pytest.mark.parametrize(
    ("level", "error", "shown"),
    [
        pytest.param("info", ConnectionRefusedError("x"), False, id="what the network did"),
        pytest.param("info", ValueError("a bug"), True, id="what the program did wrong"),
        pytest.param("debug", ConnectionRefusedError("x"), True, id="debugging"),
    ],
)
def test_when_a_traceback_is_shown(
    capsys: pytest.CaptureFixture[str], level: str, error: Exception, shown: bool
) -> None:
    logs.configure("human", level, (OSError,))
    _fail(error)
    said = capsys.readouterr().err
    assert ("Traceback" in said, said.count("\n") > 1) == (shown, shown)


def test_for_machines_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    _fail(ValueError("a\nbug"))
    (text,) = capsys.readouterr().err.splitlines()
    line = json.loads(text)
    assert list(line) == ["time", "level", "logger", "message", "traceback"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert (line["level"], line["logger"], line["message"]) == ("error", "somewhere", "it failed")
    assert "ValueError: a\nbug" in line["traceback"]
