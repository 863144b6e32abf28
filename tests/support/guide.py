"""The guides' own commands: tests run them as they are written."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from support import docs
from support.cluster import ROOT

INSTALL = ROOT / "docs" / "INSTALL.md"


def blocks(guide: Path, language: str) -> dict[str, str]:
    """The blocks of a language by the heading that they are under; at most one under each."""
    found = [block for block in docs.blocks(guide) if block.language == language]
    by_heading = {block.heading: block.text for block in found}
    assert len(by_heading) == len(found), f"{guide}: more than one block under a heading"
    return by_heading


def block(heading: str, language: str = "sh", guide: Path = INSTALL) -> str:
    """The block under a heading."""
    return blocks(guide, language)[heading]


def shell(
    script: str, environment: Mapping[str, str], folder: Path = ROOT, *, seconds: float = 240
) -> str:
    """Its output; fails the test with what it said, or when it takes longer."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout
