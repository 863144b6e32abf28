"""The pictures in docs/images against the sources in docs/diagrams that they are drawn from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support import debian
from support.cluster import ROOT

DIAGRAMS = ROOT / "docs" / "diagrams"
IMAGES = ROOT / "docs" / "images"


@pytest.fixture(scope="module")
def drawing() -> Path:
    """The folder with what draws them."""
    if not (DIAGRAMS / "node_modules").exists():
        command = [debian.ensure("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=DIAGRAMS, check=True, timeout=120, capture_output=True)
    return DIAGRAMS


def _check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [debian.ensure("node", "nodejs"), "make.mjs", "--check"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def test_the_pictures_are_what_the_sources_make(drawing: Path) -> None:
    checked = _check(drawing)
    assert checked.returncode == 0, checked.stderr


def test_a_picture_that_is_stale_is_named(drawing: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(drawing, tmp_path / "docs" / "diagrams")
    shutil.copytree(IMAGES, tmp_path / "docs" / "images")
    source = copy / "reconcile.dot"
    source.write_text(source.read_text().replace("look again", "look away"))
    checked = _check(copy)
    assert checked.returncode == 1
    assert checked.stderr == "docs/images/reconcile.svg is stale: run make diagrams\n"
