"""docs/OPERATIONS.md against the code that its tables are made of."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from riskpredictor_operator.core import reasons
from riskpredictor_operator.settings import Settings
from support.cluster import ROOT

SCRIPT = ROOT / "tools" / "generate" / "operations_page.py"
GUIDE = (ROOT / "docs" / "OPERATIONS.md").read_text()
REASONS = [
    value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("operations_page", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_up_to_date(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_has_one_row_with_symptom_meaning_and_fix(reason: str) -> None:
    (row,) = (line for line in GUIDE.splitlines() if f" | `{reason}` | " in line)
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert len(cells) == 4
    assert all(cell.endswith(".") or cell == f"`{reason}`" for cell in cells)


@pytest.mark.parametrize("setting", Settings.__dataclass_fields__)
def test_a_setting_has_one_row(setting: str) -> None:
    assert GUIDE.count(f"| `RISKPREDICTOR_{setting.upper()}` |") == 1


def test_a_reason_that_nobody_can_act_on_is_refused(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "reasons.py"
    source.write_text('# Group\nREADY: Final = "Ready"\n"""Only a meaning."""\n')
    monkeypatch.setattr(script, "SOURCE", source)
    with pytest.raises(ValueError, match="Ready needs a meaning, 'Symptom"):
        script.reason_tables()


def test_a_guide_without_the_marks_is_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="has no <!-- reasons"):
        script.with_tables("# Operations\n")
