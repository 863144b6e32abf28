"""Recordings of the demonstrations: what stands in the terminal at the end, as a picture."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import make_recordings
import pytest
from make_recordings import Picture, draw, record

LIVE = """
from rich.console import Console
from rich.live import Live
console = Console()
console.rule("[bold]First[/bold]", align="left")
with Live(console=console, auto_refresh=False) as live:
    for second in range(5):
        live.update(f"row {second}\\nrow {second + 1}", refresh=True)
console.rule("[bold]Second[/bold]", align="left")
console.print("[green]good[/green]")
"""


def plain(lines: list[str]) -> list[str]:
    return [make_recordings._plain(line) for line in lines]


def test_of_a_live_display_the_last_state_is_kept() -> None:
    lines = plain(record([sys.executable, "-c", LIVE]))
    assert lines[0].startswith("First ──")
    assert lines[1:3] == ["row 4", "row 5"]
    assert lines[3].startswith("Second ──")
    assert lines[4] == "good"


def test_a_line_that_is_written_over_is_kept_once() -> None:
    code = "print('10 %', end=chr(13)); print('20 %')"
    assert plain(record([sys.executable, "-c", code])) == ["20 %", ""]


def test_a_demonstration_that_fails_makes_no_picture() -> None:
    with pytest.raises(RuntimeError, match="no cluster"):
        record([sys.executable, "-c", "raise SystemExit('no cluster')"])


def test_nothing_tells_whose_machine_it_was() -> None:
    lines = record([sys.executable, "-c", "from pathlib import Path; print(Path.home() / 'x')"])
    assert lines[0] == "~/x"


def test_a_picture_is_part_of_a_recording_and_asks_for_no_font(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_recordings, "IMAGES", tmp_path)
    draw("make demo", record([sys.executable, "-c", LIVE]), Picture("part", "First", "Second"))
    svg = (tmp_path / "part.svg").read_text()
    said = "".join(ET.fromstring(svg).itertext())
    assert "row\xa05" in said
    assert "good" not in said
    assert "url(http" not in svg
