"""The files of deploy/gitops agree with each other and with what they repeat."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.operator.builders import schema, stored

from riskpredictor_operator.core.spec import parse
from support.api import RISKPREDICTOR
from support.cluster import ROOT
from support.helm import documents, kustomize
from support.repository import Repository

GITOPS = ROOT / "deploy" / "gitops"
EXAMPLE = GITOPS / "example"
ENVIRONMENTS = ("dev", "prod")


def _yaml(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(path.read_text())
    return body


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_flux_asks_for_health_in_the_example_as_in_the_shipped_kustomization(
    environment: str,
) -> None:
    example = _yaml(EXAMPLE / "flux" / f"{environment}.yaml")["spec"]
    shipped = _yaml(GITOPS / "flux" / "kustomization.yaml")["spec"]
    for field in ("healthCheckExprs", "wait", "prune"):
        assert example[field] == shipped[field]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_tools_deploy_the_environment_of_their_name(environment: str) -> None:
    application = _yaml(EXAMPLE / "argocd" / f"{environment}.yaml")
    kustomization = _yaml(EXAMPLE / "flux" / f"{environment}.yaml")
    folder = _yaml(EXAMPLE / environment / "kustomization.yaml")
    assert application["spec"]["source"]["path"] == environment
    assert kustomization["spec"]["path"] == f"./{environment}"
    assert application["spec"]["destination"]["namespace"] == folder["namespace"]
    source = _yaml(EXAMPLE / "flux" / "source.yaml")
    assert application["spec"]["source"]["repoURL"] == source["spec"]["url"]
    assert kustomization["spec"]["sourceRef"] == {
        "kind": source["kind"],
        "name": source["metadata"]["name"],
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_one_line_of_an_environment_names_the_version(environment: str) -> None:
    lines = [
        line
        for path in (EXAMPLE / environment).iterdir()
        for line in path.read_text().splitlines()
        if "modelVersion" in line
    ]
    assert len(lines) == 1
    assert "modelVersion" not in _yaml(EXAMPLE / "base" / "health-predictor.yaml")["spec"]


def test_git_leaves_the_number_of_pods_to_the_autoscaler() -> None:
    for path in EXAMPLE.rglob("health-predictor.yaml"):
        assert "replicas" not in _yaml(path)["spec"]


def test_the_network_policy_is_the_shipped_one() -> None:
    shipped = _yaml(ROOT / "deploy" / "policies" / "predictors.yaml")
    assert _yaml(EXAMPLE / "base" / "network-policy.yaml") == shipped


# A change of the model, commit by commit

DIGEST = f"sha256:{7:064x}"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository", EXAMPLE)


def _declared(repository: Repository, environment: str = "prod") -> Any:
    """The RiskPredictor that the last commit declares, as the operator reads it."""
    rendered = documents(kustomize(repository.folder / environment))
    (body,) = (body for body in rendered if body["kind"] == RISKPREDICTOR.kind)
    return parse(stored(body))


def test_only_production_compares_a_new_model_with_the_old_one(repository: Repository) -> None:
    assert not _declared(repository, "dev").rollout.progressive
    policy = _declared(repository).rollout
    assert policy.progressive
    assert policy.approval_required
    assert policy.approval_digest is None


def test_what_production_says_of_a_roll_out_has_the_last_word() -> None:
    """Whoever owns the model could else loosen the gates in the file of the model."""
    patches = _yaml(EXAMPLE / "prod" / "kustomization.yaml")["patches"]
    assert patches[-1] == {"path": "rollout.yaml"}
    declared = _yaml(EXAMPLE / "prod" / "rollout.yaml")["spec"]["rollout"]
    known = schema()["properties"]["spec"]["properties"]["rollout"]["properties"]
    assert set(declared) == set(known) - {"retry"}
    gates = set(known["gates"]["properties"])
    assert set(declared["gates"]) == gates - {"cases"}


def test_a_promotion_an_approval_and_a_revert_are_one_commit_each(repository: Repository) -> None:
    before = _declared(repository)
    repository.promote("prod", "v2")
    assert _declared(repository).rollout.digest == before.rollout.digest
    path = repository.folder / "prod" / "rollout.yaml"
    path.write_text(path.read_text().replace('digest: ""', f"digest: {DIGEST}"))
    repository.commit("Clinical safety approves v2")
    approved = _declared(repository)
    assert (approved.model_version, approved.rollout.approval_digest) == ("v2", DIGEST)
    assert approved.rollout.digest == before.rollout.digest, "an approval is no change of policy"
    repository.git("revert", "--no-edit", "HEAD~1")
    assert _declared(repository).model_version == "v1"


def test_the_changes_that_the_readme_shows_can_be_made(repository: Repository) -> None:
    shown = re.findall(
        r"^```diff\n(.*?)^```", (EXAMPLE / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(shown) == 2
    for number, patch in enumerate(shown):
        path = repository.folder.parent / f"{number}.diff"
        path.write_text(patch)
        repository.git("apply", "--unidiff-zero", str(path))
    found = _declared(repository)
    assert found.model_version == "v2"
    assert found.rollout.approval_digest


def _owner(path: str) -> str:
    """As GitHub and GitLab find it: the last line that fits."""
    lines = (EXAMPLE / "CODEOWNERS").read_text().splitlines()
    owner = ""
    for pattern, who in (line.split() for line in lines if line and not line.startswith("#")):
        glob = f"{pattern}*" if pattern.endswith("/") else pattern
        if fnmatch(f"/{path}", glob):
            owner = who
    return owner


def test_nobody_owns_both_the_model_and_its_approval() -> None:
    model, approval = _owner("prod/health-predictor.yaml"), _owner("prod/rollout.yaml")
    assert model
    assert model != approval
    guarded = ("prod/kustomization.yaml", "CODEOWNERS")
    assert {_owner(path) for path in guarded} == {approval}, "they could switch the approval off"


def test_every_line_about_owners_names_what_is_there() -> None:
    for line in (EXAMPLE / "CODEOWNERS").read_text().splitlines():
        pattern = line.split()[0]
        if pattern.startswith("/"):
            assert (EXAMPLE / pattern.strip("/")).exists(), pattern
