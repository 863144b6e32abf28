"""docs/INSTALL.md: every command is run by some test, every file in it is valid."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from support.cluster import ROOT
from support.guide import INSTALL, block, blocks
from support.helm import Helm, documents, kustomize

pytestmark = pytest.mark.usefixtures("renderers")

TEXT = INSTALL.read_text()
RUN_BY = [
    ROOT / "tests" / path
    for path in (
        "e2e/test_install.py", "control_plane/test_restore.py",
        "control_plane/test_helm_elsewhere.py",
    )
]  # fmt: skip
REPOSITORY = "https://git.example/health/riskpredictor"


@pytest.mark.parametrize("heading", blocks(INSTALL, "sh"))
def test_a_test_runs_every_block_of_commands(heading: str) -> None:
    assert any(f'block("{heading}")' in path.read_text() for path in RUN_BY)


def test_the_values_in_it_are_values_of_the_chart(helm: Helm) -> None:
    values = yaml.safe_load(block("Install with Helm", "yaml"))
    kinds = [body["kind"] for body in helm.template(values)]
    assert "ClusterRole" not in kinds
    assert kinds.count("NetworkPolicy") == 4
    monitored = helm.template(yaml.safe_load(block("Monitor with Helm", "yaml")))
    assert {"PodMonitor", "PrometheusRule", "ConfigMap"} <= {body["kind"] for body in monitored}
    narrowed = helm.template(yaml.safe_load(block("Network policies", "yaml")))
    (policy,) = [body for body in narrowed if body["kind"] == "NetworkPolicy"]
    assert policy["spec"]["egress"][1]["to"] == [{"ipBlock": {"cidr": "10.0.0.10/32"}}]


def test_a_pinned_version_can_be_installed_from_elsewhere(tmp_path: Path) -> None:
    """From a real Git repository with a tag, which is not what is checked out."""
    repository = tmp_path / "repository"
    for folder in ("deploy/operator", "crds"):
        shutil.copytree(ROOT / folder, repository / folder)

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@test.example")
        subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    git("tag", "v0.1.0")
    git("rm", "-r", "--quiet", "deploy")
    git("commit", "--quiet", "--message=second")

    text = block("Install with kustomize", "yaml")
    assert text.count(REPOSITORY) == 1
    pinned = yaml.safe_load(text)["images"][0]
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(text.replace(REPOSITORY, f"file://{repository}"))
    rendered = documents(kustomize(overlay))
    image = f"{pinned['newName']}@{pinned['digest']}"
    (deployment,) = [body for body in rendered if body["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["spec"]["containers"][0].pop("image") == image
    usual = documents(kustomize("deploy/operator"))
    (base,) = [body for body in usual if body["kind"] == "Deployment"]
    del base["spec"]["template"]["spec"]["containers"][0]["image"]
    assert rendered == usual


def test_the_supported_versions_are_those_of_the_chart_and_the_readme() -> None:
    told = re.search(r"Kubernetes (1\.\d+) or newer", TEXT)
    assert told
    about = yaml.safe_load((ROOT / "deploy/chart/Chart.yaml").read_text())
    assert about["kubeVersion"] == f">={told[1]}.0-0"
    assert told[0] in (ROOT / "README.md").read_text()
