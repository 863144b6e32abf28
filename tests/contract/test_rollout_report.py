"""What a server says of its two models is what the operator reads: ``GET /rollout``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unit.predictor.support import artifact

from riskpredictor_operator.core.change.evidence import PodReport, parse_report
from riskpredictor_server.api.rollout import Rollout
from riskpredictor_server.model.artifact import load
from riskpredictor_server.settings import Settings

ROLLOUT_ID = "0123456789ab"


def told(candidate: Path | None, cases: Path | None = None) -> PodReport:
    """The report of a server with these settings, as the operator understands it."""
    settings = Settings(
        candidate=str(candidate or ""), rollout_id=ROLLOUT_ID, cases=str(cases or "")
    )
    document = Rollout(load(artifact()), settings).document()
    return parse_report("risk-1", json.dumps(document).encode())


def test_a_comparison() -> None:
    read = told(artifact("v2"))
    assert (read.state, read.candidate_version, read.rollout_id) == ("Comparing", "v2", ROLLOUT_ID)
    assert read.levels == ("Low", "Medium", "High")
    assert [len(row) for row in read.counts.matrix] == [3, 3, 3]
    assert None not in read.brier
    assert read.candidate_digest.startswith("sha256:")
    assert read.stable_digest.startswith("sha256:")


def test_no_candidate() -> None:
    assert told(None).state == ""


def test_a_candidate_that_is_not_there(tmp_path: Path) -> None:
    read = told(tmp_path)
    assert (read.state, read.reason != "", read.candidate_digest) == ("Unusable", True, "")


@pytest.mark.parametrize(
    ("text", "failed"),
    [(None, 0), ("[", 1), ('{"cases": []}', None)],
    ids=["no file", "a malformed file", "no cases"],
)
def test_cases(tmp_path: Path, text: str | None, failed: int | None) -> None:
    if text is not None:
        (tmp_path / "cases.json").write_text(text)
    cases = told(artifact("v2"), tmp_path).cases
    assert cases is not None
    assert failed is None or len(cases.failed) == failed
