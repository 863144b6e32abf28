"""The change of a RiskPredictor's spec that restores an earlier pod template.

Two templates are compared, so defaults of the API server and the operator are no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskpredictor_kubectl import model_source
from riskpredictor_kubectl.model_change import Model
from riskpredictor_kubectl.names import (
    CONTAINER,
    LABEL,
    Body,
    candidate_version,
    image,
    model_version,
)

_OURS = ("app.kubernetes.io/", "healthtech.dev/")
_NOT_DECLARED = ("app", "pod-template-hash", "kubectl.kubernetes.io/restartedAt")


# What the operator renders where the spec says nothing.
_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_EARLIER_SECURITY = {**_SECURITY, "runAsUser": 10001, "runAsGroup": 10001}
_NODES = {"kubernetes.io/os": "linux"}
_GRACE_SECONDS = 30
ENV_CANDIDATE = {
    "RISKPREDICTOR_CANDIDATE",
    "RISKPREDICTOR_CANDIDATE_PERCENT",
    "RISKPREDICTOR_CASES",
    "RISKPREDICTOR_GUARD",
    "RISKPREDICTOR_ROLLOUT_ID",
    "RISKPREDICTOR_SAMPLE",
    "RISKPREDICTOR_SUBJECT_HEADER",
}
"""Where a second model is on trial."""


def patch(spec: Body, now: Body, then: Body, declared: Model | None = None) -> dict[str, Any]:
    """A JSON merge patch of the spec; empty if there is nothing to change.

    Args:
        spec: the present one.
        now: the pod template that it made.
        then: the pod template to restore.
        declared: the model that the spec declares, where ``now`` serves another one: while it is on
            trial, and after it was aborted.
    """
    changes = _difference(_declared(now), _declared(then))
    image_now = declared.image if declared else image(now["spec"])
    model_now = spec.get("model") if declared else model_source.declared(now) or None
    image_changes = _image(spec, image_now, bool(model_now), then) | changes.pop("image", {})
    if image_changes:
        changes = {"image": image_changes, **changes}
    model_then = model_source.declared(then) or None
    changes = _difference({"model": model_now}, {"model": model_then}) | changes
    version = model_version(then)
    if (spec.get("shadow") or {}).get("modelVersion") == version:
        # A model cannot be observed beside itself.
        changes = {"shadow": None, **changes}
    if spec["modelVersion"] != version:
        changes = {"modelVersion": version, **changes}
    return changes


def _image(spec: Body, image_now: str, stored_now: bool, then: Body) -> dict[str, Any]:
    if image_now == image(then["spec"]) and stored_now and model_source.declared(then):
        # The default tag does not depend on the model version where the model comes from a store.
        return {}
    declared = spec.get("image") or {}
    (repository, _, _), (wanted_repository, tag, digest) = map(
        _split, (image_now, image(then["spec"]))
    )
    changes: dict[str, Any] = {}
    if repository != wanted_repository:
        changes["repository"] = wanted_repository
    # The default tag is the model version where the model is in the image.
    is_default = tag == model_version(then) and not model_source.declared(then)
    wanted_tag = None if is_default else tag
    if declared.get("tag") != wanted_tag:
        changes["tag"] = wanted_tag
    if declared.get("digest") != digest:
        changes["digest"] = digest
    return changes


def _split(reference: str) -> tuple[str, str, str | None]:
    """Repository, tag and digest of an image."""
    name, _, digest = reference.partition("@")
    repository, _, tag = name.rpartition(":")
    return repository, tag, digest or None


def _declared(template: Body) -> dict[str, Any]:
    """The parts of a template that come from the spec, named and nested as there."""
    metadata, spec = template["metadata"], template["spec"]
    container = next(c for c in spec["containers"] if c["name"] == CONTAINER)
    resources = container.get("resources") or {}
    grace = spec.get("terminationGracePeriodSeconds")
    return {
        "image": _present(
            pullPolicy=container.get("imagePullPolicy"), pullSecrets=spec.get("imagePullSecrets")
        ),
        # Empty and absent differ here: absent means the defaults.
        "resources": {name: resources.get(name) or {} for name in ("requests", "limits")},
        "podTemplate": _present(
            labels=_own(metadata.get("labels")),
            annotations=_annotations(template),
            env=_env(template, container),
            securityContext=_security(spec.get("securityContext")),
            terminationGracePeriodSeconds=None if grace == _GRACE_SECONDS else grace,
            nodeSelector=_differing(spec.get("nodeSelector"), _NODES),
            tolerations=spec.get("tolerations"),
            affinity=spec.get("affinity"),
            priorityClassName=spec.get("priorityClassName"),
            serviceAccountName=spec.get("serviceAccountName"),
            topologySpreadConstraints=_spread(template),
        ),
    }


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _security(context: Body | None) -> dict[str, Any]:
    return {} if context == _EARLIER_SECURITY else _differing(context, _SECURITY)


def _differing(entries: Body | None, standard: Body) -> dict[str, Any]:
    return {k: v for k, v in (entries or {}).items() if standard.get(k) != v}


def _own(entries: Mapping[str, str] | None) -> dict[str, str]:
    return {
        key: value
        for key, value in (entries or {}).items()
        if key not in _NOT_DECLARED and not key.startswith(_OURS)
    }


def _annotations(template: Body) -> dict[str, str]:
    entries = _own(template["metadata"].get("annotations"))
    ours = model_source.declared(template) or candidate_version(template)
    if ours and entries.get(model_source.SAFE_TO_EVICT) == "models":
        del entries[model_source.SAFE_TO_EVICT]
    return entries


def _env(template: Body, container: Body) -> list[Body]:
    ours = {"POD_NAME", *([model_source.ENV_MODEL] if model_source.declared(template) else [])}
    ours |= ENV_CANDIDATE if candidate_version(template) else set()
    return [each for each in container.get("env") or () if each["name"] not in ours]


def _spread(template: Body) -> list[Any]:
    """The constraints without what the operator adds: its selector, or its own constraint.

    That of an earlier operator has no ``matchLabelKeys``.
    """
    name = template["metadata"]["labels"][LABEL]
    own = {"matchLabels": {LABEL: name}}
    constraints = template["spec"].get("topologySpreadConstraints") or []
    bare = [
        {key: value for key, value in c.items() if key != "labelSelector" or value != own}
        for c in constraints
    ]
    standard = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    per_revision = {**standard, "matchLabelKeys": ["pod-template-hash"]}
    return [] if bare in ([standard], [per_revision]) else bare


def _difference(now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes ``then`` from ``now``; null removes."""
    changes: dict[str, Any] = {}
    for key in [*then, *(k for k in now if k not in then)]:
        before, after = now.get(key), then.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changes[key] = _difference(before, after)
        else:
            changes[key] = after
    return changes
