"""What `make test` runs side by side, which failures it tries again, and what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import run

FAILS = "assert False, 'why it failed'"
FAILS_ONCE = """import pathlib
mark = pathlib.Path(__file__ + request.node.name)
seen = mark.exists()
mark.touch()
assert seen"""

Suite = Callable[..., run.Layer]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Makes a layer of tests with these bodies, in a repository of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "LOGS", tmp_path / "logs")

    def make(*bodies: str, before: str = "", real: bool = True) -> run.Layer:
        tests = (
            f"def test_{n}(request):\n" + "".join(f"    {line}\n" for line in body.splitlines())
            for n, body in enumerate(bodies)
        )
        (tmp_path / "test_made.py").write_text(before + "\n".join(tests))
        return run.suite("made", "test_made.py", real=real)

    return make


def outcome(*layers: run.Layer) -> tuple[int, run.Result]:
    results = run.run_all(layers)
    return run.summary(results), results[0]


def test_what_fails_once_is_passed_and_named(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    status, result = outcome(suite("pass", FAILS_ONCE))
    assert (status, result.passed, result.failed) == (0, 2, 0)
    said = capsys.readouterr().out
    assert "1 passed only at the second attempt: test_made::test_1" in said
    assert said.endswith("\n2 passed, 0 failed, 0 skipped\n")


def test_what_fails_twice_is_failed_and_shown(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    status, result = outcome(suite("pass", FAILS, FAILS_ONCE))
    assert (status, result.passed, result.failed) == (1, 2, 1)
    assert result.again == ("test_made::test_2",)
    assert "why it failed" in capsys.readouterr().out


def test_many_failures_are_no_accident(suite: Suite) -> None:
    many = run.SECOND_ATTEMPTS + 1
    status, result = outcome(suite(*[FAILS_ONCE] * many))
    assert (status, result.failed, result.again) == (1, many, ())


def test_a_fixture_that_fails_many_tests_is_one_failure(suite: Suite) -> None:
    many = run.SECOND_ATTEMPTS + 2
    body = "".join(f"    {line}\n" for line in FAILS_ONCE.splitlines())
    marked = "@pytest.fixture(scope='module', autouse=True)"
    layer = suite(
        *["pass"] * many, FAILS, before=f"import pytest\n{marked}\ndef up(request):\n{body}"
    )
    status, result = outcome(layer)
    assert (status, result.passed, result.failed) == (1, many, 1)
    assert result.again == tuple(f"test_made::test_{n}" for n in range(many))


def test_fixtures_that_fail_differently_are_many_failures(suite: Suite) -> None:
    many = run.SECOND_ATTEMPTS + 1
    fixture = "import pytest\n@pytest.fixture(autouse=True)\ndef up(request):\n"
    layer = suite(*["pass"] * many, before=f"{fixture}    assert not request.node.name\n")
    status, result = outcome(layer)
    assert (status, result.failed, result.again) == (1, many, ())


def test_pure_layers_get_no_second_attempt(suite: Suite) -> None:
    status, result = outcome(suite(FAILS_ONCE, real=False))
    assert (status, result.failed, result.again) == (1, 1, ())


@pytest.mark.parametrize("text", ["import no_such_module\n", "def\n"])
def test_a_layer_that_cannot_start_is_failed(suite: Suite, text: str) -> None:
    status, result = outcome(suite("pass", before=text))
    assert (status, result.failed) == (1, 1)


@pytest.mark.parametrize("deaf", ["", "import signal; signal.signal(2, signal.SIG_IGN); "])
def test_a_layer_that_hangs_is_interrupted_or_killed_and_failed(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, deaf: str
) -> None:
    monkeypatch.setattr(run, "LIMIT_SECONDS", 2.0)
    monkeypatch.setattr(run, "KILL_SECONDS", 2.0)
    status, result = outcome(suite(f"{deaf}import time; time.sleep(100)"))
    assert (status, result.failed) == (1, 1)
    assert result.seconds < 50


def test_a_layer_that_fails_keeps_no_other_from_running(suite: Suite) -> None:
    layers = [run.Layer("first", ("false",)), run.Layer("second", ("true",))]
    status, _ = outcome(*layers)
    assert status == 1
    assert [(r.passed, r.failed) for r in run.run_all(layers)] == [(0, 1), (1, 0)]


@pytest.mark.parametrize(("cores", "together"), [(1.0, True), (1.1, False), (run.ALL, False)])
def test_layers_run_together_as_long_as_there_are_cores(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: float, together: bool
) -> None:
    monkeypatch.setattr(run, "CORES", 2)
    tmp_path.joinpath("logs").mkdir()
    meet = (
        "import pathlib, sys, time\n"
        "mine, other = (pathlib.Path(sys.argv[1], name) for name in sys.argv[2:4])\n"
        "mine.touch()\n"
        "until = time.monotonic() + float(sys.argv[4])\n"
        "while not other.exists() and time.monotonic() < until: time.sleep(0.01)\n"
        "sys.exit(not other.exists())"
    )
    seconds = "20" if together else "0.5"
    layers = [
        run.Layer(name, (sys.executable, "-c", meet, str(tmp_path), name, other, seconds), cores)
        for name, other in (("first", "second"), ("second", "first"))
    ]
    # The second finds what the first left, whenever it runs.
    assert [r.failed for r in run.run_all(layers)] == [0 if together else 1, 0]


def test_progress_is_estimated_by_the_last_time_and_else_by_the_count(
    suite: Suite, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    layer = run.Layer("made", ("true",))
    first = run.Run(layer)
    first.seconds = 30.0
    first.log.write_text("test_made.py::test_0 PASSED [ 20/100]\n")
    assert first.progress() == "made 20/100, 2:00 left"
    first.log.write_text("=== 100 passed in 40.00s ===\n")
    second = run.Run(layer)
    second.seconds = 30.0
    second.log.write_text("test_made.py::test_0 PASSED [ 20/100]\n")
    assert second.progress() == "made 20/100, 0:10 left"
    assert (first.report().status, second.report().status) == (0, 0)


def test_an_unknown_layer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["units"]) == 2
    assert "no such layer: units; there are: format, lint" in capsys.readouterr().out
