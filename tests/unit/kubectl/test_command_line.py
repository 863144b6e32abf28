"""What can be wrong with a command line is told before any cluster is asked.

The flags of ``predict`` are the model's: see test_predict.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from unit.kubectl import bodies

from riskpredictor_kubectl.cli import cli
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_kubectl.loadpod import manifest, url_of
from support.cluster import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program itself, without a cluster."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools" / "kubectl")}
    return subprocess.run(
        [sys.executable, "-m", "riskpredictor_kubectl", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Of a cluster that nobody answers for."""
    path = tmp_path / "config"
    path.write_text(
        "{current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}],\n"
        " clusters: [{name: x, cluster: {server: 'http://127.0.0.1:9'}}],\n"
        " users: [{name: x, user: {}}]}"
    )
    return f"--kubeconfig={path}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predict", "risk", "--csv=/nonexistent"), "No such file or directory"),
        (("predict", "risk", "--json=/nonexistent"), "No such file or directory"),
        (("predict", "risk", "--csv=/dev/null", "--json=/dev/null"), "exclude each other"),
        (("predict", "risk", "other", "--heart-rate=85"), "Got unexpected extra argument (other)"),
        (("predict", "risk", "--output=xml"), "'xml' is not one of 'json', 'yaml', 'wide', 'csv'"),
        (("predict", "risk", "-x"), "No such option '-x'"),
        (("predict", "--heart-rate", "85"), "Missing argument 'NAME'"),
        (("predict",), "Missing argument 'NAME'"),
        (("load", "risk", "--duration=1h"), "'1h' is no duration; write 90s or 2m"),
        (("load", "risk", "--duration=16m"), "16m is not between 1s and 15m"),
        (("load", "risk", "--users=0"), "0 is not in the range 1<=x<=1000"),
        (("status", "risk", "-A"), "a NAME is in one namespace"),
        (("status", "risk", "other"), "Got unexpected extra argument"),
        (("status", "pod/x"), "'[NAME]': 'pod/x' is no RiskPredictor"),
        (("status", "--outputs"), "No such option '--outputs'"),
        (("status", "-w", "--exit-status"), "--watch does not end by itself"),
        (("rollout", "undo", "risk", "--to-revision=0"), "0 is not in the range"),
        (("rollout", "report", "risk", "--entry=0"), "0 is not in the range"),
        (("rollout", "report", "risk", "--entry=1", "--version=v1"), "exclude each other"),
        (("rollout", "report", "risk", "-o", "pdf"), "'pdf' is not one of 'markdown', 'json'"),
        (("rollout", "abort", "risk", "--timeout=0"), "0 is not in the range"),
        (("rollout", "status"), "Missing argument 'NAME'"),
        (("statu",), "No such command 'statu'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_an_error_that_names_it(
    arguments: tuple[str, ...], said: str, config: str
) -> None:
    done = run(
        arguments[0],
        *arguments[1:],
        *([config] if arguments[0] != "rollout" or len(arguments) > 3 else []),
    )
    first, see = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert first.startswith("error: ")
    assert said in first
    assert see.startswith("See 'kubectl riskpredictor")


@pytest.mark.parametrize("command", [("status",), ("predict", "risk", "--heart-rate=85")])
def test_a_cluster_that_does_not_answer_is_an_error_of_one_line(
    command: tuple[str, ...], config: str
) -> None:
    done = run(*command, config)
    assert done.stderr.startswith("error: the API server http://127.0.0.1:9 does not answer (")
    assert "Connection refused" in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_help_is_no_error_and_shows_every_command() -> None:
    for arguments in ((), ("--help",)):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(f"\n  {name} " in done.stdout for name in cli.commands)
    assert run("rollout").returncode == 0
    assert run("--version").stdout.startswith("kubectl riskpredictor 0.")


def test_help_about_a_model_needs_no_cluster(config: str) -> None:
    done = run("predict", "risk", "--heart-rate=85", "--help", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: kubectl riskpredictor predict [OPTIONS] NAME\n")
    assert "\nThe model of risk cannot be asked for its flags: the API server http" in done.stdout


def test_a_reader_that_has_seen_enough_is_nothing_to_talk_about() -> None:
    program = f"{sys.executable} -m riskpredictor_kubectl --help"
    done = subprocess.run(
        ["bash", "-c", f"{program} | true"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools" / "kubectl")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_flags_may_stand_before_the_command() -> None:
    done = CliRunner().invoke(cli, ["--kubeconfig", "/nonexistent/a", "status"])
    assert "/nonexistent/a" in str(done.exception)
    done = CliRunner().invoke(
        cli, ["--kubeconfig=/nonexistent/a", "status", "--kubeconfig=/nonexistent/b"]
    )
    assert "/nonexistent/b" in str(done.exception)


def test_bash_completes_the_program_by_its_own_name() -> None:
    lines = (
        run("completion", "bash").stdout
        + "COMP_WORDS=(kubectl-riskpredictor rollout h); COMP_CWORD=2\n"
        + "_kubectl_riskpredictor_completion kubectl-riskpredictor\n"
        + 'echo "${COMPREPLY[*]}"\n'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", lines], env={**os.environ, "PATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == "history\n", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_KUBECTL_RISKPREDICTOR_COMPLETE" in done.stdout
    assert "kubectl-riskpredictor" in done.stdout


def test_a_load_ends_even_if_nobody_ends_it() -> None:
    pod = manifest("l", "health-predictor:v1", url_of(bodies.service()), Demand(5, 30.0))
    assert pod["spec"]["activeDeadlineSeconds"] == 210, "the load, and its start"
    assert pod["spec"]["restartPolicy"] == "Never"
    assert "healthtech.dev/riskpredictor" not in pod["metadata"]["labels"], "no predictor itself"
    (container,) = pod["spec"]["containers"]
    assert container["args"][:3] == ["--url=http://10.0.0.7:80", "--users=5", "--seconds=30.0"]


def test_a_service_of_the_newer_internet_has_brackets() -> None:
    service = {"spec": {"clusterIP": "fd00::7", "ports": [{"port": 8080}]}}
    assert url_of(service) == "http://[fd00::7]:8080"
