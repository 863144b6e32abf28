"""The pod that sends load: the predictor's own image with the load generator in its command line.

In the cluster, because that goes through the real Service and its load balancing, and measures
neither the port-forward nor the network of whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from riskpredictor_kubectl.names import Body

SCRIPT = Path(__file__).with_name("loadgen.py")
GRACE_SECONDS = 90
"""After the load's own time Kubernetes ends the pod, even if nobody is there to remove it."""


@dataclass(frozen=True)
class Demand:
    """What load is wanted; the flags of ``loadgen.py``."""

    users: int
    seconds: float
    think: float = 0.0
    """Each user's mean pause between two requests, in seconds."""
    profile: str = "constant"
    rate: float = 0.0
    """Requests per second of the open loop; 0 for the closed one."""
    warmup: float = 0.0
    """Seconds at the beginning that the sums leave out."""

    def flags(self) -> list[str]:
        """The command line."""
        return [f"--{name}={value}" for name, value in asdict(self).items()]


def url_of(service: Body) -> str:
    """The address of a Service inside the cluster; no name, as a small cluster may have no DNS."""
    spec = service["spec"]
    host = spec["clusterIP"]
    return f"http://{f'[{host}]' if ':' in host else host}:{spec['ports'][0]['port']}"


def manifest(
    name: str, image: str, url: str, demand: Demand, pull_secrets: Sequence[Body] = ()
) -> dict[str, Any]:
    """The pod. Fits Pod Security ``restricted``.

    Args:
        name: of the pod.
        image: of a predictor.
        url: what it loads.
        demand: how.
        pull_secrets: for the image.
    """
    container = {
        "name": "load",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/venv/bin/python", "-u", "-c", SCRIPT.read_text(encoding="utf-8")],
        "args": [f"--url={url}", *demand.flags()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "load-generator"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(demand.seconds) + GRACE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "imagePullSecrets": list(pull_secrets),
            "containers": [container],
        },
    }
