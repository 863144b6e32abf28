"""The guides' own commands: tests run them as they are written."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.cluster import ROOT

INSTALL = ROOT / "docs" / "INSTALL.md"


def blocks(guide: Path, language: str) -> dict[str, str]:
    """The blocks of a language by the heading that they are under; at most one under each."""
    found: dict[str, str] = {}
    for heading, text in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)", guide.read_text(), re.DOTALL | re.MULTILINE
    ):
        inside = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        assert len(inside) <= 1, f"{heading}: more than one block"
        if inside:
            found[heading] = inside[0]
    return found


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
