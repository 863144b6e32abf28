"""The few calls to the API server that bringing a cluster up needs, by kubectl."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from .console import ClusterError
from .gobuild import KUBERNETES
from .record import Cluster


def apply(cluster: Cluster, manifests: str) -> None:
    """Server-side apply of objects in YAML or JSON."""
    done = _kubectl(
        cluster, "apply", "--server-side", "--force-conflicts", "--validate=false",
        "--field-manager=riskpredictor-local", "--filename=-", stdin=manifests,
    )  # fmt: skip
    if done.returncode != 0:
        raise ClusterError(f"the API server refused an object: {done.stderr.strip()}")


def get(cluster: Cluster, path: str) -> Any:
    """The object at ``path``, or None if it cannot be had (yet)."""
    done = _kubectl(cluster, "get", "--raw", path)
    return json.loads(done.stdout) if done.returncode == 0 else None


def _kubectl(
    cluster: Cluster, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            KUBERNETES.bin_dir() / "kubectl", f"--kubeconfig={cluster.paths.kubeconfig}",
            f"--cache-dir={cluster.paths.root / 'kubectl'}", "--request-timeout=5s", *arguments,
        ],
        # The user's proxy must not be asked for an address of this machine.
        input=stdin, env={**os.environ, "NO_PROXY": "*"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
