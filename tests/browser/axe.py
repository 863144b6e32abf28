"""Runs axe-core, the accessibility checker, in a page: WCAG 2 A and AA."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from support import debian

FOLDER = Path(__file__).parent
AXE = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def source() -> str:
    """The checker's script; installs it where it is not there."""
    if not AXE.exists():
        command = [debian.ensure("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        first = subprocess.run(command, cwd=FOLDER, check=False, timeout=600, capture_output=True)
        if first.returncode:
            subprocess.run(command, cwd=FOLDER, check=True, timeout=600, capture_output=True)
    return AXE.read_text(encoding="utf-8")


def violations(page: Page, axe: str) -> list[str]:
    """What is wrong with a page in its present state."""
    # By the debugger, not by a script element: the page's policy forbids foreign scripts.
    page.evaluate(axe)
    found: Any = page.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES)
    return [
        f"{problem['id']}: {problem['help']}: {node['target']}"
        for problem in found["violations"]
        for node in problem["nodes"]
    ]
