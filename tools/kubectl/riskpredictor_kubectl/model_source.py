"""A model from a store, in a spec and in the pod template that the operator makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from riskpredictor_kubectl.names import Body

ANNOTATION_DIGEST = "healthtech.dev/model-digest"
"""On every pod whose model comes from a store: the digest that it was verified against."""
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
CONTAINER = "fetch-model"
ENV_MODEL, ENV_SOURCE = "RISKPREDICTOR_MODEL", "RISKPREDICTOR_MODEL_SOURCE"
_SHOWN = len("sha256:") + 12


def digest(body: Body) -> str:
    """The digest that a pod, or pod template, asks for; empty if the model is in the image."""
    return str((body["metadata"].get("annotations") or {}).get(ANNOTATION_DIGEST, ""))


def short(digest: str) -> str:
    """A digest for a table: its first 12 hexadecimal digits, as in names of model copies."""
    return digest[:_SHOWN]


def declared(template: Body) -> dict[str, Any]:
    """``spec.model`` as a pod template shows it; empty if the model is in the image."""
    spec = template["spec"]
    fetch = next((c for c in spec.get("initContainers") or () if c["name"] == CONTAINER), None)
    if fetch is None:
        return {}
    env = {each["name"]: each.get("value", "") for each in fetch.get("env") or ()}
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or ()}
    # Kubernetes replaces $(NAME) in values, so the operator writes $$ for $.
    found = {
        "digest": digest(template),
        "source": json.loads(env.get(ENV_SOURCE, "{}").replace("$$", "$")),
    }
    if secret := (volumes.get("model-credentials") or {}).get("secret"):
        found["credentialsSecret"] = {"name": secret["secretName"]}
    if bundle := _config_map(volumes.get("model-ca")):
        found["caBundle"] = bundle
    if key := _config_map(volumes.get("model-key")):
        found["signature"] = {"publicKey": key}
    return found


def _config_map(volume: Body | None) -> dict[str, str]:
    source = (volume or {}).get("configMap")
    return {"configMap": source["name"], "key": source["items"][0]["key"]} if source else {}


def place(source: Body) -> str:
    """Where ``spec.model.source`` points, for people: s3://models/risk/v2."""
    for kind, where in source.items():
        if where:
            say = _PLACES.get(kind)
            return say(where) if say else kind
    return ""


def _joined(scheme: str, *names: str) -> Callable[[Body], str]:
    return lambda where: (
        scheme + "/".join(str(where[name]).strip("/") for name in names if where.get(name))
    )


_PLACES: Final[Mapping[str, Callable[[Body], str]]] = {
    "s3": _joined("s3://", "bucket", "prefix"),
    "gcs": _joined("gs://", "bucket", "prefix"),
    "azure": _joined("az://", "account", "container", "prefix"),
    "http": lambda where: str(where.get("url", "")),
    "oci": _joined("oci://", "reference"),
    "pvc": _joined("claim ", "claimName", "path"),
    "mlflow": lambda where: f"{where.get('uri', '')} of {where.get('server', '')}",
    "image": _joined("image ", "reference"),
}
