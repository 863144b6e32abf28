"""The narrator of the stories."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from riskdemo.shell import DemoCluster, Kubectl
from riskdemo.stage import Stage, arguments, perform


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100, soft_wrap=True)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("pause", "waits"), [(True, 2), (False, 0)])
def test_with_pause_every_step_but_the_first_waits_for_enter(
    console: Console, monkeypatch: pytest.MonkeyPatch, pause: bool, waits: int
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(console, "input", waited.append)
    stage = Stage(console, DemoCluster("none"), pause=pause)
    for title in ("one", "two", "three"):
        stage.step(title)
    assert len(waited) == waits
    assert "three" in said(console)


def test_it_ends_with_what_was_found_and_what_to_try_next(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(console, DemoCluster("none"))
    stage.kubectl = Kubectl(Path("config"), "riskpredictor-demo")
    stage.fact("scale-out", "25 s")
    stage.summary()
    text = said(console)
    assert "scale-out" in text
    for command in ("get riskpredictors", "port-forward", "make demo-scaling", "make demo-down"):
        assert command in text
    assert '{"spec":{"modelVersion":"v9"}}' in text, "no markup was made of it"


def test_pause_and_yes_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("A story.").parse_args(["--pause", "--yes"])
    assert "not allowed with" in capsys.readouterr().err


def test_pause_without_a_terminal_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    options = arguments("A story.").parse_args(["--pause"])
    assert perform(lambda _: pytest.fail("ran"), options) == 2
    assert "needs a terminal" in capsys.readouterr().out
