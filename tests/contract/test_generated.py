"""What ``make reference`` makes: the files are up to date, and a stale one is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import generate.__main__ as program
from generate import operations_page, reasons_table, shadow_model
from riskpredictor_operator.settings import Settings
from support.cluster import ROOT

OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text()
REASONS = [reason.name for reason in reasons_table.documented()]


def test_the_files_are_up_to_date() -> None:
    paths = ("operator", "predictor", "tools")
    done = subprocess.run(
        [sys.executable, "-m", "generate", "--check"], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in paths)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_file_is_named_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Generator:
        @staticmethod
        def files() -> dict[Path, bytes]:
            return {tmp_path / "old.md": b"new", tmp_path / "more" / "none.md": b"new"}

    (tmp_path / "old.md").write_bytes(b"old")
    monkeypatch.setattr(program, "GENERATORS", [Generator])
    monkeypatch.setattr(program, "ROOT", tmp_path)
    assert program.main(["--check"]) == 1
    assert capsys.readouterr() == ("stale: old.md\nstale: more/none.md\n", "run make reference\n")
    assert program.main([]) == 0
    assert program.main(["--check"]) == 0
    assert (tmp_path / "more" / "none.md").read_bytes() == b"new"


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_has_one_row_with_symptom_meaning_and_fix(reason: str) -> None:
    (row,) = (line for line in OPERATIONS.splitlines() if f" | `{reason}` | " in line)
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert len(cells) == 4
    assert all(cell.endswith(".") or cell == f"`{reason}`" for cell in cells)


@pytest.mark.parametrize("setting", Settings.__dataclass_fields__)
def test_a_setting_has_one_row(setting: str) -> None:
    assert OPERATIONS.count(f"| `RISKPREDICTOR_{setting.upper()}` |") == 1


def test_a_reason_without_a_fix_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = tmp_path / "reasons.py"
    source.write_text('# Group\nREADY: Final = "Ready"\n"""Only a meaning."""\n')
    monkeypatch.setattr(reasons_table, "SOURCE", source)
    with pytest.raises(ValueError, match="Ready needs a meaning, 'Symptom"):
        list(reasons_table.documented())


def test_a_guide_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="has no <!-- reasons"):
        operations_page.with_tables("# Operations\n")


@pytest.mark.parametrize(
    "lost", ["                model:\n", "# From here on made", "# Up to here"]
)
def test_a_crd_in_which_the_shadows_model_has_no_place_is_refused(lost: str) -> None:
    crd = shadow_model.CRD.read_text()
    assert shadow_model.with_copy(crd) == crd
    with pytest.raises(ValueError, match=r"riskpredictors\.yaml has no spec\.model, or no # From"):
        shadow_model.with_copy(crd.replace(lost, lost.replace("m", "x").replace("Up", "xx"), 1))
