"""The kubectl lines of the guides, on a real cluster.

Those that read run as they stand; those that write run with ``--dry-run=server``, so the API server
checks them and nothing changes. tests/contract/test_docs.py knows the other programs. The README,
INSTALL.md, GITOPS.md and OWN-MODEL-GUIDE.md have tests of their own, which do what they say.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from riskpredictor_operator.kube import Key
from support.api import eventually
from support.cluster import ROOT, LocalCluster
from support.docs import Command, commands
from support.predictors import Predictors

OWN_TESTS = {"INSTALL.md", "GITOPS.md", "OWN-MODEL-GUIDE.md"}
COMMANDS = [
    command
    for document in sorted((ROOT / "docs").glob("*.md"))
    if document.name not in OWN_TESTS
    for command in commands(document)
    if command.text.startswith("kubectl ")
]
READS = {"get", "describe", "logs", "explain", "wait", "top"}
WRITES = {"apply", "patch", "scale", "set"}
NEEDS_MORE = {"kubectl apply -k deploy/monitoring": "the kinds of the Prometheus operator"}
"""Cannot be applied on this cluster: what it renders is tested in tests/contract."""
WATCH_SECONDS = 3
ENDED_BY_TIMEOUT = 124


@pytest.fixture(scope="module")
def predictor(predictors: Predictors) -> Key:
    key = predictors.create("health-predictor")
    predictors.wait(key, within=90)
    return key


def _runnable(command: Command, key: Key) -> str:
    """The line for this cluster."""
    names = {"NAMESPACE": key.namespace, "riskpredictor-demo": key.namespace, "NAME": key.name}
    line = re.sub("|".join(rf"\b{n}\b" for n in names), lambda found: names[found[0]], command.text)
    (words,) = command.parts()
    verb = next(word for word in words[1:] if word in READS | WRITES)
    if command.text in NEEDS_MORE:
        return line.replace("kubectl apply -k", "kubectl kustomize")
    if verb in WRITES:
        return f"{line} --dry-run=server"
    return f"timeout {WATCH_SECONDS} {line}" if "--watch" in words else line


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_a_guide_works(
    cluster: LocalCluster, predictor: Key, command: Command
) -> None:
    line = _runnable(command, predictor)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            env=cluster.environment, cwd=ROOT, capture_output=True, text=True, check=False,
            timeout=200,
        )  # fmt: skip

    done = run()
    if " top " in command.text and done.returncode:
        # metrics-server has yet to read the pods twice.
        eventually(lambda: run().returncode == 0, within=90, every=2.0)
        done = run()
    accepted = {0, ENDED_BY_TIMEOUT} if line.startswith("timeout ") else {0}
    assert done.returncode in accepted, f"{line}\n{done.stdout}{done.stderr}"
    assert done.stdout, f"{line}\nsays nothing; {done.stderr}"
