"""Labels, owner references and the applied-hash that every child carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from riskpredictor_operator.core import api
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body, Resource


def selector_labels(rp: RiskPredictor) -> dict[str, str]:
    """Labels that select the pods. Immutable in a Deployment, so minimal and never the user's."""
    return {api.LABEL_PREDICTOR: rp.key.name}


def labels(rp: RiskPredictor) -> dict[str, str]:
    """Labels of every child and pod: the selector and the recommended ``app.kubernetes.io`` set.

    Without ``app.kubernetes.io/instance``: Argo CD, before 3.0 and where it is told to, takes every
    object without owner that carries its Application's name there for its own, and prunes it.
    """
    return {
        "app": rp.key.name,
        "app.kubernetes.io/component": "predictor",
        api.LABEL_MANAGED_BY: api.FIELD_MANAGER,
        "app.kubernetes.io/name": "riskpredictor",
        "app.kubernetes.io/part-of": "riskpredictor",
        **selector_labels(rp),
    }


def child(
    rp: RiskPredictor, resource: Resource, spec: Body, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A complete child manifest around a spec, with owner reference and applied-hash.

    ``annotations`` are of this child alone, and win over those of all.
    """
    manifest: dict[str, Any] = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": rp.key.name,
            "namespace": rp.key.namespace,
            "labels": {**rp.child_metadata.labels, **labels(rp)},
            "ownerReferences": [owner(rp)],
        },
        "spec": spec,
    }
    declared = {**rp.child_metadata.annotations, **(annotations or {})}
    if declared:
        manifest["metadata"]["annotations"] = declared
    manifest["metadata"]["annotations"] = {**declared, api.ANNOTATION_HASH: digest(manifest)}
    return manifest


def digest(manifest: Body) -> str:
    """16 hexadecimal digits that change with any byte of the manifest's canonical JSON."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def owner(rp: RiskPredictor) -> dict[str, Any]:
    """The owner reference of what belongs to a RiskPredictor and goes with it."""
    return {
        "apiVersion": api.RISKPREDICTOR.api_version,
        "kind": api.KIND,
        "name": rp.key.name,
        "uid": rp.uid,
        "controller": True,
        # Foreground deletion of the RiskPredictor waits for its children.
        "blockOwnerDeletion": True,
    }
