"""What Argo CD's health script says of each phase of a change of the model.

That Flux's expressions agree is in tests/control_plane/test_flux.py, with Flux itself.
"""

from __future__ import annotations

from typing import Any

import pytest

import kstatus
from support import lua, phases

ARGO = {
    "Observing": "Healthy",
    "Shadow": "Progressing",
    "Canary": "Progressing",
    "AwaitingApproval": "Suspended",
    "Promoting": "Progressing",
    "Aborted": "Degraded",
}


def _predictor(phase: str, *, overdue: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"name": "risk", "generation": 1},
        "spec": {"modelVersion": "v2", "suspend": False},
        "status": phases.status(phase, overdue=overdue),
    }


@pytest.mark.parametrize("phase", phases.STEPS)
def test_a_phase_has_its_health_and_the_message_names_step_and_pairs(phase: str) -> None:
    body = _predictor(phase)
    assert kstatus.violations(body) == []
    status, message = lua.health(body)
    assert status == ARGO[phase]
    told = f"{phases.REASONS[phase]}: {phases.MESSAGE} (v2: {phases.STEPS[phase]}, 2304 pairs)"
    assert message == told


@pytest.mark.parametrize("phase", ["Shadow", "Canary", "AwaitingApproval"])
def test_what_takes_longer_than_its_deadline_is_degraded(phase: str) -> None:
    assert lua.health(_predictor(phase, overdue=True))[0] == "Degraded"


def test_before_the_first_report_of_a_pod_the_message_names_the_step_alone() -> None:
    body = _predictor("Shadow")
    del body["status"]["rollout"]["evidence"]
    assert lua.health(body)[1].endswith(" (v2: Shadow)")


def test_without_a_change_of_the_model_the_message_is_the_conditions() -> None:
    body = _predictor("Observing")
    del body["status"]["rollout"]
    assert lua.health(body) == ("Healthy", f"Ready: {phases.MESSAGE}")


def test_a_commit_that_the_operator_has_not_seen_is_progressing_whatever_the_phase_was() -> None:
    body = _predictor("Aborted")
    body["metadata"]["generation"] = 2
    assert lua.health(body)[0] == "Progressing"
