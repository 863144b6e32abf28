"""The plug-in's side of the HTTP API against a real predictor process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from unit.predictor.candidates import write_variant
from unit.predictor.support import HEALTHY, SICK, ServerProcess, artifact

from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.predictor import BATCH, Predictor, Problem, Record, RefusedError

WELL: Record = dict(HEALTHY)
ILL: Record = dict(SICK)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as running:
        yield running


@pytest.fixture
def predictor(server: ServerProcess) -> Predictor:
    return Predictor(f"http://127.0.0.1:{server.port}")


def _problems(predictor: Predictor, *records: Record) -> list[Problem]:
    with pytest.raises(RefusedError) as caught:
        predictor.predict_many(records)
    return caught.value.problems


def test_answers_come_in_the_order_of_the_questions_however_many(predictor: Predictor) -> None:
    records = [WELL, ILL] * BATCH
    answers = predictor.predict_many(records)
    assert [answer["risk_level"] for answer in answers] == ["Low", "High"] * BATCH
    assert predictor.predict(ILL)["probabilities"] == answers[1]["probabilities"]


def test_a_refused_record_is_counted_from_the_first_of_all(predictor: Predictor) -> None:
    wrong = [WELL] * (BATCH + 5)
    wrong[2] = {**WELL, "heart_rate": 999}
    wrong[BATCH + 1] = {**WELL, "temperature_unit": "K"}
    assert _problems(predictor, *wrong) == [
        Problem(2, "heart_rate", "must be 20 to 300 bpm, not 999"),
        Problem(BATCH + 1, "temperature_unit", 'temperature_unit must be "F" or "C", not K'),
    ]


def test_every_field_of_one_record_is_named(predictor: Predictor) -> None:
    with pytest.raises(RefusedError) as caught:
        predictor.predict({"heart_rate": 10, "blood_pressure": 120, "temperature": 98})
    assert caught.value.problems == [
        Problem(None, "heart_rate", "must be 20 to 300 bpm, not 10"),
        Problem(None, "oxygen_level", "required, 40 to 100 %"),
    ]


def test_a_server_that_takes_fewer_records_says_so() -> None:
    with ServerProcess(max_batch="50") as small:
        problems = _problems(Predictor(f"http://127.0.0.1:{small.port}"), *[WELL] * BATCH)
    assert problems == [Problem(None, "instances", "must be an array of 1 to 50 records")]


def test_a_card_comes_with_the_digest_of_its_bytes(predictor: Predictor) -> None:
    card = predictor.card()
    raw = (artifact() / "card.json").read_bytes()
    assert card == {**json.loads(raw), "digest": f"sha256:{hashlib.sha256(raw).hexdigest()}"}


def test_the_card_of_a_candidate_is_the_one_that_is_compared(tmp_path: Path) -> None:
    variant = write_variant(tmp_path / "v2")
    with ServerProcess(candidate=str(variant), rollout_id="0123456789ab") as both:
        pod = Predictor(both.url)
        counted = json.loads(urllib3.request("GET", f"{both.url}/rollout").data)
        for card, role in ((pod.card(), "stable"), (pod.card(candidate=True), "candidate")):
            assert card["digest"] == counted[role]["digest"]
            assert card["model_version"] == counted[role]["version"]


def test_a_server_without_a_candidate_has_no_card_of_one(predictor: Predictor) -> None:
    with pytest.raises(PluginError, match=r"^error: the predictor answers HTTP 404: "):
        predictor.card(candidate=True)


def test_nobody_there_is_an_error_in_words() -> None:
    with pytest.raises(PluginError, match="the connection to the predictor broke"):
        Predictor("http://127.0.0.1:9").predict(WELL)
