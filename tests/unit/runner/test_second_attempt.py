"""Which failures `make test` tries again, and that it says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import run

FAILS = "assert False"
FAILS_ONCE = """import pathlib
mark = pathlib.Path(__file__ + request.node.name)
seen = mark.exists()
mark.touch()
assert seen"""

Suite = Callable[..., Path]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Makes a layer of tests with these bodies, in a repository of its own: pytest names tests by
    their place in it."""
    monkeypatch.setattr(run, "ROOT", tmp_path)

    def make(layer: str, *bodies: str) -> Path:
        path = tmp_path / "test_made.py"
        tests = (
            f"def test_{n}(request):\n" + "".join(f"    {line}\n" for line in body.splitlines())
            for n, body in enumerate(bodies)
        )
        path.write_text("\n".join(tests))
        monkeypatch.setitem(run.SUITES, layer, [str(path)])
        return path

    return make


def outcome(layer: str) -> tuple[int, run.Result]:
    result = run._suite(layer)
    return run._summary([result]), result


def test_what_fails_once_is_passed_and_named(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    suite("chaos", "pass", FAILS_ONCE)
    status, result = outcome("chaos")
    assert (status, result.passed, result.failed) == (0, 2, 0)
    said = capsys.readouterr().out
    assert "1 of the passed only at the second attempt: test_made::test_1" in said


def test_what_fails_twice_is_failed(suite: Suite) -> None:
    suite("chaos", "pass", FAILS, FAILS_ONCE)
    status, result = outcome("chaos")
    assert (status, result.passed, result.failed) == (1, 2, 1)
    assert result.again == ("test_made::test_2",)


def test_many_failures_are_no_accident(suite: Suite) -> None:
    suite("chaos", *[FAILS_ONCE] * (run.SECOND_ATTEMPTS + 1))
    status, result = outcome("chaos")
    assert (status, result.failed, result.again) == (1, run.SECOND_ATTEMPTS + 1, ())


def test_a_fixture_that_fails_many_tests_is_one_failure(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    many = run.SECOND_ATTEMPTS + 2
    path = suite("chaos", *["pass"] * many, FAILS)
    body = "".join(f"    {line}\n" for line in FAILS_ONCE.splitlines())
    marked = "@pytest.fixture(scope='module', autouse=True)"
    path.write_text(f"import pytest\n{marked}\ndef up(request):\n{body}{path.read_text()}")
    status, result = outcome("chaos")
    assert (status, result.passed, result.failed) == (1, many, 1)
    assert result.again == tuple(f"test_made::test_{n}" for n in range(many))
    assert f"{many} of the passed only at the second attempt" in capsys.readouterr().out


def test_fixtures_that_fail_differently_are_many_failures(suite: Suite) -> None:
    many = run.SECOND_ATTEMPTS + 1
    path = suite("chaos", *["pass"] * many)
    fixture = "import pytest\n@pytest.fixture(autouse=True)\ndef up(request):\n"
    path.write_text(f"{fixture}    assert not request.node.name\n{path.read_text()}")
    status, result = outcome("chaos")
    assert (status, result.failed, result.again) == (1, many, ())


def test_pure_layers_get_no_second_attempt(suite: Suite) -> None:
    suite("unit", FAILS_ONCE)
    status, result = outcome("unit")
    assert (status, result.failed, result.again) == (1, 1, ())


@pytest.mark.parametrize("text", ["import no_such_module", "def"])
def test_a_layer_that_cannot_start_is_failed(suite: Suite, text: str) -> None:
    suite("chaos", "pass").write_text(text)
    status, result = outcome("chaos")
    assert (status, result.failed) == (1, 1)
