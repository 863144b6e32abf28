"""The report of a change of the model."""

from __future__ import annotations

import json

import pytest
from markdown_it import MarkdownIt
from unit.kubectl import bodies

from riskpredictor_kubectl import model_change, rollout_report
from riskpredictor_kubectl.model_change import Change

ABOUT = ("ward", "risk")
NASTY = "a|b `c` <script>x</script>\n\n# d [e](f) *g*"


def _ended(outcome: str = "Promoted", **more: object) -> Change:
    predictor = bodies.ready()
    predictor["status"]["history"] = [bodies.entry(outcome, **more)]
    return model_change.past(predictor)[0]


def _running(phase: str = "Canary") -> Change:
    change = model_change.current(bodies.changing(phase))
    assert change is not None
    return change


def _table(text: str, row: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize("change", [_running(), _ended()], ids=["under way", "ended"])
def test_a_safety_case_finds_all_that_it_asks_for(change: Change) -> None:
    """``jq -e '.from.digest and .to.digest and .policyDigest and ...'``: none is null or false."""
    data = json.loads(json.dumps(rollout_report.document(ABOUT, change)))
    assert data["from"]["digest"] == bodies.V1["digest"]
    assert data["to"]["digest"] == bodies.V2["digest"]
    assert data["policyDigest"] == f"sha256:{'c' * 64}"
    assert (data["manager"], data["changeRef"]) == ("argocd-controller", "CHG-4711")
    assert data["image"] == "health-predictor:runtime"
    assert data["gates"][0] == bodies.GATES[0]
    assert (data["pairs"], data["matrix"]) == (2304, bodies.FOUND["evidence"]["matrix"])
    assert data["levels"] == ["Low", "Medium", "High"]
    assert data["startedAt"] == bodies.CREATED


def test_one_that_has_ended_says_how_and_when() -> None:
    data = rollout_report.document(
        ABOUT, _ended("Aborted", reason="RolloutAborted", message="MissedHigh", approval="sha256:2")
    )
    assert (data["outcome"], data["reason"], data["message"]) == (
        "Aborted", "RolloutAborted", "MissedHigh",
    )  # fmt: skip
    assert (data["endedAt"], data["approval"], data["generation"]) == (bodies.LATER, "sha256:2", 4)
    assert rollout_report.document(ABOUT, _running())["endedAt"] == ""


def test_the_page_has_the_same_for_people() -> None:
    text = rollout_report.markdown(
        ABOUT, _ended("Aborted", reason="RolloutAborted", message="21 of 145 are lower")
    )
    assert text.startswith("# Change of the model of risk: v1 to v2\n")
    assert _table(text, "Outcome")[1] == "Aborted: RolloutAborted"
    assert _table(text, "From")[1] == f"v1, `{bodies.V1['digest']}`"
    assert _table(text, "To")[1] == (
        f"v2, `{bodies.V2['digest']}`, server image `health-predictor:runtime`"
    )
    assert _table(text, "Declared by")[1] == "argocd-controller, CHG-4711; generation 4"
    assert _table(text, "Policy")[1] == f"`sha256:{'c' * 64}`"
    assert _table(text, "Ended")[1] == bodies.LATER
    assert "\n21 of 145 are lower\n" in text
    assert _table(text, "Downgrade")[1:5] == [
        "Passed", "0.52 % of 2304", "0.21 to 0.98 %", "2 %",
    ]  # fmt: skip
    assert _table(text, "**Medium**")[1:] == ["9", "430", "7"]
    assert "both agree: 2274 (98.70 %)" in text
    assert "lower level: 12 (0.52 %)" in text
    assert "higher one: 18 (0.78 %)" in text
    assert _table(text, "Held back")[1] == "3"
    assert "vital signs" in text


def test_one_under_way_says_that_it_has_not_ended() -> None:
    text = rollout_report.markdown(ABOUT, _running())
    assert _table(text, "Outcome")[1] == "Canary 10% (not ended)"
    assert _table(text, "Ended")[1] == "it has not ended"


def test_every_number_has_a_sentence() -> None:
    for name in rollout_report.GATES:
        gates = [bodies.gate(name, "Passed", "1", "2", "3")]
        said = _table(rollout_report.markdown(ABOUT, _ended(gates=gates)), name)[-1]
        assert said.endswith(".")
        assert "{" not in said


def test_the_first_model_that_was_served_replaced_none() -> None:
    predictor = bodies.ready()
    predictor["status"]["history"] = [
        {"version": "v1", "image": "x:v1", "outcome": "Promoted", "at": bodies.CREATED}
    ]
    text = rollout_report.markdown(ABOUT, model_change.past(predictor)[0])
    assert _table(text, "From")[1] == "nothing: it was the first"
    assert _table(text, "To")[1].startswith("v1, no digest on record (the model is in its image)")
    assert "No gate was evaluated." in text
    assert "No pairs were counted." in text
    assert "The measure is the former model" in text


def test_what_others_wrote_is_text_and_no_markup() -> None:
    change = _ended(changeRef=NASTY, manager=NASTY, message=NASTY, levels=["L|o", "<b>M", "*H*"])
    html = MarkdownIt("commonmark").enable("table").render(rollout_report.markdown(ABOUT, change))
    assert "<script>" not in html
    assert "<b>" not in html
    assert html.count("<h1>") == 1
    assert "<a href" not in html
    assert html.count("&lt;script&gt;x&lt;/script&gt;") == 3
    assert "<strong>L|o</strong>" in html
