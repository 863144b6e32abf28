"""The parts of a pod that bring the models from stores into it.

An init container of the predictor's own image fetches and verifies a model before the predictor
starts, and leaves it in a volume that the predictor reads. Credentials, certificates and keys are
mounted in that container alone. The stable model and a candidate come by the same means, each under
the names of its own slot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from riskpredictor_operator.core import api, names, slots
from riskpredictor_operator.core.model import IMAGE, PVC, Model
from riskpredictor_operator.core.release import Release, escaped
from riskpredictor_operator.core.slots import MODELS, STABLE, Slot
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body

CLAIM = "/models-source"
"""Where the claim of a source ``pvc`` is mounted."""
IMAGE_PATH = "/model"
"""Folder of an image that holds the model, where the source names none."""
CONFIG = "/etc/riskpredictor"

SIZE_LIMIT = "1Gi"
"""The most that models may take of a node's disk; beyond it the kubelet evicts the pod."""
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
"""Without it, the cluster autoscaler keeps every node on which a pod has an emptyDir."""
READ_ONLY_FILE = 0o444
_PATHS = {
    slots.COPY: f"{CONFIG}/copy",
    slots.CREDENTIALS: f"{CONFIG}/credentials",
    slots.CA: f"{CONFIG}/ca",
    slots.KEY: f"{CONFIG}/key",
    slots.SOURCE: CLAIM,
}
"""Where a fetch step finds its volumes."""


def with_stable(template: Body, rp: RiskPredictor, stable: Release) -> dict[str, Any]:
    """A pod template whose predictor serves the stable model, wherever that is.

    Args:
        template: the template of a predictor whose model is in its image.
        rp: what is declared.
        stable: what is served.
    """
    if stable.model is None:
        return dict(template)
    variables = {"RISKPREDICTOR_MODEL": STABLE.folder}
    return with_models(with_fetch(template, rp, STABLE, stable, stable.model), variables)


def with_models(template: Body, variables: Mapping[str, str]) -> dict[str, Any]:
    """A pod template whose predictor has the volume with the models, and these variables."""
    metadata, spec = template["metadata"], template["spec"]
    predictor, *others = spec["containers"]
    pod_name, *rest = predictor["env"]
    models = {"name": api.MODELS_VOLUME, "emptyDir": {"sizeLimit": SIZE_LIMIT}}
    mount = {"name": api.MODELS_VOLUME, "mountPath": MODELS, "readOnly": True}
    volumes = spec.get("volumes") or []
    return {
        "metadata": {
            **metadata,
            "annotations": {
                SAFE_TO_EVICT: api.MODELS_VOLUME,
                **(metadata.get("annotations") or {}),
            },
        },
        "spec": {
            **spec,
            "containers": [
                {
                    **predictor,
                    "env": [pod_name, *as_env(variables), *rest],
                    "volumeMounts": [mount],
                },
                *others,
            ],
            "volumes": volumes if models in volumes else [models, *volumes],
        },
    }


def with_fetch(
    template: Body, rp: RiskPredictor, slot: Slot, release: Release, model: Model
) -> dict[str, Any]:
    """A pod template with the init containers that fetch a model from a store, after those that it
    has.

    Args:
        template: the template without them.
        rp: what is declared.
        slot: where the model goes.
        release: the model's; its image fetches.
        model: the model.
    """
    metadata, spec = template["metadata"], template["spec"]
    predictor = {**spec["containers"][0], "image": release.image}
    volumes = _volumes(rp, slot, model)
    return {
        "metadata": {
            "labels": {**metadata["labels"], slot.source_label: model.kind},
            "annotations": {
                **(metadata.get("annotations") or {}),
                # Another digest is another template, so the pods are replaced.
                slot.digest_annotation: model.digest,
            },
        },
        "spec": {
            **spec,
            "initContainers": [
                *(spec.get("initContainers") or ()),
                *_copy(slot, model, predictor),
                _fetch(rp, slot, predictor, _variables(slot, release, model), volumes),
            ],
            "volumes": [
                *(spec.get("volumes") or ()),
                *({"name": slot.volume(part), **source} for part, source in volumes.items()),
            ],
        },
    }


