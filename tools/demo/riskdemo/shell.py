"""Runs kubectl and the cluster tool."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.text import Text

from riskpredictor_kubectl.client import Client, Target
from riskpredictor_kubectl.errors import PluginError

REPOSITORY = Path(__file__).resolve().parents[3]
CLUSTER_TOOL = REPOSITORY / "tools" / "cluster" / "cluster.py"
_PYTHON = {
    "PYTHONPATH": os.pathsep.join(str(REPOSITORY / e) for e in ("predictor", "tools/kubectl"))
}


class DemoError(PluginError):
    """The demonstration cannot go on; the message says why and what to do."""


def show_error(console: Console, error: PluginError) -> None:
    """Print an error."""
    console.print(Text.assemble((error.prefix, "bold red"), str(error.args[0])))


def run(
    command: Sequence[str],
    *,
    stdin: str = "",
    accept: Sequence[int] = (0,),
    env: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Standard output of a command, which runs in the repository; ``env`` adds variables.

    Raises:
        DemoError: its exit status is not one to accept; with its output.
    """
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, cwd=REPOSITORY,
        env={**os.environ, **env},
    )  # fmt: skip
    if done.returncode not in accept:
        said = (done.stderr or done.stdout).strip()
        raise DemoError(f"{shlex.join(command)}\n  failed ({done.returncode}): {said}")
    return done.stdout


def run_python(*arguments: str) -> str:
    """Standard output of a program of this repository: the plug-in, the trainer."""
    return run([sys.executable, *arguments], env=_PYTHON)


def cluster_tool(*arguments: str) -> None:
    """Run the cluster tool in the foreground; it shows its own progress."""
    foreground(str(CLUSTER_TOOL), *arguments)


def foreground(*arguments: str) -> None:
    """Run a Python program of this repository; what it prints is seen at once.

    Raises:
        DemoError: it failed.
    """
    line = [sys.executable, *arguments]
    done = subprocess.run(line, check=False, cwd=REPOSITORY, env={**os.environ, **_PYTHON})
    if done.returncode != 0:
        raise DemoError(f"{shlex.join(line)} failed; see above")


@dataclass(frozen=True)
class DemoCluster:
    """The cluster of the demonstration; CLUSTER and CONTEXT tell the cluster tool which."""

    name: str

    @property
    def source(self) -> str:
        """``local``, ``kind`` or ``current``."""
        return os.environ.get("CLUSTER") or "local"

    def kubectl(self, namespace: str) -> Kubectl:
        """kubectl for a namespace of the cluster."""
        binary = "kubectl"
        if self.source == "local":
            # Status 3: a component is not well; the cluster can still be looked at.
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
    """kubectl with a kubeconfig and a namespace; never the user's current context."""

    kubeconfig: Path
    namespace: str
    binary: str = "kubectl"

    def command(self, *arguments: str) -> list[str]:
        """The full command line."""
        where = ["--namespace", self.namespace] if self.namespace else []
        return [self.binary, "--kubeconfig", str(self.kubeconfig), *where, *arguments]

    def inside(self, namespace: str) -> Kubectl:
        """The same for another namespace, or for none if it is empty."""
        return replace(self, namespace=namespace)

    def client(self) -> Client:
        """The plug-in's client for the same cluster and namespace."""
        return Client(Target(str(self.kubeconfig), "", self.namespace, self.binary))

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run it; returns its standard output."""
        return run(self.command(*arguments), stdin=stdin)

    def json(self, *arguments: str) -> Any:
        """Run it with ``-o json``; returns the parsed output."""
        return json.loads(self(*arguments, "-o", "json"))
