"""What cannot work is said at once, in one line, with an exit status."""

from __future__ import annotations

import json
import re
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from support import operator as operators
from support.api import eventually
from support.cluster import LocalCluster
from support.operator import SYSTEM, OperatorProcess

EXIT_SETTINGS, EXIT_PREFLIGHT = 2, 3


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
    cluster.kubectl("delete", "crd/riskpredictors.healthtech.dev")
    try:
        line = _ends(OperatorProcess(operator_config, tmp_path / "operator.log"))
    finally:
        cluster.install_crd()
    assert "kubectl apply -f crds/riskpredictors.yaml" in line


def test_with_refused_credentials_it_says_so(cluster: LocalCluster, tmp_path: Path) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong"}
    path = tmp_path / "wrong.kubeconfig"
    path.write_text(json.dumps(config))
    line = _ends(OperatorProcess(path, tmp_path / "operator.log"))
    assert "refuses the operator's credentials" in line


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--namespace=shopp", "the namespace shopp, which the operator is to look after, does not"),
        ("--operator-namespace=shopp", "update leases in namespace shopp (are the namespaces"),
    ],
)
def test_a_namespace_that_does_not_exist_is_named(
    operator_config: Path, tmp_path: Path, flag: str, says: str
) -> None:
    assert says in _ends(OperatorProcess(operator_config, tmp_path / "operator.log", flag))


def test_with_an_administrators_rights_the_namespace_of_the_lease_is_named(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    log = tmp_path / "operator.log"
    line = _ends(OperatorProcess(cluster.kubeconfig, log, "--operator-namespace=shopp"))
    assert "the namespace of the Lease shopp/riskpredictor-operator does not exist" in line


def test_a_setting_with_a_typing_error_ends_it_with_the_name_that_was_meant(
    operator_config: Path, tmp_path: Path
) -> None:
    environment = {"RISKPREDICTOR_NAMESPACES": "shop"}
    log = tmp_path / "operator.log"
    process = OperatorProcess(operator_config, log, environment=environment)
    assert _status(process) == EXIT_SETTINGS
    (line,) = process.says().splitlines()
    assert "RISKPREDICTOR_NAMESPACES; did you mean RISKPREDICTOR_NAMESPACE?" in line


STOPS = {
    "one": [signal.SIGTERM], "two": [signal.SIGTERM, signal.SIGTERM],
    "Ctrl-C and a stop": [signal.SIGINT, signal.SIGTERM], "Ctrl-C twice": [signal.SIGINT] * 2,
}  # fmt: skip


@pytest.fixture
def unreachable(operator_config: Path, tmp_path: Path) -> Path:
    """A kubeconfig whose API server does not answer."""
    config = yaml.safe_load(operator_config.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "unreachable.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("phase", ["start", "waiting for the API server", "standing by", "leading"])
def test_it_stops_in_every_phase_however_often_it_is_told_to(
    operator_config: Path, unreachable: Path, tmp_path: Path, phase: str, stop: str
) -> None:
    config = unreachable if phase == "waiting for the API server" else operator_config
    with ExitStack() as others:
        if phase == "standing by":
            other = OperatorProcess(operator_config, tmp_path / "other.log", "--identity=other")
            others.callback(other.stop)
            other.wait_for("leading as")
        process = OperatorProcess(config, tmp_path / "operator.log")
        if phase != "start":
            process.wait_for("listed" if phase == "leading" else phase)
        else:
            _await_handlers(process.pid)
        for number in STOPS[stop]:
            process.send(number)
            time.sleep(0.05)
        assert _status(process) == 0, process.says()
    assert "Traceback" not in process.says()


def _await_handlers(pid: int) -> None:
    """Wait until a process has handlers for SIGTERM and SIGINT."""

    def are_there() -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        (caught,) = re.findall(r"SigCgt:\s*(\w+)", status)
        mask = int(caught, 16)
        return all(mask >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGINT))

    eventually(are_there, every=0.001)


def test_without_a_cluster_it_says_what_to_set(tmp_path: Path) -> None:
    line = _ends(OperatorProcess(tmp_path / "absent", tmp_path / "operator.log"))
    assert "KUBECONFIG" in line
