"""The example repository of deploy/gitops on a real API server, through commits in a real Git
repository; and what docs/GITOPS.md tells people to type."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key
from support import argocd, flux
from support.api import AUTOSCALER, NAMESPACE, RISKPREDICTOR, Api, Body, eventually
from support.audit import Mark
from support.cluster import ROOT, LocalCluster
from support.guide import shell
from support.predictors import Predictors
from support.repository import Repository

pytestmark = pytest.mark.usefixtures("operator", "_tidy")

EXAMPLE = ROOT / "deploy" / "gitops" / "example"
FOR_TOOLS = sorted(EXAMPLE.glob("argocd/*")) + sorted(EXAMPLE.glob("flux/*"))
GUIDE = (ROOT / "docs" / "GITOPS.md").read_text()
ENVIRONMENTS = ("dev", "prod")
EVERYTHING = (RISKPREDICTOR, *CHILDREN)
ALLOWED = "healthtech.dev/v1alpha1/RiskPredictor"

PRUNING = {
    "by label": "--prune --selector environment={0} --prune-allowlist=" + ALLOWED,
    "an ApplySet": "--prune --applyset=predictors --namespace predictors-{0}",
    "an ApplySet, server-side": (
        "--server-side --prune --applyset=predictors --namespace predictors-{0}"
    ),
}
"""What makes kubectl remove what Git no longer has."""


def _home(environment: str) -> str:
    return f"predictors-{environment}"


def _key(environment: str) -> Key:
    return Key(_home(environment), "health-predictor")


@pytest.fixture
def _tidy(api: Api) -> Iterator[None]:
    """The example's namespaces have fixed names: gone before the next test."""
    yield
    homes = [Key("", _home(environment)) for environment in ENVIRONMENTS]
    for home in homes:
        if api.get(NAMESPACE, home) is not None:
            api.delete(NAMESPACE, home)
    eventually(lambda: all(api.get(NAMESPACE, home) is None for home in homes), within=60)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository", EXAMPLE)


class Pipeline:
    """kubectl in the work tree of the repository, as a pipeline runs it."""

    def __init__(
        self, cluster: LocalCluster, repository: Repository, how: str = "by label"
    ) -> None:
        self._cluster = cluster
        self._folder = repository.folder
        self._pruning = PRUNING[how]

    def kubectl(self, arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._cluster.bin / "kubectl"), *shlex.split(arguments)]
        own = {"KUBECONFIG": str(self._cluster.kubeconfig), "KUBECTL_APPLYSET": "true"}
        return subprocess.run(
            command, cwd=self._folder, env={**os.environ, **own},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def apply(self, environment: str) -> dict[str, str]:
        """What became of each object, for example ``unchanged``."""
        done = self.kubectl(f"apply -k {environment} {self._pruning.format(environment)}")
        assert done.returncode == 0, done.stderr
        return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())

    def diff(self, environment: str) -> str:
        done = self.kubectl(f"diff -k {environment} {self._pruning.format(environment)}")
        assert done.returncode in (0, 1), done.stderr
        return done.stdout


def _second_predictor(repository: Repository, environment: str) -> None:
    """Commit another predictor of one environment."""
    folder = repository.folder / environment
    body = yaml.safe_load((folder / "health-predictor.yaml").read_text())
    body["metadata"]["name"] = "second"
    (folder / "second.yaml").write_text(yaml.safe_dump(body))
    path = folder / "kustomization.yaml"
    path.write_text(path.read_text().replace("  - ../base\n", "  - ../base\n  - second.yaml\n"))
    repository.commit("A second predictor")


def _versions(api: Api, key: Key) -> dict[str, tuple[int, str]]:
    found = {r.kind: api.need(r, key)["metadata"] for r in EVERYTHING}
    return {kind: (m.get("generation", 0), str(m["resourceVersion"])) for kind, m in found.items()}


