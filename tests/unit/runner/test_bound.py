"""A run of pytest that takes too long ends in order, and says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import bound

CONFTEST = """
import pytest
from bound import bounded

@pytest.fixture(scope="session", autouse=True)
def limit():
    with bounded(1.0, "Run it in parts."):
        yield

@pytest.fixture
def cluster(tmp_path_factory):
    yield
    print("torn down", flush=True)
"""

TESTS = """
import time

def test_quick(cluster):
    pass

def test_hangs(cluster):
    time.sleep({seconds})

def test_next(cluster):
    pass
"""


def _run(folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(TESTS.format(seconds=seconds))
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "bound.py").write_text(Path(bound.__file__).read_text())
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )


def test_one_that_hangs_ends_it_with_a_message(tmp_path: Path) -> None:
    done = _run(tmp_path, 50)
    assert done.returncode == 1
    assert "the bound of 1 s is over at test_it.py::test_hangs" in done.stdout
    assert "Run it in parts." in done.stdout
    assert done.stdout.count("torn down") == 2, "of the quick one, and of the one that hung"
    assert "3 passed" not in done.stdout


def test_one_in_time_is_left_alone(tmp_path: Path) -> None:
    done = _run(tmp_path, 0)
    assert done.returncode == 0
    assert "3 passed" in done.stdout
