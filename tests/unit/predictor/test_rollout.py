"""A candidate beside the stable model, asked through the ASGI application and through Flask."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from unit.predictor.candidates import (
    OUTCOMES,
    Broken,
    call,
    higher,
    lower,
    patients,
    scoring_with,
    variant,
    with_candidate,
    write_variant,
)
from unit.predictor.recorded import INFERENCES, RECORDS
from unit.predictor.support import HEALTHY, SICK, artifact, service

from riskpredictor_server.api.service import Service
from riskpredictor_server.asgi import Application
from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.comparison import Comparison
from riskpredictor_server.web.app import create_app
from support import foreign_model

PATIENTS = patients(1000)
INFER = "/v2/models/riskpredictor/infer"
SUBJECT = "X-Subject-Key"


def ask(serving: Service, body: Any, subject: str = "") -> dict[str, Any]:
    reply = serving.predict(orjson.dumps(body), "application/json", "r-1", subject.encode())
    assert reply.status == 200
    answer: dict[str, Any] = orjson.loads(reply.body)
    given = dict(reply.headers).get("X-Model-Version")
    assert given == (None if answer["model_version"] == "v1" else answer["model_version"])
    return answer


def state(serving: Service) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(serving.rollout_state("r-1").body)
    return found


def counts(serving: Service) -> tuple[int, int]:
    answers = state(serving)["answers"]
    return answers["stable"], answers["candidate"]


# What clients get


def test_the_one_that_answers_is_named_in_header_and_body_and_explains_itself() -> None:
    serving = with_candidate(higher(), candidate_percent=100.0)
    model = load(higher())
    answer = ask(serving, HEALTHY)
    values = tuple(HEALTHY.values())
    probabilities, shares = model.scorer.score(values)
    assert answer["model_version"] == "v2-over"
    assert list(answer["probabilities"].values()) == list(probabilities)
    assert list(answer["contributions"].values()) == list(shares or ())
    batch = ask(serving, {"instances": [HEALTHY, SICK]})
    assert batch["model_version"] == "v2-over"
    assert [row["model_version"] for row in batch["predictions"]] == ["v2-over"] * 2
    assert batch["predictions"][0] | {"request_id": "r-1"} == answer


def test_both_servers_name_it_once() -> None:
    serving = with_candidate(candidate_percent=100.0)
    body = json.dumps(HEALTHY).encode()
    _, headers, answer = asyncio.run(call(Application(serving), "POST", "/predict", body))
    assert headers[b"x-model-version"] == b"v2"
    assert headers[b"x-served-by"] == b"pod-1"
    flask = create_app(serving).test_client()
    reply = flask.post("/predict", json=HEALTHY, headers={"X-Request-Id": "r-1"})
    assert reply.headers.getlist("X-Model-Version") == ["v2"]
    assert reply.data == answer


def test_both_servers_read_the_subject_header() -> None:
    serving = with_candidate(candidate_percent=50.0, subject_header=SUBJECT, guard="None")
    application, flask = Application(serving), create_app(serving).test_client()
    body = json.dumps(HEALTHY).encode()
    found = set()
    for number in range(40):
        key = f"ward-é-{number}".encode("latin-1")
        lines = [(SUBJECT.lower().encode(), key)]
        _, headers, _ = asyncio.run(call(application, "POST", "/predict", body, lines))
        reply = flask.post("/predict", json=HEALTHY, headers={SUBJECT: key.decode("latin-1")})
        version = headers[b"x-model-version"].decode()
        assert reply.headers["X-Model-Version"] == version
        found.add(version)
    assert found == {"v1", "v2"}


def test_warnings_are_of_the_one_that_answers(tmp_path: Path) -> None:
    def narrow(card: dict[str, Any], _form: dict[str, Any]) -> None:
        card["features"][0]["trained_on"]["maximum"] = 80

    folder = write_variant(tmp_path / "v2", change=narrow)
    (warning,) = ask(with_candidate(folder, candidate_percent=100.0), HEALTHY)["warnings"]
    assert warning["trained_on"]["maximum"] == 80
    assert ask(with_candidate(folder), HEALTHY)["warnings"] == []


def test_a_candidate_with_more_and_reordered_features_scores_the_same_record(
    tmp_path: Path,
) -> None:
    def grow(card: dict[str, Any], _form: dict[str, Any]) -> None:
        more = dict(card["features"][0], name="lactate", required=False, fill=None, units={})
        for key in ("unit", "unit_label"):
            more.pop(key, None)
        card["features"] = [more, *card["features"][::-1]]

    folder = write_variant(tmp_path / "v2", change=grow)
    serving = with_candidate(folder, candidate_percent=100.0)
    assert state(serving)["candidate"]["state"] == "Comparing"
    answer = ask(serving, SICK)
    values = tuple(SICK.values())
    expected = load(artifact()).scorer.score(values).probabilities
    assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-12)
    assert [warning["field"] for warning in answer["warnings"]] == ["lactate"]
    published = orjson.loads(serving.openapi("r-1").body)
    schema = {"$ref": "#/components/schemas/Prediction", "components": published["components"]}
    assert list(Draft202012Validator(schema).iter_errors(answer)) == []
    tensor = {"name": "v", "shape": [1, 4], "datatype": "FP64", "data": list(SICK.values())}
    body = orjson.dumps({"inputs": [tensor]})
    reply = create_app(serving).test_client().post(INFER, data=body)
    outputs = {each["name"]: each for each in reply.get_json()["outputs"]}
    assert outputs["contributions"]["shape"] == [1, 5]
    assert len(outputs["contributions"]["data"]) == 5


# Assignment


def test_records_are_assigned_by_the_exact_share_and_stick() -> None:
    records = patients(5000, seed=7)
    found = []
    for percent in (10.0, 50.0):
        serving = with_candidate(candidate_percent=percent, guard="None", sample=0.0)
        by = [ask(serving, record)["model_version"] for record in records]
        share = percent / 100
        sigma = math.sqrt(len(records) * share * (1 - share))
        assert abs(by.count("v2") - len(records) * share) <= 3 * sigma
        assert counts(serving) == (by.count("v1"), by.count("v2"))
        again = with_candidate(candidate_percent=percent, guard="None")
        assert [ask(again, record)["model_version"] for record in records[:500]] == by[:500]
        found.append({index for index, version in enumerate(by) if version == "v2"})
    assert found[0] < found[1]


def test_a_subject_stays_with_one_model_whatever_its_record() -> None:
    serving = with_candidate(candidate_percent=50.0, guard="None", subject_header=SUBJECT)
    versions = set()
    for subject in map(str, range(20)):
        found = {ask(serving, record, subject)["model_version"] for record in PATIENTS[:10]}
        assert len(found) == 1
        versions |= found
    assert versions == {"v1", "v2"}


def test_a_batch_is_assigned_as_one_by_its_subject_else_by_its_first_record() -> None:
    serving = with_candidate(candidate_percent=50.0, guard="None", subject_header=SUBJECT)
    for first in range(20):
        rows = PATIENTS[first : first + 10]
        alone = ask(serving, rows[0])["model_version"]
        assert ask(serving, {"instances": rows})["model_version"] == alone
        assigned = ask(serving, rows[0], "a")["model_version"]
        assert ask(serving, {"instances": rows}, "a")["model_version"] == assigned


def test_only_the_sample_is_compared_but_the_share_that_is_answered_is_exact() -> None:
    serving = with_candidate(sample=20.0)
    for record in PATIENTS:
        ask(serving, record)
    assert abs(state(serving)["pairs"] - 200) <= 3 * math.sqrt(1000 * 0.2 * 0.8)
    serving = with_candidate(sample=0.0, candidate_percent=50.0, guard="None")
    versions = [ask(serving, record)["model_version"] for record in PATIENTS]
    assert state(serving)["pairs"] == versions.count("v2") > 0


# Pairs


@pytest.mark.parametrize("percent", [0.0, 50.0])
def test_the_matrix_of_distinct_records_is_that_of_an_offline_comparison(percent: float) -> None:
    serving = with_candidate(lower(), candidate_percent=percent)
    for record in PATIENTS[:500]:
        ask(serving, record)
    ask(serving, {"instances": PATIENTS[300:]})
    offline = Comparison(load(artifact()), load(lower()))
    offline.compare(tuple(record.values()) for record in PATIENTS)
    assert state(serving)["matrix"] == offline.matrix
    assert state(serving)["pairs"] == 1000


def test_one_record_counts_once_whoever_sends_it_however_written() -> None:
    serving = with_candidate(subject_header=SUBJECT)
    for number in range(200):
        ask(serving, HEALTHY, str(number))
    ask(serving, {name: float(value) for name, value in HEALTHY.items()})
    ask(serving, HEALTHY | {"temperature": 37.0, "temperature_unit": "C"})
    ask(serving, {"instances": [HEALTHY] * 10})
    found = state(serving)
    assert found["pairs"] == 1
    assert found["answers"] == {"stable": 212, "candidate": 0}


# Guard


def test_the_guard_keeps_a_level_from_being_lowered_and_counts_it() -> None:
    serving = with_candidate(lower(), candidate_percent=100.0)
    answer = ask(serving, SICK)
    assert (answer["model_version"], answer["risk_level"]) == ("v1", "High")
    assert ask(serving, HEALTHY)["model_version"] == "v2-under"
    found = state(serving)
    assert (found["withheld"], found["answers"]) == (1, {"stable": 1, "candidate": 1})
    assert sum(found["matrix"][2][:2]) == 1


def test_one_record_that_would_be_lowered_keeps_the_whole_batch() -> None:
    serving = with_candidate(lower(), candidate_percent=100.0)
    answer = ask(serving, {"instances": [HEALTHY, SICK, HEALTHY]})
    assert answer["model_version"] == "v1"
    assert {row["model_version"] for row in answer["predictions"]} == {"v1"}
    found = state(serving)
    assert (found["withheld"], found["answers"]) == (1, {"stable": 3, "candidate": 0})


def test_the_guard_goes_by_the_levels_that_the_models_declare(tmp_path: Path) -> None:
    stable = foreign_model.write(tmp_path / "v1", "v1")
    # Says Moderate, the second of four, of everybody.
    form = {**foreign_model.FORM, "intercepts": [0.0, 90.0, 0.0, 0.0]}
    examples = [{"title": "Well", "record": foreign_model.WELL}]
    folder = foreign_model.write_artifact(
        tmp_path / "v2", foreign_model.FEATURES, form, "v2", examples
    )
    serving = with_candidate(folder, model=stable, candidate_percent=100.0)
    well, ill = foreign_model.WELL, foreign_model.ILL
    assert ask(serving, well)["risk_level"] == "Moderate"
    assert ask(serving, ill)["risk_level"] == "Very high"
    assert ask(serving, {"instances": [well, ill]})["model_version"] == "v1"
    found = state(serving)
    assert found["matrix"] == [[0, 1, 0, 0], [0] * 4, [0] * 4, [0, 1, 0, 0]]
    assert (found["withheld"], found["answers"]) == (2, {"stable": 3, "candidate": 1})


def test_a_level_may_be_raised_and_without_the_guard_lowered() -> None:
    assert ask(with_candidate(higher(), candidate_percent=100.0), HEALTHY)["risk_level"] == "High"
    serving = with_candidate(lower(), candidate_percent=100.0, guard="None")
    answer = ask(serving, SICK)
    assert (answer["model_version"], answer["risk_level"] == "High") == ("v2-under", False)
    assert state(serving)["withheld"] == 0


# Faults


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_fault_costs_nothing_and_the_third_switches_the_candidate_off(name: str) -> None:
    broken = Broken(OUTCOMES[name])
    with scoring_with(broken):
        serving = with_candidate(candidate_percent=100.0)
    expected = ask(service(), HEALTHY)
    for _ in range(2):
        assert ask(serving, HEALTHY) == expected
    assert state(serving)["candidate"]["state"] == "Comparing"
    assert ask(serving, {"instances": [HEALTHY]})["model_version"] == "v1"
    assert ask(serving, HEALTHY) == expected
    found = state(serving)
    assert found["candidate"]["state"] == "SwitchedOff"
    assert sum(found["errors"].values()) == broken.asked == 3
    assert (found["pairs"], found["answers"]) == (0, {"stable": 4, "candidate": 0})
    page = serving.exposition().body.decode()
    assert "riskpredictor_candidate_switched_off 1\n" in page
    reply = (
        create_app(serving)
        .test_client()
        .post("/v2/models/riskpredictor/versions/v2/infer", json=INFERENCES[0])
    )
    assert reply.status_code == 503
    assert "switched off" in reply.get_json()["detail"]


_REQUESTS = [("/predict", body) for body in RECORDS] + [(INFER, body) for body in INFERENCES]
_KINDS = ["same", "lower", "higher", "none", *OUTCOMES]


def _application(kind: str | None) -> Application:
    if kind is None:
        return Application(service(keepalive_requests=0))
    folders = {"lower": lower(), "higher": higher(), "none": Path("/nowhere")}
    changes: dict[str, Any] = {"subject_header": SUBJECT, "keepalive_requests": 0}
    if kind not in OUTCOMES:
        return Application(with_candidate(folders.get(kind), **changes))
    with scoring_with(Broken(OUTCOMES[kind])):
        return Application(with_candidate(**changes))


@given(
    kind=st.sampled_from(_KINDS),
    requests=st.lists(st.sampled_from(_REQUESTS), min_size=1, max_size=8),
    subject=st.binary(max_size=8),
)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_at_0_percent_answers_are_to_the_byte_those_without_a_candidate(
    kind: str, requests: list[tuple[str, Any]], subject: bytes
) -> None:
    one, other = _application(None), _application(kind)
    lines = [(SUBJECT.lower().encode(), subject)]
    for path, body in requests:
        data = orjson.dumps(body) if type(body) is not dict else json.dumps(body).encode()
        expected = asyncio.run(call(one, "POST", path, data, lines))
        assert asyncio.run(call(other, "POST", path, data, lines)) == expected


# The Open Inference Protocol


def test_the_version_in_a_path_asks_that_model_and_counts_no_pair() -> None:
    serving = with_candidate(higher())
    flask = create_app(serving).test_client()
    for version in ("v1", "v2-over"):
        reply = flask.post(f"/v2/models/riskpredictor/versions/{version}/infer", json=INFERENCES[0])
        assert reply.get_json()["model_version"] == version
        assert reply.headers.getlist("X-Model-Version") == [version]
        metadata = flask.get(f"/v2/models/riskpredictor/versions/{version}").get_json()
        assert metadata["versions"] == ["v1", "v2-over"]
    found = state(serving)
    assert found["answers"]["candidate"] == 0
    assert flask.get("/v2/models/riskpredictor").get_json()["versions"] == ["v1", "v2-over"]
    reply = flask.post("/v2/models/riskpredictor/versions/v9/infer", json=INFERENCES[0])
    assert reply.status_code == 404
    assert reply.get_json()["detail"] == "there is no version 'v9', only 'v1' and 'v2-over'"


def test_the_version_of_the_stable_model_is_never_answered_by_the_candidate() -> None:
    serving = with_candidate(higher(), candidate_percent=100.0)
    flask = create_app(serving).test_client()
    reply = flask.post("/v2/models/riskpredictor/versions/v1/infer", json=INFERENCES[0])
    assert reply.get_json()["model_version"] == "v1"
    assert reply.headers["X-Model-Version"] == "v1"
    assert state(serving)["pairs"] == 0


def test_without_a_version_it_is_assigned_as_a_batch() -> None:
    serving = with_candidate(higher(), candidate_percent=100.0)
    reply = create_app(serving).test_client().post(INFER, json=INFERENCES[0])
    assert reply.get_json()["model_version"] == "v2-over"
    assert reply.headers.getlist("X-Model-Version") == ["v2-over"]
    assert state(serving)["answers"] == {"stable": 0, "candidate": 2}


# What is told


def test_without_a_candidate_the_state_says_so_and_no_metric_is_there() -> None:
    serving = service()
    found = state(serving)
    assert len(found.pop("instance")) == 16
    assert found == {
        "id": "",
        "percent": 0.0,
        "sample": 100.0,
        "guard": "NeverLower",
        "levels": ["Low", "Medium", "High"],
        "stable": {"version": "v1", "digest": f"sha256:{load(artifact()).card_digest}"},
        "candidate": None,
        "pairs": 0,
        "matrix": [[0, 0, 0]] * 3,
        "answers": {"stable": 0, "candidate": 0},
        "withheld": 0,
        "errors": {"raised": 0, "invalid": 0, "slow": 0},
        "cases": None,
        "brier": {"stable": load(artifact()).card["metrics"]["brier"], "candidate": None},
    }
    page = serving.exposition().body.decode()
    for word in ("role", "candidate", "shadow", "withheld", "answers_total"):
        assert word not in page
    flask = create_app(serving).test_client()
    assert flask.get("/model/candidate").status_code == 404
    assert flask.get("/model/candidate/files/card.json").status_code == 404


def test_two_processes_have_instances_of_their_own() -> None:
    assert state(service())["instance"] != state(service())["instance"]


def test_the_state_is_told_while_the_server_drains() -> None:
    serving = with_candidate()
    serving.draining = True
    assert state(serving)["candidate"]["state"] == "Comparing"


def test_card_and_files_of_the_candidate() -> None:
    flask = create_app(with_candidate()).test_client()
    assert flask.get("/model/candidate").get_json()["model_version"] == "v2"
    for name in ("card.json", "scorer.json"):
        data = (variant() / name).read_bytes()
        assert flask.get(f"/model/candidate/files/{name}").data == data
    reply = flask.get("/model/candidate/files/passwd")
    assert reply.status_code == 404
    missing = create_app(with_candidate(Path("/nowhere"))).test_client()
    assert "/nowhere is not there" in missing.get("/model/candidate").get_json()["detail"]


def test_metrics_name_roles_levels_and_kinds() -> None:
    serving = with_candidate(lower(), candidate_percent=100.0)
    ask(serving, SICK)
    ask(serving, HEALTHY)
    page = serving.exposition().body.decode()
    named = f'model_version="v2-under",digest="{load(lower()).digest}",role="candidate"'
    for line in (
        f"riskpredictor_model_info{{{named}}} 1",
        'riskpredictor_shadow_pairs_total{stable="Low",candidate="Low"} 1',
        'riskpredictor_answers_total{role="stable"} 1',
        'riskpredictor_answers_total{role="candidate"} 1',
        'riskpredictor_candidate_errors_total{kind="slow"} 0',
        "riskpredictor_withheld_total 1",
        "riskpredictor_candidate_switched_off 0",
    ):
        assert f"{line}\n" in page
    assert page.count("# TYPE riskpredictor_model_info gauge") == 1


def test_the_hospitals_cases_are_scored_by_the_candidate(tmp_path: Path) -> None:
    cases = [
        {"name": "septic shock", "input": SICK, "level": "High"},
        {"name": "well", "input": HEALTHY, "level": "Low"},
    ]
    (tmp_path / "cases.json").write_text(json.dumps({"cases": cases}))
    found = state(with_candidate(lower(), cases=str(tmp_path)))["cases"]
    assert found["passed"] == 1
    assert found["digest"].startswith("sha256:")
    assert [name.split(":")[0] for name in found["failed"]] == ["septic shock"]
    missing = state(with_candidate(cases=str(tmp_path / "none")))["cases"]
    assert missing == {"digest": "", "passed": 0, "failed": []}


def test_cases_that_come_later_are_found_and_scored_once(tmp_path: Path) -> None:
    """A pod may start before its ConfigMap is there; one that changes later is not read again."""
    serving = with_candidate(cases=str(tmp_path))
    assert state(serving)["cases"]["digest"] == ""
    case = {"name": "well", "input": HEALTHY, "level": "Low"}
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [case]}))
    found = state(serving)["cases"]
    assert (found["passed"], found["failed"]) == (1, [])
    (tmp_path / "cases.json").write_text("no JSON")
    assert state(serving)["cases"] == found


def test_failed_cases_never_make_the_state_too_large_to_be_read(tmp_path: Path) -> None:
    cases = [
        {"name": f"{number} " + "\u0001" * 95, "input": {"heart_rate": 80}, "level": "High"}
        for number in range(1000)
    ]
    (tmp_path / "cases.json").write_text(json.dumps({"cases": cases}))
    many = tmp_path / "many"
    many.mkdir()
    for number in range(1000):
        (many / f"{number}-{'a' * 200}.json").touch()
    for folder, count in ((tmp_path, 20), (many, 1)):
        found = state(with_candidate(cases=str(folder)))["cases"]["failed"]
        assert len(found) == count
        assert max(map(len, found)) <= 256


@pytest.mark.parametrize("brier", [-0.1, True, "0.1", [0.1], None])
def test_what_is_no_brier_score_on_a_card_is_not_told_as_one(brier: Any, tmp_path: Path) -> None:
    def write(card: dict[str, Any], _form: dict[str, Any]) -> None:
        card["metrics"] = {"brier": brier}

    folder = write_variant(tmp_path / "v2", change=write)
    found = state(with_candidate(folder))
    assert found["candidate"]["state"] == "Comparing"
    assert found["brier"]["candidate"] is None


def test_audit_lines_have_both_models(capfd: pytest.CaptureFixture[str]) -> None:
    serving = with_candidate(lower(), candidate_percent=100.0, audit_log="on")
    ask(serving, SICK)
    ask(serving, {"instances": [HEALTHY]})
    flask = create_app(serving).test_client()
    flask.post("/v2/models/riskpredictor/versions/v2-under/infer", json=INFERENCES[0])
    serving.close()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if '"audit"' in line]
    one = {"model_version": "v1", "digest": load(artifact()).digest}
    other = {"model_version": "v2-under", "digest": load(lower()).digest}
    withheld, given, *explicit = lines
    assert withheld | one == withheld
    assert withheld["risk_level"] == "High"
    assert withheld["shadow"] | other == withheld["shadow"]
    assert withheld["shadow"]["risk_level"] != "High"
    assert given | other == given
    assert given["shadow"] == {**one, "risk_level": "Low"}
    assert all(line | other == line and "shadow" not in line for line in explicit)


def test_no_vitals_and_no_subject_are_told_or_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    record = HEALTHY | {"temperature": 99.123457}
    subject = "subject-marker"
    with scoring_with(Broken(ValueError(f"{tuple(record.values())} {subject}"))):
        serving = with_candidate(
            subject_header=SUBJECT, candidate_percent=50.0, audit_log="on", access_log="on"
        )
    good = with_candidate(subject_header=SUBJECT, candidate_percent=50.0, audit_log="on")
    lines = [(SUBJECT.lower().encode(), subject.encode())]
    with caplog.at_level(logging.DEBUG):
        for each in (serving, good):
            for _ in range(4):
                body = orjson.dumps(record)
                asyncio.run(call(Application(each), "POST", "/predict", body, lines))
            each.close()
    written = capfd.readouterr()
    told = written.out + written.err + caplog.text
    for each in (serving, good):
        told += each.rollout_state("").body.decode() + each.exposition().body.decode()
    assert "SwitchedOff" in told
    assert "99.123457" not in told
    assert subject not in told
