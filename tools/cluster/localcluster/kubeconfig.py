"""kubeconfig files, as JSON (which is YAML too): one per component and one for people."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from .record import Cluster


def render(cluster: Cluster, user: str) -> str:
    """A kubeconfig with the certificates inside, so that the file can be copied elsewhere."""
    pki = cluster.paths.pki
    name = f"riskpredictor-{cluster.name}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster.api_server,
                    "certificate-authority-data": _data(pki / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _data(pki / f"{user}.crt"),
                    "client-key-data": _data(pki / f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return json.dumps(content, indent=2) + "\n"


def write(cluster: Cluster, user: str, path: Path) -> None:
    """Write it readable by its owner only: it holds a key."""
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(render(cluster, user))
    temporary.replace(path)


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