def test_applying_an_environment_again_changes_nothing(
    cluster: LocalCluster, api: Api, repository: Repository
) -> None:
    pipeline = Pipeline(cluster, repository)
    for environment in ENVIRONMENTS:
        assert set(pipeline.apply(environment).values()) == {"created"}
    for environment in ENVIRONMENTS:
        Predictors(api, _home(environment)).settle(_key(environment))
    time.sleep(1.0)
    mark, before = Mark(cluster), [_versions(api, _key(each)) for each in ENVIRONMENTS]
    for environment in ENVIRONMENTS:
        assert set(pipeline.apply(environment).values()) == {"unchanged"}
        assert pipeline.diff(environment) == ""
    time.sleep(0.5)
    assert not any(mark.writes(_home(each)) for each in ENVIRONMENTS)
    assert [_versions(api, _key(each)) for each in ENVIRONMENTS] == before
    assert {found[RISKPREDICTOR.kind][0] for found in before} == {1}


@pytest.mark.parametrize("how", PRUNING)
def test_what_is_removed_from_git_is_pruned_with_its_children(
    cluster: LocalCluster, api: Api, repository: Repository, how: str
) -> None:
    pipeline, kept, gone = (
        Pipeline(cluster, repository, how),
        _key("dev"),
        Key(_home("dev"), "second"),
    )
    api.create(NAMESPACE, {"metadata": {"name": _home("dev")}})
    _second_predictor(repository, "dev")
    pipeline.apply("dev")
    predictors = Predictors(api, _home("dev"))
    for key in (kept, gone):
        predictors.wait(key)
    children = _versions(api, kept)
    repository.revert()
    assert pipeline.apply("dev")["riskpredictor.healthtech.dev/second"] == "pruned"
    eventually(lambda: all(api.get(r, gone) is None for r in EVERYTHING), within=60)
    assert _generations(_versions(api, kept)) == _generations(children)


def _generations(versions: dict[str, tuple[int, str]]) -> dict[str, int]:
    return {kind: generation for kind, (generation, _) in versions.items()}


def test_the_last_predictor_is_pruned_because_its_network_policy_stays(
    cluster: LocalCluster, api: Api, repository: Repository
) -> None:
    pipeline, key = Pipeline(cluster, repository), _key("dev")
    pipeline.apply("dev")
    Predictors(api, key.namespace).wait(key)
    for name, line in (("base", "  - health-predictor.yaml\n"),
                       ("dev", "patches:\n  - path: health-predictor.yaml\n")):  # fmt: skip
        path = repository.folder / name / "kustomization.yaml"
        assert line in path.read_text()
        path.write_text(path.read_text().replace(line, ""))
    repository.commit("No predictor")
    assert "-  name: health-predictor\n" in pipeline.diff("dev")
    pipeline.apply("dev")
    eventually(lambda: all(api.get(r, key) is None for r in EVERYTHING), within=60)


def test_a_version_is_promoted_from_dev_to_prod_where_it_is_a_candidate_and_reverted(
    cluster: LocalCluster, api: Api, repository: Repository
) -> None:
    pipeline = Pipeline(cluster, repository)
    for environment in ENVIRONMENTS:
        pipeline.apply(environment)
        assert _serves(api, environment) == "v1"
    prod = api.need(RISKPREDICTOR, _key("prod"))
    repository.promote("dev", "v2")
    for environment in ENVIRONMENTS:
        pipeline.apply(environment)
    assert (_serves(api, "dev"), _serves(api, "prod")) == ("v2", "v1")
    assert api.need(RISKPREDICTOR, _key("prod"))["metadata"]["generation"] == 1
    assert api.need(RISKPREDICTOR, _key("prod"))["metadata"]["uid"] == prod["metadata"]["uid"]
    repository.promote("prod", "v2")
    pipeline.apply("prod")
    found = _phase(api, "Shadow")
    assert found["status"]["servingVersion"] == "v1"
    assert found["status"]["rollout"]["candidate"]["version"] == "v2"
    repository.revert()
    pipeline.apply("prod")
    assert (_serves(api, "dev"), _serves(api, "prod")) == ("v2", "v1")
    assert "rollout" not in api.need(RISKPREDICTOR, _key("prod"))["status"]


