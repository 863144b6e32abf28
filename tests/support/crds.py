"""CRDs of others, for tests that need their kinds."""

from __future__ import annotations

from pathlib import Path

from support.api import eventually
from support.cluster import LocalCluster


def install(cluster: LocalCluster, path: Path, *names: str) -> None:
    """Apply a file or folder of CRDs, and wait until these are served."""
    cluster.kubectl("apply", "--server-side", "--filename", str(path))
    for name in names:
        # kubectl takes a CRD that has no conditions yet for an error, so it is asked again.
        wait = ("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
        eventually(lambda wait=wait: cluster.try_kubectl(*wait).returncode == 0, within=30)  # type: ignore[misc]
