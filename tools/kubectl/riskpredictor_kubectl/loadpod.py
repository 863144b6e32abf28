"""The pod that loads a RiskPredictor: a predictor's image that runs ``loadgen.py``.

The pod is in the cluster, so requests take the way through the Service to every pod, and neither
a port-forward nor the user's network is measured.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from riskpredictor_kubectl import names
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError, ServerError
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.resources import serving

SCRIPT = Path(__file__).with_name("loadgen.py")
START_SECONDS = 120.0
GRACE_SECONDS = 180
"""Seconds after the time of the load at which Kubernetes ends a pod that was not removed: more than
the pod may take to start."""
MOST_SECONDS = 900.0
_PERMANENT = {
    "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError",
    "InvalidImageName",
}  # fmt: skip

Report = dict[str, Any]
"""What ``loadgen.py`` prints: about one second or, at the end, about all of them."""


def parse_seconds(text: str) -> float:
    """The seconds in ``90``, ``90s`` or ``2m``, from 1 s to 15 m.

    Raises:
        ValueError: it is no such duration.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|)", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 90s or 2m")
    seconds = float(match[1]) * (60 if match[2] == "m" else 1)
    if not 1 <= seconds <= MOST_SECONDS:
        raise ValueError(f"{text} is not between 1s and 15m")
    return seconds


@contextmanager
def load(client: Client, name: str, demand: Demand, image: str = "") -> Iterator[Iterator[Report]]:
    """Load a RiskPredictor during the block; yields the reports, the last one about all.

    Args:
        client: of the cluster, with the namespace.
        name: of the RiskPredictor.
        demand: the load.
        image: of the pod; the predictor's if empty.

    Raises:
        PluginError: no pod answers, another load is at work, or the pod does not start.
    """
    predictor, service = serving(client, name)
    secrets = (predictor["spec"].get("image") or {}).get("pullSecrets") or ()
    image = image or predictor["status"]["image"]
    pod = manifest(f"{name}-riskpredictor-load", image, url_of(service), demand, secrets)
    where = path(names.PODS, client.namespace, pod["metadata"]["name"])
    _remove_finished(client, where)
    client.request("POST", path(names.PODS, client.namespace), body=pod)
    try:
        _await_start(client, where)
        yield _reports(client, where, demand)
    finally:
        _delete(client, where)


def _remove_finished(client: Client, where: str) -> None:
    left = client.find(where)
    if left is None:
        return
    if (left.get("status") or {}).get("phase") in ("Pending", "Running"):
        name = left["metadata"]["name"]
        raise PluginError(
            f"pod/{name} is at work on another load; wait for its end, or: "
            f"kubectl delete pod {name} -n {client.namespace}"
        )
    _delete(client, where)


def _delete(client: Client, where: str) -> None:
    try:
        client.request("DELETE", where, {"gracePeriodSeconds": 0})
    except ServerError as error:
        if error.status != 404:
            raise


def _await_start(client: Client, where: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    why = ""
    while time.monotonic() < deadline and why not in _PERMANENT:
        pod = client.get(where)
        status = pod.get("status") or {}
        if status.get("phase") not in (None, "Pending"):
            return
        states = [c.get("state") or {} for c in status.get("containerStatuses") or ()]
        waiting: Body = next((s["waiting"] for s in states if "waiting" in s), {})
        scheduled = names.condition(pod, "PodScheduled")
        why = waiting.get("reason") or scheduled.get("message") or "Pending"
        time.sleep(0.3)
    raise PluginError(f"the pod that sends the load does not start: {why}")


def _reports(client: Client, where: str, demand: Demand) -> Iterator[Report]:
    other_output = ""
    for line in client.lines(f"{where}/log", demand.seconds + START_SECONDS, follow="true"):
        try:
            report: Report = json.loads(line)
        except ValueError:
            other_output = line
            continue
        # Look before the yield, because the caller may change the report.
        last = "done" in report
        yield report
        if last:
            return
    raise PluginError(
        f"the pod that sends the load ended too early: {other_output or 'it printed nothing'}"
    )


def url_of(service: Body) -> str:
    """The address of a Service in the cluster: an IP, because a small cluster may have no DNS."""
    spec = service["spec"]
    host = spec["clusterIP"]
    return f"http://{f'[{host}]' if ':' in host else host}:{spec['ports'][0]['port']}"


def manifest(
    name: str, image: str, url: str, demand: Demand, pull_secrets: Sequence[Body] = ()
) -> dict[str, Any]:
    """The pod, which fits Pod Security ``restricted``.

    Args:
        name: of the pod.
        image: of a predictor.
        url: to load.
        demand: the load.
        pull_secrets: for the image.
    """
    container = {
        "name": "load",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/venv/bin/python", "-u", "-c", SCRIPT.read_text(encoding="utf-8")],
        "args": [f"--url={url}", *demand.flags()],
        # Complete, for namespaces with a quota; the generator uses one core at most.
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
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
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "imagePullSecrets": list(pull_secrets),
            "containers": [container],
        },
    }