def test_what_a_person_stopped_stays_so_until_git_is_reverted(
    cluster: LocalCluster, api: Api, repository: Repository
) -> None:
    pipeline, key = Pipeline(cluster, repository), _key("prod")
    pipeline.apply("prod")
    assert _serves(api, "prod") == "v1"
    repository.promote("prod", "v2")
    pipeline.apply("prod")
    named = _phase(api, "Shadow")["status"]["rollout"]["id"]
    cluster.kubectl(
        "-n", key.namespace, "annotate", f"rp/{key.name}", f"healthtech.dev/abort={named}"
    )
    predictors = Predictors(api, key.namespace)
    predictors.wait(key, status="False", reason="RolloutAborted")
    assert set(pipeline.apply("prod").values()) == {"unchanged"}
    repository.commit_file("prod/NOTES.md", "The pipeline runs again.\n")
    pipeline.apply("prod")
    time.sleep(1.0)
    assert predictors.condition(key)["reason"] == "RolloutAborted"
    repository.git("revert", "--no-edit", "HEAD~1")
    pipeline.apply("prod")
    assert _serves(api, "prod") == "v1"


def _serves(api: Api, environment: str) -> str:
    """What answers, once it is what is declared."""
    body = Predictors(api, _home(environment)).wait(_key(environment))
    found = str(body["status"]["servingVersion"])
    (container,) = api.need(CHILDREN[0], _key(environment))["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == f"health-predictor:{found}"
    return found


def _phase(api: Api, wanted: str) -> Body:
    """Prod's RiskPredictor once the change of its model is in that phase."""

    def look() -> Body | None:
        body = api.need(RISKPREDICTOR, _key("prod"))
        phase = body.get("status", {}).get("rollout", {}).get("phase")
        return body if phase == wanted else None

    found = eventually(look, within=60, what=wanted)
    assert found is not None
    return found


@pytest.mark.parametrize("how", ["by label", "an ApplySet, server-side"])
def test_a_number_set_by_hand_stays_until_it_is_removed_by_hand(
    cluster: LocalCluster, api: Api, repository: Repository, how: str
) -> None:
    api.create(NAMESPACE, {"metadata": {"name": _home("dev")}})
    pipeline, key = Pipeline(cluster, repository, how), _key("dev")
    pipeline.apply("dev")
    predictors = Predictors(api, key.namespace)
    predictors.wait(key)
    cluster.kubectl("-n", key.namespace, "scale", f"rp/{key.name}", "--replicas=4")
    pipeline.apply("dev")
    assert api.need(RISKPREDICTOR, key)["spec"]["replicas"] == 4
    predictors.wait(key)
    assert api.get(AUTOSCALER, key) is None
    (told,) = re.findall(r"`(kubectl patch riskpredictor/NAME .*)`", GUIDE)
    words = shlex.split(told.replace("NAME", key.name))
    cluster.kubectl("-n", key.namespace, *words[1:])
    predictors.settle(key)
    api.need(AUTOSCALER, key)


def test_marks_of_the_tools_do_not_reach_the_children(
    cluster: LocalCluster, api: Api, repository: Repository
) -> None:
    Pipeline(cluster, repository).apply("dev")
    key = _key("dev")
    marks = {
        "labels": {
            "app.kubernetes.io/instance": "predictors-dev",
            "kustomize.toolkit.fluxcd.io/name": "predictors-dev",
            "applyset.kubernetes.io/part-of": "applyset-of-dev-v1",
        },
        "annotations": {"argocd.argoproj.io/tracking-id": "predictors-dev:healthtech.dev"},
    }
    api.patch(RISKPREDICTOR, key, {"metadata": marks})
    Predictors(api, key.namespace).settle(key)
    for resource in CHILDREN:
        metadata = api.need(resource, key)["metadata"]
        for kind, wanted in marks.items():
            for name, value in wanted.items():
                assert metadata[kind].get(name) != value
        assert "environment" not in metadata["labels"]


QUOTED: list[dict[str, Any]] = [
    {"modelVersion": "1.10"},
    {"modelVersion": "v1", "image": {"tag": "2"}},
]
UNQUOTED: list[dict[str, Any]] = [
    {"modelVersion": 1.1},
    {"modelVersion": 2},
    {"modelVersion": "v1", "image": {"tag": 2}},
]
NOTHING: list[dict[str, Any]] = [
    {"service": {"nodePort": None}},
    {"image": None},
    {"podTemplate": {"labels": None}},
]


@pytest.mark.parametrize("how", ["--server-side=true", "--server-side=false"])
def test_what_the_guide_says_about_quotes_and_nulls(
    cluster: LocalCluster, namespace: str, how: str
) -> None:
    def applied(spec: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
        body = {"apiVersion": RISKPREDICTOR.api_version, "kind": RISKPREDICTOR.kind,
                "metadata": {"name": "risk", "namespace": namespace}, "spec": spec}  # fmt: skip
        dry = ("--dry-run=server", "--filename=-")
        return cluster.try_kubectl("apply", how, *dry, stdin=json.dumps(body))

    for spec in UNQUOTED:
        refused = applied(spec)
        assert refused.returncode != 0
        assert re.search(r"spec\.(modelVersion|image\.tag).* must be ", refused.stderr)
    for spec in [*QUOTED, *({"modelVersion": "v1", **part} for part in NOTHING)]:
        done = applied(spec)
        assert done.returncode == 0, done.stderr
    a_null = applied({"modelVersion": "v1", "replicas": None})
    assert ("spec.replicas" in a_null.stderr) == (how == "--server-side=true")


def _lost(wanted: Any, found: Any, path: str) -> Iterator[str]:
    """Where what is there lacks a part of what is wanted, which may lack defaults."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            yield from _lost(value, found.get(name), f"{path}.{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, value in enumerate(wanted):
            yield from _lost(value, found[number], f"{path}[{number}]")
    elif wanted != found or wanted is None:
        yield path


def test_the_definition_in_git_is_the_one_in_the_cluster(cluster: LocalCluster) -> None:
    """What the API server drops, Argo CD would take for a difference and apply for ever."""
    wanted = yaml.safe_load((ROOT / "crds" / "riskpredictors.yaml").read_text())
    found = json.loads(cluster.kubectl("get", "crd", wanted["metadata"]["name"], "--output=json"))
    assert list(_lost(wanted, found, "")) == []


@pytest.fixture(scope="module")
def tools(cluster: LocalCluster) -> None:
    """What Argo CD and Flux bring along, as far as the guide's commands need it."""
    argocd.install_kinds(cluster)
    flux.install_kinds(cluster)
    for namespace in ("argocd", "flux-system"):
        cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("-n", "argocd", "create", "configmap", "argocd-cm")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("path", FOR_TOOLS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_is_for_the_tools_is_valid(cluster: LocalCluster, path: Path) -> None:
    strict = ("--dry-run=server", "--validate=strict", "--filename", str(path))
    cluster.kubectl("apply", *strict)


@pytest.mark.usefixtures("tools")
def test_the_commands_of_the_guide_work_in_their_order(cluster: LocalCluster) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    (applyset,) = re.findall(r"^`(KUBECTL_APPLYSET=true .*)`$", GUIDE, re.MULTILINE)
    for line in [line for block in blocks for line in block.splitlines()] + [applyset]:
        shell(line, cluster.environment)
