"""The parts of a pod that bring the model from a store into it.

An init container of the predictor's own image fetches and verifies the model before the predictor
starts, and leaves it in a volume that the predictor reads. Credentials, certificates and keys are
mounted in that container alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from riskpredictor_operator.core import api, names
from riskpredictor_operator.core.model import IMAGE, PVC, Model
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body

MODELS = "/models"
MODEL = f"{MODELS}/stable"
"""Where the predictor finds the model."""
INCOMING = f"{MODELS}/incoming"
"""Where ``copy-model`` leaves what was in an image."""
CLAIM = "/models-source"
"""Where the claim of a source ``pvc`` is mounted."""
IMAGE_PATH = "/model"
"""Folder of an image that holds the model, where the source names none."""
CONFIG = "/etc/riskpredictor"

SIZE_LIMIT = "1Gi"
"""The most that a model may take of a node's disk; beyond it the kubelet evicts the pod."""
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
"""Without it, the cluster autoscaler keeps every node on which a pod has an emptyDir."""
_READ_ONLY_FILE = 0o444
_PATHS = {
    api.COPY_VOLUME: f"{CONFIG}/copy",
    api.CREDENTIALS_VOLUME: f"{CONFIG}/credentials",
    api.CA_VOLUME: f"{CONFIG}/ca",
    api.KEY_VOLUME: f"{CONFIG}/key",
    api.SOURCE_VOLUME: CLAIM,
}
"""Where the fetch step finds its volumes."""


def with_fetch(template: Body, rp: RiskPredictor, model: Model) -> dict[str, Any]:
    """A pod template whose predictor serves a model from a store.

    Args:
        template: the template of a predictor whose model is in its image.
        rp: what is declared.
        model: its model.
    """
    metadata, spec = template["metadata"], template["spec"]
    predictor, *others = spec["containers"]
    volumes = _volumes(rp, model)
    return {
        "metadata": {
            "labels": {**metadata["labels"], api.LABEL_MODEL_SOURCE: model.kind},
            "annotations": {
                SAFE_TO_EVICT: api.MODELS_VOLUME,
                **(metadata.get("annotations") or {}),
                # Another digest is another template, so the pods are replaced.
                api.ANNOTATION_MODEL_DIGEST: model.digest,
            },
        },
        "spec": {
            **spec,
            "initContainers": [*_copy(model, predictor), _fetch(rp, model, predictor, volumes)],
            "containers": [_serving(predictor), *others],
            "volumes": [
                {"name": api.MODELS_VOLUME, "emptyDir": {"sizeLimit": SIZE_LIMIT}},
                *({"name": name, **source} for name, source in volumes.items()),
            ],
        },
    }


def _serving(predictor: Body) -> dict[str, Any]:
    pod_name, *rest = predictor["env"]
    return {
        **predictor,
        "env": [pod_name, {"name": "RISKPREDICTOR_MODEL", "value": MODEL}, *rest],
        "volumeMounts": [{"name": api.MODELS_VOLUME, "mountPath": MODELS, "readOnly": True}],
    }


def _copy(model: Model, predictor: Body) -> list[dict[str, Any]]:
    if model.kind != IMAGE:
        return []
    folder = str(model.place.get("path") or IMAGE_PATH).rstrip("/")
    return [
        {
            "name": api.COPY_CONTAINER,
            "image": model.place["reference"],
            "imagePullPolicy": predictor["imagePullPolicy"],
            # -f: a pod whose node restarted runs this again, over files that are read-only.
            "command": ["cp", "-R", "-f", f"{folder}/.", INCOMING],
            "resources": predictor["resources"],
            "volumeMounts": [{"name": api.MODELS_VOLUME, "mountPath": MODELS}],
            "securityContext": predictor["securityContext"],
        }
    ]


def _fetch(
    rp: RiskPredictor, model: Model, predictor: Body, volumes: Iterable[str]
) -> dict[str, Any]:
    return {
        "name": api.FETCH_CONTAINER,
        "image": predictor["image"],
        "imagePullPolicy": predictor["imagePullPolicy"],
        "args": ["fetch"],
        "env": [
            *({"name": name, "value": value} for name, value in _variables(rp, model).items()),
            *rp.pod_template.env,
        ],
        # Those of the predictor: the pod asks for no more than without it, and what a LimitRange
        # admits there it admits here.
        "resources": predictor["resources"],
        "volumeMounts": [
            {"name": api.MODELS_VOLUME, "mountPath": MODELS},
            *({"name": name, "mountPath": _PATHS[name], "readOnly": True} for name in volumes),
        ],
        "securityContext": predictor["securityContext"],
    }


def _variables(rp: RiskPredictor, model: Model) -> dict[str, str]:
    source = json.dumps({model.kind: model.place}, separators=(",", ":"), sort_keys=True)
    variables = {
        "RISKPREDICTOR_MODEL": MODEL,
        "RISKPREDICTOR_MODEL_VERSION": rp.model_version,
        "RISKPREDICTOR_MODEL_DIGEST": model.digest,
        # Kubernetes replaces $(NAME) in values, and makes one $ of two.
        "RISKPREDICTOR_MODEL_SOURCE": source.replace("$", "$$"),
        "RISKPREDICTOR_MODEL_COPY": _PATHS[api.COPY_VOLUME],
    }
    if model.credentials_secret:
        variables["RISKPREDICTOR_MODEL_CREDENTIALS"] = _PATHS[api.CREDENTIALS_VOLUME]
    if model.ca_bundle:
        variables["RISKPREDICTOR_MODEL_CA"] = f"{_PATHS[api.CA_VOLUME]}/{model.ca_bundle.key}"
    if model.public_key:
        variables["RISKPREDICTOR_MODEL_PUBLIC_KEY"] = (
            f"{_PATHS[api.KEY_VOLUME]}/{model.public_key.key}"
        )
    return variables


def _volumes(rp: RiskPredictor, model: Model) -> dict[str, dict[str, Any]]:
    """The sources of what only the fetch step sees, by volume name."""
    copy = {"name": names.model_copy_of(rp.key, model.digest), "optional": True}
    volumes: dict[str, dict[str, Any]] = {api.COPY_VOLUME: _of_config_map(copy)}
    if model.credentials_secret:
        secret = {"secretName": model.credentials_secret, "defaultMode": _READ_ONLY_FILE}
        volumes[api.CREDENTIALS_VOLUME] = {"secret": secret}
    for name, entry in ((api.CA_VOLUME, model.ca_bundle), (api.KEY_VOLUME, model.public_key)):
        if entry:
            items = [{"key": entry.key, "path": entry.key}]
            volumes[name] = _of_config_map({"name": entry.config_map, "items": items})
    if model.kind == PVC:
        claim = {"claimName": model.place["claimName"], "readOnly": True}
        volumes[api.SOURCE_VOLUME] = {"persistentVolumeClaim": claim}
    return volumes


def _of_config_map(source: Body) -> dict[str, Any]:
    return {"configMap": {**source, "defaultMode": _READ_ONLY_FILE}}
