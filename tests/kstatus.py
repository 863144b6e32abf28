"""Health as GitOps tools read it: kstatus's verdict, and the rules that a status must keep.

Source: ``sigs.k8s.io/cli-utils/pkg/kstatus`` (the order of the questions) and the condition
invariants documented by Flux. Pure functions of a RiskPredictor as the API server stores it, so
that unit tests and tests against a real cluster hold a status to the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_ABNORMAL = ("Reconciling", "Stalled")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
_REASON = re.compile(r"^[A-Z][A-Za-z]+$")
_REQUIRED = ("type", "status", "reason", "message", "observedGeneration", "lastTransitionTime")


def health(body: Mapping[str, Any]) -> str:
    """kstatus's verdict: Terminating, InProgress, Failed or Current."""
    metadata, status = body["metadata"], body.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if not status:
        return "Current"
    states = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    if states.get("Reconciling") == "True":
        return "InProgress"
    if states.get("Stalled") == "True":
        return "Failed"
    return "Current" if states.get("Ready") == "True" else "InProgress"


def violations(body: Mapping[str, Any]) -> list[str]:
    """The rules that a RiskPredictor's status breaks, as sentences; empty where it keeps all.

    A status that nobody has written yet (``{observedGeneration: -1}``) breaks none.
    """
    status = body.get("status") or {}
    conditions = status.get("conditions") or []
    if status.get("observedGeneration") == -1 and not conditions:
        return []
    return [
        *_of_the_generation(body, status),
        *_of_the_form(conditions),
        *_of_the_states({c["type"]: c["status"] for c in conditions}),
        *_of_readiness(status, conditions),
    ]


def _of_the_generation(body: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[str]:
    observed, generation = status.get("observedGeneration"), body["metadata"]["generation"]
    if not isinstance(observed, int):
        yield f"status.observedGeneration is {observed!r}, not a number"
    elif observed > generation:
        yield f"status.observedGeneration {observed} is ahead of metadata.generation {generation}"


def _of_the_form(conditions: list[Mapping[str, Any]]) -> Iterator[str]:
    types = [condition.get("type") for condition in conditions]
    for twice in sorted({str(name) for name in types if types.count(name) > 1}):
        yield f"{twice} is there more than once"
    for condition in conditions:
        name = str(condition.get("type"))
        for part in _REQUIRED:
            if condition.get(part) in (None, ""):
                yield f"{name} has no {part}"
        if condition.get("status") not in ("True", "False", "Unknown"):
            yield f"{name}'s status is {condition.get('status')!r}"
        if not _REASON.match(str(condition.get("reason"))):
            yield f"{name}'s reason {condition.get('reason')!r} is not one CamelCase word"
        if not _TIME.match(str(condition.get("lastTransitionTime"))):
            yield f"{name}'s lastTransitionTime is not an RFC 3339 time in UTC"


def _of_the_states(states: Mapping[str, str]) -> Iterator[str]:
    if "Ready" not in states:
        yield "Ready is missing"
    for name in _ABNORMAL:
        if name in states and states[name] != "True":
            yield f"{name} exists although it is {states[name]}"
        if states.get(name) == "True" and states.get("Ready") != "False":
            yield f"Ready is {states.get('Ready')} while {name} is True"
    if all(states.get(name) == "True" for name in _ABNORMAL):
        yield "Reconciling and Stalled are both True"
    if states.get("Ready") == "Unknown" and states.get("Reconciling") != "True":
        yield "Ready is Unknown without Reconciling"


def _of_readiness(status: Mapping[str, Any], conditions: list[Mapping[str, Any]]) -> Iterator[str]:
    ready = next((c for c in conditions if c.get("type") == "Ready"), {})
    if ready.get("status") != "True":
        return
    for condition in conditions:
        if condition.get("observedGeneration") != status.get("observedGeneration"):
            yield (
                f"Ready is True, and {condition.get('type')} describes generation "
                f"{condition.get('observedGeneration')}, not {status.get('observedGeneration')}"
            )
