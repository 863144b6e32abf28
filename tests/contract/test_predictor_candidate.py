"""Two artifact folders and one server process: a roll-out without Kubernetes."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.predictor.candidates import ROLLOUT, lower, patients, variant
from unit.predictor.support import HEALTHY, SICK, ServerProcess, artifact

from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.comparison import Comparison
from support.rawhttp import Answer

PATIENTS = patients(1000)


def server(folder: Path, **environment: Any) -> ServerProcess:
    return ServerProcess(candidate=str(folder), rollout_id=ROLLOUT, **environment)


def rollout(process: ServerProcess) -> Any:
    return json.loads(process.get("/rollout").body)


@pytest.fixture(scope="module")
def canary() -> Iterator[ServerProcess]:
    with server(
        lower(), candidate_percent="10", subject_header="X-Subject-Key", audit_log="on"
    ) as process:
        yield process


def ask(process: ServerProcess, record: Any, subject: str) -> Answer:
    request = urllib.request.Request(
        f"{process.url}/predict",
        json.dumps(record).encode(),
        {"Content-Type": "application/json", "X-Subject-Key": subject},
    )
    with urllib.request.urlopen(request, timeout=15) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, response.read())


def test_a_canary_answers_its_share_and_every_pair_is_counted(canary: ServerProcess) -> None:
    offline = Comparison(load(artifact()), load(lower()))
    offline.compare(tuple(record.values()) for record in PATIENTS)
    versions = []
    for number, record in enumerate(PATIENTS):
        answer = ask(canary, record, f"subject-{number}")
        body = json.loads(answer.body)
        assert answer.headers["x-model-version"] == body["model_version"]
        versions.append(body["model_version"])
    found = rollout(canary)
    assert found["id"] == ROLLOUT
    assert found["percent"] == 10
    assert found["candidate"]["state"] == "Comparing"
    assert found["matrix"] == offline.matrix
    assert found["pairs"] == len(PATIENTS)
    answered = versions.count("v2-under")
    assert found["answers"] == {"stable": len(PATIENTS) - answered, "candidate": answered}
    sigma = math.sqrt(len(PATIENTS) * 0.1 * 0.9)
    assert abs(answered + found["withheld"] - 100) <= 3 * sigma
    assert found["withheld"] > 0
    # The audit log is read at the end of the process; /rollout and metrics name no subject.
    told = canary.get("/rollout").body + canary.get("/metrics").body
    assert b"subject-1" not in told


def test_state_card_and_files_are_served_beside_the_stable_ones(canary: ServerProcess) -> None:
    assert json.loads(canary.get("/model").body)["model_version"] == "v1"
    assert json.loads(canary.get("/model/candidate").body)["model_version"] == "v2-under"
    for path, folder in (("/model/files", artifact()), ("/model/candidate/files", lower())):
        assert canary.get(f"{path}/card.json").body == (folder / "card.json").read_bytes()


@pytest.mark.parametrize("kind", ["missing", "damaged", "not fetched"])
def test_a_candidate_that_cannot_be_used_leaves_the_server_ready(kind: str, tmp_path: Path) -> None:
    reason = "ModelRejected"
    if kind == "missing":
        reason = "ModelNotFound"
    elif kind == "damaged":
        (tmp_path / "card.json").write_text("{")
    else:
        reason = "ModelDigestMismatch"
        (tmp_path / "ERROR").write_text(json.dumps({"reason": reason, "message": "another"}))
    folder = tmp_path / "none" if kind == "missing" else tmp_path
    with server(folder, candidate_percent="100") as process:
        assert process.get("/ready").status == 200
        answer = process.post("/predict", SICK)
        assert answer.headers["x-model-version"] == "v1"
        found = rollout(process)
        assert found["candidate"]["state"] == "Unusable"
        assert found["candidate"]["reason"] == reason
        assert found["candidate"]["message"]


@pytest.mark.parametrize("percent", ["-1", "101", "ten"])
def test_a_wrong_setting_ends_the_start_with_its_name(percent: str) -> None:
    process = server(variant(), candidate_percent=percent)
    assert process.process.wait(30) == 2
    assert f"RISKPREDICTOR_CANDIDATE_PERCENT={percent}: must be a number" in process.log()
    process.__exit__()


def test_the_stable_version_can_be_asked_for_by_name(canary: ServerProcess) -> None:
    tensor = {"name": "v", "shape": [1, 4], "datatype": "FP64", "data": list(HEALTHY.values())}
    for version in ("v1", "v2-under"):
        path = f"/v2/models/riskpredictor/versions/{version}/infer"
        answer = canary.post(path, {"inputs": [tensor]})
        assert json.loads(answer.body)["model_version"] == version
        assert answer.headers["x-model-version"] == version
