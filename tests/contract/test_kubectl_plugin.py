"""What the kubectl plug-in says about the operator and the CRD is what they are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from packaging.requirements import Requirement
from unit.kubectl import bodies
from unit.operator import builders

from riskpredictor_kubectl import model_change, names, undo
from riskpredictor_kubectl.model_change import Change, Evidence, Gate, Model
from riskpredictor_kubectl.predictor import BATCH
from riskpredictor_kubectl.remedies import REASONS, findings
from riskpredictor_kubectl.rollout_report import GATES
from riskpredictor_operator.core import api, reasons
from riskpredictor_operator.core.change import state as states
from riskpredictor_operator.core.change.evidence import Counts
from riskpredictor_operator.core.change.gates import GateResult
from riskpredictor_operator.core.change.record import Record, Who, to_fields
from riskpredictor_operator.core.change.state import Snapshot, State
from riskpredictor_operator.core.release import Release
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.kube import Key, path_of
from riskpredictor_server.settings import Settings
from support.cluster import ROOT

PACKAGE = ROOT / "tools" / "kubectl"


def test_every_reason_of_the_operator_is_explained_and_no_other() -> None:
    constants = {name: value for name, value in vars(reasons).items() if name.isupper()}
    known = {value for value in constants.values() if isinstance(value, str)}
    assert set(REASONS) == known
    nothing_to_do = {name for name, advice in REASONS.items() if not advice["steps"]}
    assert nothing_to_do == {
        "Ready", "PodsAvailable", "ScalingActive", "GatesPassed", "StepReached", "RolloutPromoted",
        "RolloutReverted", "Superseded",
    }  # fmt: skip


def test_the_names_are_the_operators() -> None:
    crd = yaml.safe_load((ROOT / "crds/riskpredictors.yaml").read_text())
    assert crd["metadata"]["name"] == names.RESOURCE
    assert api.RISKPREDICTOR.api_version == names.API_VERSION
    assert (api.KIND, api.LABEL_PREDICTOR, api.LABEL_MODEL_VERSION, api.CONTAINER) == (
        names.KIND, names.LABEL, names.LABEL_MODEL_VERSION, names.CONTAINER,
    )  # fmt: skip
    assert (
        names.LABEL_CANDIDATE_VERSION, names.ANNOTATION_ABORT, names.ANNOTATION_CHANGE_REF,
    ) == (api.LABEL_CANDIDATE_VERSION, api.ANNOTATION_ABORT, api.ANNOTATION_CHANGE_REF)  # fmt: skip
    for ours, theirs in (
        (names.PREDICTORS, api.RISKPREDICTOR), (names.DEPLOYMENTS, api.DEPLOYMENT),
        (names.SERVICES, api.SERVICE), (names.AUTOSCALERS, api.AUTOSCALER), (names.PODS, api.POD),
    ):  # fmt: skip
        assert names.path(ours, "ward", "risk") == path_of(theirs, Key("ward", "risk"))


def _status() -> dict[str, Any]:
    """The schemas of the status."""
    crd = yaml.safe_load((ROOT / "crds/riskpredictors.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = schema["properties"]["status"]["properties"]
    return found


def _names(schema: dict[str, Any]) -> Iterator[str]:
    for name, inner in (schema.get("properties") or {}).items():
        yield name
        yield from _names(inner.get("items") or inner)


STATE = State(
    id="0123456789ab",
    phase=states.CANARY,
    percent=10.0,
    stable=Release("v1", "risk:v1", None),
    candidate=Release("v2", "risk:v2", None),
    digest="sha256:2",
    policy_digest="sha256:c",
    generation=3,
    started_at=bodies.CREATED,
    step_started_at=bodies.LATER,
    deadline_at=bodies.LATER,
    step_pairs=4,
    snapshot=Snapshot(Counts(((5, 1), (2, 3)), 1, 2, 3), 2, bodies.LATER),
    levels=("Low", "High"),
    gates=(GateResult("Downgrade", "Passed", "a", "b", "c"),),
    cases_digest="sha256:d",
    reason="RolloutAborted",
    message="why",
)
"""A change as the operator remembers it, with a value for every field."""


def test_a_change_is_read_as_the_operator_writes_it() -> None:
    predictor = bodies.predictor()
    predictor["status"]["rollout"] = states.to_document(STATE)
    change = model_change.current(predictor)
    assert change == Change(
        state="Canary", before=Model("v1", "", "risk:v1"), after=Model("v2", "sha256:2", "risk:v2"),
        id="0123456789ab", step="Canary 10%", percent=10.0, started=bodies.CREATED,
        step_started=bodies.LATER, step_pairs=4, deadline=bodies.LATER,
        evidence=Evidence(11, ((5, 1), (2, 3)), ("Low", "High"), 3, 2, 1, 2, bodies.LATER),
        gates=(Gate("Downgrade", "Passed", "a", "b", "c"),), cases="sha256:d",
        policy_digest="sha256:c", generation=3, reason="RolloutAborted", message="why",
    )  # fmt: skip


def test_one_that_has_ended_is_read_as_the_operator_writes_it() -> None:
    policy = {"strategy": "Progressive", "retry": "again", "approval": {"digest": STATE.digest}}
    rp = parse(builders.predictor(rollout=policy))
    record = Record().ended("Aborted", STATE, rp, Who("argocd", "CHG-1"), bodies.LATER)
    predictor = bodies.predictor()
    predictor["status"] |= to_fields(record)
    (change,) = model_change.past(predictor)
    assert (change.state, change.ended, change.reason) == (
        "Aborted", bodies.LATER, "RolloutAborted",
    )  # fmt: skip
    assert (change.before, change.after) == (Model("v1"), Model("v2", "sha256:2", "risk:v2"))
    assert (change.manager, change.change_ref, change.retry) == ("argocd", "CHG-1", "again")
    assert (change.approval, change.generation, change.cases) == ("sha256:2", 3, "sha256:d")
    assert (change.evidence.pairs, len(change.gates)) == (11, 1)


def test_the_phases_are_the_operators() -> None:
    names_of = ("SHADOW", "CANARY", "AWAITING_APPROVAL", "PROMOTING", "ABORTED", "OBSERVING")
    for name in names_of:
        assert getattr(model_change, name) == getattr(states, name)
        change = Change(getattr(states, name), Model(), Model())
        assert change.is_running is (change.state in states.RUNNING)


@pytest.mark.parametrize("field", ["rollout", "history"])
def test_what_is_read_of_a_change_of_the_model_is_what_a_status_can_hold(field: str) -> None:
    """A field of another name would be read as empty, and never be missed."""
    schema = _status()[field]
    body = bodies.rollout(reason="", message="", cases={"digest": ""})
    if field == "history":
        body = bodies.entry(reason="", message="", approval="", retry="")
        schema = schema["items"]
    jsonschema.validate(body, schema)
    assert set(body) <= set(_names(schema))


def test_every_gate_and_outcome_is_explained() -> None:
    gate = _status()["history"]["items"]["properties"]["gates"]["items"]["properties"]["name"]
    said = set(re.findall(r"[A-Z]\w+", gate["description"]))
    assert said == set(GATES)


def test_the_variables_of_a_candidate_are_the_operators() -> None:
    assert undo.ENV_CANDIDATE == api.CANDIDATE_ENV


def test_a_request_has_no_more_records_than_a_server_takes() -> None:
    assert Settings().max_batch >= BATCH


def test_the_package_needs_what_it_declares_and_nothing_else() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"]
    imported = set()
    for path in (PACKAGE / "riskpredictor_kubectl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    foreign = imported - sys.stdlib_module_names - {"riskpredictor_kubectl"}
    names_of = {"yaml": "pyyaml", "riskpredictor_server": "riskpredictor-server"}
    assert {names_of.get(name, name) for name in foreign} == {
        Requirement(text).name for text in declared + project["optional-dependencies"]["model"]
    }
    listed = (PACKAGE / "requirements.in").read_text().splitlines()
    assert sorted(line for line in listed if not line.startswith("#")) == sorted(declared)


def test_the_wheel_has_all_that_runs(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", f"--wheel-dir={tmp_path}", str(PACKAGE)],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    package = PACKAGE / "riskpredictor_kubectl"
    sources = {str(p.relative_to(PACKAGE)) for s in ("py", "json") for p in package.rglob(f"*.{s}")}
    assert "riskpredictor_kubectl/reasons.json" in sources
    assert sources <= set(inside)
    (points,) = [name for name in inside if name.endswith("entry_points.txt")]
    text = zipfile.ZipFile(wheel).read(points).decode()
    assert "kubectl-riskpredictor = " in text
    assert "kubectl_complete-riskpredictor = " in text


def test_a_status_without_ready_is_no_reason_to_fail() -> None:
    body = {"metadata": {"name": "risk", "namespace": "ward", "generation": 1}, "spec": {}}
    (finding,) = findings(body)
    assert finding.commands
