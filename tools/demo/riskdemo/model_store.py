"""A store for models in the cluster: a web server in a pod, which hands out one model."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Final

from riskdemo.shell import Kubectl
from riskpredictor_kubectl.loadpod import url_of

NAME: Final = "model-store"
PORT: Final = 8000
MODEL_FILES: Final = ("card.json", "scorer.json", "model.joblib")
"""What is fetched; the plots of the folder are for people."""


def digest(folder: Path) -> str:
    """The identity of a model, which Git declares."""
    return "sha256:" + hashlib.sha256((folder / "card.json").read_bytes()).hexdigest()


def publish(kubectl: Kubectl, folder: Path, image: str) -> str:
    """Serve the model of a folder in the cluster; returns the address of its files.

    Args:
        kubectl: of the namespace.
        folder: an artifact, smaller than a ConfigMap may be (1 MiB).
        image: a predictor's, for its Python.
    """
    # A pod of an earlier run would hand out the model of that run for a while.
    kubectl("delete", f"pod/{NAME}", "--ignore-not-found", "--grace-period=0", "--force")
    kubectl("apply", "-f", "-", stdin=json.dumps(manifests(folder, image)))
    kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=60s")
    return url_of(kubectl.json("get", f"service/{NAME}")) + "/"


def manifests(folder: Path, image: str) -> dict[str, Any]:
    """ConfigMap with the files, Pod and Service; the pod fits Pod Security ``restricted``."""
    metadata = {"name": NAME, "labels": {"app": NAME}}
    files = {name: base64.b64encode((folder / name).read_bytes()).decode() for name in MODEL_FILES}
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/venv/bin/python", "-m", "http.server", str(PORT), "--directory=/files"],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "files", "mountPath": "/files", "readOnly": True}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "files", "configMap": {"name": NAME}}],
    }
    service = {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": PORT}]}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": files},
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        ],
    }