def copy_container(
    slot: Slot, image: str, folder: str, target: str, predictor: Body
) -> dict[str, Any]:
    """The init container that copies a model out of an image.

    Args:
        slot: which model it is.
        image: the image.
        folder: where the model is in it.
        target: where it goes.
        predictor: the container that it resembles.
    """
    return {
        "name": slot.copy_container,
        "image": image,
        "imagePullPolicy": predictor["imagePullPolicy"],
        # -f: a pod whose node restarted runs this again, over files that are read-only.
        "command": ["cp", "-R", "-f", f"{folder}/.", target],
        "resources": predictor["resources"],
        "volumeMounts": [{"name": api.MODELS_VOLUME, "mountPath": MODELS}],
        "securityContext": predictor["securityContext"],
    }


def as_env(variables: Mapping[str, str]) -> list[dict[str, Any]]:
    """Variables in the form of a container's ``env``."""
    return [{"name": name, "value": escaped(value)} for name, value in variables.items()]


def of_config_map(source: Body) -> dict[str, Any]:
    """The source of a volume with files that nobody changes."""
    return {"configMap": {**source, "defaultMode": READ_ONLY_FILE}}


def _copy(slot: Slot, model: Model, predictor: Body) -> list[dict[str, Any]]:
    if model.kind != IMAGE:
        return []
    folder = str(model.place.get("path") or IMAGE_PATH).rstrip("/")
    reference = model.place["reference"]
    return [copy_container(slot, reference, folder, slot.incoming_folder, predictor)]


def _fetch(
    rp: RiskPredictor, slot: Slot, predictor: Body, variables: Mapping[str, str],
    volumes: Iterable[str],
) -> dict[str, Any]:  # fmt: skip
    return {
        "name": slot.fetch_container,
        "image": predictor["image"],
        "imagePullPolicy": predictor["imagePullPolicy"],
        "args": ["fetch"],
        "env": [*as_env(variables), *rp.pod_template.env],
        # Those of the predictor: the pod asks for no more than without it, and what a LimitRange
        # admits there it admits here.
        "resources": predictor["resources"],
        "volumeMounts": [
            {"name": api.MODELS_VOLUME, "mountPath": MODELS},
            *(
                {"name": slot.volume(part), "mountPath": _PATHS[part], "readOnly": True}
                for part in volumes
            ),
        ],
        "securityContext": predictor["securityContext"],
    }


def _variables(slot: Slot, release: Release, model: Model) -> dict[str, str]:
    source = json.dumps({model.kind: model.place}, separators=(",", ":"), sort_keys=True)
    variables = {
        "RISKPREDICTOR_MODEL": slot.folder,
        "RISKPREDICTOR_MODEL_VERSION": release.version,
        "RISKPREDICTOR_MODEL_DIGEST": model.digest,
        "RISKPREDICTOR_MODEL_SOURCE": source,
        "RISKPREDICTOR_MODEL_COPY": _PATHS[slots.COPY],
    }
    if model.credentials_secret:
        variables["RISKPREDICTOR_MODEL_CREDENTIALS"] = _PATHS[slots.CREDENTIALS]
    if model.ca_bundle:
        variables["RISKPREDICTOR_MODEL_CA"] = f"{_PATHS[slots.CA]}/{model.ca_bundle.key}"
    if model.public_key:
        variables["RISKPREDICTOR_MODEL_PUBLIC_KEY"] = f"{_PATHS[slots.KEY]}/{model.public_key.key}"
    if slot.optional:
        variables["RISKPREDICTOR_MODEL_OPTIONAL"] = "on"
        if model.kind == IMAGE:
            variables["RISKPREDICTOR_MODEL_INCOMING"] = slot.incoming_folder
    return variables


def _volumes(rp: RiskPredictor, slot: Slot, model: Model) -> dict[str, dict[str, Any]]:
    """The sources of what only the fetch step sees, by what they are for."""
    copy = {"name": names.model_copy_of(rp.key, model.digest), "optional": True}
    volumes: dict[str, dict[str, Any]] = {slots.COPY: of_config_map(copy)}
    # What is missing is the fetch step's to tell then.
    optional = {"optional": True} if slot.optional else {}
    if model.credentials_secret:
        secret = {"secretName": model.credentials_secret, "defaultMode": READ_ONLY_FILE}
        volumes[slots.CREDENTIALS] = {"secret": {**secret, **optional}}
    for part, entry in ((slots.CA, model.ca_bundle), (slots.KEY, model.public_key)):
        if entry:
            items = [{"key": entry.key, "path": entry.key}]
            volumes[part] = of_config_map({"name": entry.config_map, "items": items, **optional})
    if model.kind == PVC:
        claim = {"claimName": model.place["claimName"], "readOnly": True}
        volumes[slots.SOURCE] = {"persistentVolumeClaim": claim}
    return volumes
