"""``kubectl riskpredictor`` as people run it: by the real kubectl, which looks for its plug-ins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.cluster import LocalCluster


def _as_at_a_terminal() -> None:
    """Ctrl-C counts, also where the tests run in the background of a shell that ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Plugin:
    """The plug-in in one namespace of a cluster."""

    def __init__(
        self, cluster: LocalCluster, namespace: str, kubeconfig: Path | None = None
    ) -> None:
        """``kubeconfig`` is somebody else's, instead of the administrator's."""
        path = [str(Path(sys.executable).parent), str(cluster.bin), os.environ["PATH"]]
        self._namespace = ["-n", namespace]
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join(path),
            "KUBECONFIG": str(kubeconfig or cluster.kubeconfig),
        }

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Its output; it must end well and say nothing else."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Its JSON output."""
        return json.loads(self(*arguments, "-o", "json"))

    def refused(self, *arguments: str) -> str:
        """The error of a command that must fail, and must fail politely."""
        done = self.run(*arguments)
        assert done.returncode == 1, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        assert "RISKPREDICTOR_DEBUG" not in done.stderr, "an error that was not thought of"
        return done.stderr.strip()

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it, whatever comes of it."""
        return self.kubectl("riskpredictor", *arguments, *self._namespace, stdin=stdin)

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl itself, in the same environment."""
        return subprocess.run(
            ["kubectl", *arguments], env=self.environment, input=stdin, capture_output=True,
            text=True, check=False, timeout=200,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; its output can be read while it runs."""
        return subprocess.Popen(
            ["kubectl", "riskpredictor", *arguments, *self._namespace], env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=_as_at_a_terminal,
        )  # fmt: skip
