"""What cannot work is said at once, in one line, with an exit status."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from support import operator as operators
from support.cluster import LocalCluster
from support.operator import SYSTEM, OperatorProcess

EXIT_PREFLIGHT = 3


def _status(process: OperatorProcess) -> int:
    """How it ends by itself; one that does not is stopped."""
    try:
        return process.wait()
    finally:
        process.stop()


def _ends(process: OperatorProcess) -> str:
    assert _status(process) == EXIT_PREFLIGHT, process.says()
    lines = process.says().strip().splitlines()
    assert len(lines) == 1, process.says()
    return lines[0]


def test_without_rights_it_names_each_that_is_missing(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    cluster.kubectl("-n", SYSTEM, "create", "serviceaccount", "nobody")
    config = operators.kubeconfig(cluster, tmp_path, "nobody")
    line = _ends(OperatorProcess(config, tmp_path / "operator.log"))
    assert "may not" in line
    assert "patch riskpredictors/status" in line
    assert "delete horizontalpodautoscalers" in line
    assert "deploy/operator" in line


def test_without_the_crd_it_says_how_to_install_it(
    cluster: LocalCluster, operator_config: Path, tmp_path: Path
) -> None:
    crd = "customresourcedefinition/riskpredictors.healthtech.dev"
    cluster.kubectl("delete", crd)
    try:
        line = _ends(OperatorProcess(operator_config, tmp_path / "operator.log"))
    finally:
        cluster.kubectl("apply", "-k", "crds")
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", crd)
    assert "kubectl apply -f crds/riskpredictors.yaml" in line


def test_with_refused_credentials_it_says_so(cluster: LocalCluster, tmp_path: Path) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong"}
    path = tmp_path / "wrong.kubeconfig"
    path.write_text(json.dumps(config))
    line = _ends(OperatorProcess(path, tmp_path / "operator.log"))
    assert "refuses the operator's credentials" in line


def test_without_a_cluster_it_says_what_to_set(tmp_path: Path) -> None:
    line = _ends(OperatorProcess(tmp_path / "absent", tmp_path / "operator.log"))
    assert "KUBECONFIG" in line
