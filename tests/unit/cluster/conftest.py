"""Every test here has state and cache folders of its own: none can meet a real cluster."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISKPREDICTOR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RISKPREDICTOR_CACHE", str(tmp_path / "cache"))
    for variable in ("CLUSTER", "CONTEXT", "KUBECONFIG"):
        monkeypatch.delenv(variable, raising=False)
