"""Runs the tools that a user would run: kubectl, and the local cluster's own command."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
CLUSTER_TOOL = REPOSITORY / "tools" / "cluster" / "cluster.py"


class DemoError(Exception):
    """The demonstration cannot go on; the message says why and what to do."""


def run(command: Sequence[str], *, stdin: str = "", accept: Sequence[int] = (0,)) -> str:
    """Standard output of a command.

    Raises:
        DemoError: it failed, with a status that is not accepted; with what it said.
    """
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    if done.returncode not in accept:
        said = (done.stderr or done.stdout).strip()
        raise DemoError(f"{shlex.join(command)}\n  failed ({done.returncode}): {said}")
    return done.stdout


def cluster_tool(*arguments: str) -> None:
    """Run the cluster tool in the foreground: it shows its own progress."""
    line = [sys.executable, str(CLUSTER_TOOL), *arguments]
    if subprocess.run(line, check=False, cwd=REPOSITORY).returncode != 0:
        raise DemoError(f"{shlex.join(line)} failed; see above")


@dataclass(frozen=True)
class Cluster:
    """The cluster of the demonstration. Which kind it is, CLUSTER and CONTEXT tell the tool."""

    name: str

    @property
    def source(self) -> str:
        """``local``, ``kind`` or ``current``."""
        return os.environ.get("CLUSTER") or "local"

    def kubectl(self, namespace: str) -> Kubectl:
        """kubectl for a namespace of the cluster."""
        binary = "kubectl"
        if self.source == "local":
            # Status 3: some component is not well, which is worth looking at.
            told = run(self._line("status", "--json"), accept=(0, 3))
            binary = str(Path(json.loads(told)["bin"]) / "kubectl")
        return Kubectl(Path(self.ask("kubeconfig")), namespace, binary)

    def tool(self, command: str, *arguments: str) -> None:
        """Run the cluster tool on this cluster in the foreground."""
        cluster_tool(command, "--name", self.name, *arguments)

    def ask(self, command: str, *arguments: str) -> str:
        """Output of the cluster tool."""
        return run(self._line(command, *arguments)).strip()

    def _line(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, str(CLUSTER_TOOL), command, "--name", self.name, *arguments]


@dataclass(frozen=True)
class Kubectl:
    """kubectl on one kubeconfig and namespace, never on anybody's current context."""

    kubeconfig: Path
    namespace: str
    binary: str = "kubectl"

    def command(self, *arguments: str) -> list[str]:
        """The full command line."""
        where = ["--namespace", self.namespace] if self.namespace else []
        return [self.binary, "--kubeconfig", str(self.kubeconfig), *where, *arguments]

    def inside(self, namespace: str) -> Kubectl:
        """The same for another namespace; empty for what has or names its own."""
        return replace(self, namespace=namespace)

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Its standard output."""
        return run(self.command(*arguments), stdin=stdin)

    def json(self, *arguments: str) -> Any:
        """Its JSON output."""
        return json.loads(self(*arguments, "-o", "json"))

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it and read its output while it runs."""
        return subprocess.Popen(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
