"""What ``rollout status`` and ``rollout history`` show."""

from __future__ import annotations

import re

import pytest
from unit.kubectl import bodies

from riskpredictor_kubectl import model_change, rollout_view


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setattr("riskpredictor_kubectl.output.columns", lambda: 80)


def _facts(text: str) -> dict[str, str]:
    """The lines with a name and a value; a folded value is one again."""
    lines = re.sub(r"\n {10,}", " ", text.partition("\n\n")[0]).splitlines()
    pairs = [re.split(r" {2,}", line, maxsplit=1) for line in lines]
    return {name: value for name, value in pairs}  # noqa: C416 - mypy wants the pairs


def _lines(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return re.split(r" {2,}", line)


def test_one_under_way_is_told_by_its_models_step_pairs_and_gates() -> None:
    text = rollout_view.text(bodies.changing())
    facts = _facts(text)
    assert facts["ROLLOUT"].startswith("risk, 0123456789ab, began ")
    assert facts["STABLE"] == "v1, sha256:111111111111"
    assert facts["CANDIDATE"] == "v2, sha256:222222222222"
    assert facts["STEP"].endswith(f", since {bodies.LATER}")
    assert facts["ANSWERS"] == "v2 to 10 % of the requests, v1 to the others"
    assert facts["PAIRS"] == ("104 of 200 in this step, which lasts at least 30m; 2304 in all")
    assert facts["COUNTED"].endswith(
        "in 2 pods: the candidate made 0 errors, answered 57; the guard held back 3 lower answers"
    )
    assert facts["NEXT"] == "v2 answers 50 % of the requests"
    assert facts["DEADLINE"] == "2026-02-07T10:00:00Z; then it holds, and is Stalled"
    assert _lines(text, "v1 \\ v2") == ["v1 \\ v2", "Low", "Medium", "High"]
    assert _lines(text, "Medium") == ["Medium", "9", "430", "7"]
    assert _lines(text, "SevereDowngrade") == [
        "SevereDowngrade", "Pending", "0 % of 2304", "0 to 0.53 %", "0.5 %",
    ]  # fmt: skip
    assert _lines(text, "Cases") == ["Cases", "NotApplicable", "-", "-", "-"]
    assert text.endswith("\n\nWaiting: CanaryRunning\n  CanaryRunning: so it is")
    assert max(map(len, text.splitlines())) <= 80


def test_a_deadline_that_aborts_says_so() -> None:
    predictor = bodies.changing()
    predictor["spec"]["rollout"] = {**bodies.POLICY, "onInconclusive": "Abort"}
    assert _facts(rollout_view.text(predictor))["DEADLINE"].endswith("; then it is aborted")


def test_in_its_first_step_all_pairs_are_of_it() -> None:
    facts = _facts(rollout_view.text(bodies.changing("Shadow")))
    assert facts["PAIRS"] == "2304 of 500 in this step, which lasts at least 1h"
    assert facts["ANSWERS"] == "v1"


def test_nothing_is_counted_before_the_pods_were_asked() -> None:
    predictor = bodies.changing("Shadow", "Shadowing")
    for name in bodies.FOUND:
        del predictor["status"]["rollout"][name]
    text = rollout_view.text(predictor)
    assert _facts(text)["COUNTED"] == "nothing yet"
    assert _facts(text)["PAIRS"].startswith("0 of 500 ")
    assert "\\" not in text
    assert "GATE" not in text


def test_one_that_was_aborted_says_why_and_what_to_do() -> None:
    why = "MissedHigh: v2 finds 21 of 145 lower (14.5 %, at least 8.2 %; limit 5 %)"
    predictor = bodies.changing("Aborted", "RolloutAborted", reason="RolloutAborted", message=why)
    text = rollout_view.text(predictor)
    assert f"\n\nAborted: RolloutAborted\n  {why}\nWhat to do:\n" in text
    assert (
        "  Put v1 back in Git, or declare another model. To try v2 again, put another\n"
        "  word into spec.rollout.retry (now empty).\n"
        "    kubectl riskpredictor rollout undo risk -n ward\n"
        "    kubectl riskpredictor rollout report risk -n ward"
    ) in text
    assert "DEADLINE" not in text
    assert "Waiting" not in text
    predictor["spec"]["rollout"] = {**bodies.POLICY, "retry": "again"}
    assert "spec.rollout.retry (now 'again')." in rollout_view.text(predictor)


def test_a_comparison_without_end_waits_for_what_its_gates_say() -> None:
    predictor = bodies.changing("Observing")
    accepted = bodies.condition("CandidateAccepted", "Unknown", "InsufficientData", "96 more pairs")
    predictor["status"]["conditions"] = [bodies.condition("Ready", "True", "Ready"), accepted]
    text = rollout_view.text(predictor)
    assert text.endswith("\n\nWaiting: InsufficientData\n  96 more pairs")
    assert "DEADLINE" not in text
    predictor["status"]["conditions"].pop()
    assert "Waiting" not in rollout_view.text(predictor)


def test_where_nothing_is_under_way_it_says_what_is_served_and_the_last_on_record() -> None:
    predictor = bodies.ready()
    predictor["spec"]["rollout"] = bodies.POLICY
    predictor["status"] |= {
        "history": [bodies.entry(), bodies.entry("Aborted")],
        "model": {"digest": bodies.V1["digest"]},
    }
    first, *rest = rollout_view.text(predictor).splitlines()
    assert first == "No roll-out of risk is under way: v1, sha256:111111111111 is served."
    assert rest[:2] == ["", "Last on record:"]
    assert len(rest) == 4
    assert re.split(r" {2,}", rest[-1])[:3] == ["1", "v2", "Promoted"]


def test_who_does_not_compare_is_told_so() -> None:
    text = rollout_view.text(bodies.ready())
    assert "spec.rollout.strategy is not Progressive" in text
    assert "Last on record" not in text
    del (bare := bodies.ready())["status"]["servingVersion"]
    assert "nothing is served yet" in rollout_view.text(bare)


@pytest.mark.parametrize("predictor", [bodies.changing(), bodies.ready()])
def test_a_status_about_an_older_spec_is_told_as_such(predictor: bodies.Body) -> None:
    predictor["status"]["observedGeneration"] = 0
    text = rollout_view.text(predictor)
    assert text.startswith("The operator has not yet looked at the present spec;")
    assert "Waiting" not in text


def test_scripts_get_all_of_it() -> None:
    data = rollout_view.document(bodies.changing())
    assert data["rollout"]["after"]["digest"] == bodies.V2["digest"]
    assert data["needs"] == {"pairs": 200, "duration": "30m"}
    assert (data["reason"], data["next"]) == ("CanaryRunning", "v2 answers 50 % of the requests")
    idle = rollout_view.document(bodies.ready())
    assert (idle["rollout"], idle["needs"], idle["latest"], idle["next"]) == (None, None, None, "")
    assert idle["serving"]["version"] == "v1"


def test_the_history_is_numbered_and_has_the_one_under_way_above() -> None:
    predictor = bodies.changing()
    predictor["status"]["history"] = [
        bodies.entry("Aborted"),
        {"version": "v1", "outcome": "Promoted", "at": bodies.CREATED},
    ]
    text = rollout_view.history(model_change.past(predictor), model_change.current(predictor))
    header, now, latest, oldest = (re.split(r" {2,}", line) for line in text.splitlines())
    assert header == ["ENTRY", "MODEL", "OUTCOME", "AGE", "PAIRS", "CHANGE", "BY", "DIGEST"]
    assert now[:3] == ["now", "v2", "Canary 10%"]
    assert [*latest[:3], *latest[4:]] == [
        "1", "v2", "Aborted", "2304", "CHG-4711", "argocd-controller", "sha256:222222222222",
    ]  # fmt: skip
    assert [*oldest[:3], *oldest[4:]] == ["2", "v1", "Promoted", "-", "-", "-", "-"]


def test_a_watch_has_a_line_for_each_change() -> None:
    assert rollout_view.row(bodies.changing())[:2] == ("v2", "Canary 10%")
    assert rollout_view.row(bodies.changing())[3:] == ("104 of 200", "3 of 4", "CanaryRunning")
    failed = bodies.changing(gates=[bodies.gate("Cases", "Failed", "1 of 3", "", "0")])
    assert rollout_view.row(failed)[4] == "0 of 1, 1 failed"
    assert rollout_view.row(bodies.changing(gates=[]))[4] == "-"
    assert rollout_view.row(bodies.changing("Promoting"))[3] == "2304"
    assert rollout_view.row(bodies.ready()) == ("-", "-", "-", "-", "-", "Ready")
    header = rollout_view.watched(rollout_view.WATCHED)
    line = rollout_view.watched(rollout_view.row(bodies.changing("AwaitingApproval")))
    assert header.index("SINCE") == line.index("Awaiting approval") + 20
    assert header.index("REASON") == line.index("CanaryRunning")
    assert len(line) <= 80
