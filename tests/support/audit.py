"""What the API server's audit log says about the operator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from support.cluster import LocalCluster
from support.operator import USER

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

Right = tuple[str, str, str]
"""Verb, API group, resource with its subresource."""


class Mark:
    """The audit log from now on."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._seen = len(cluster.audit_lines())

    def requests(self, user: str = USER) -> list[dict[str, Any]]:
        """Requests of a user that were answered since."""
        lines = self._cluster.audit_lines()
        assert len(lines) >= self._seen, "the audit log lost its beginning"
        return [
            entry
            for entry in map(json.loads, lines[self._seen :])
            if entry["user"]["username"] == user and entry["stage"] == "ResponseComplete"
        ]

    def writes(self, namespace: str, user: str = USER) -> list[str]:
        """Its writes in a namespace, in words."""
        return [
            f"{entry['verb']} {resource_of(entry)} {entry['objectRef'].get('name', '')}"
            for entry in self.requests(user)
            if entry["verb"] in WRITES and entry["objectRef"].get("namespace") == namespace
        ]


def resource_of(entry: dict[str, Any]) -> str:
    """``resource`` or ``resource/subresource`` of an audit entry."""
    reference = entry["objectRef"]
    sub = reference.get("subresource")
    return f"{reference['resource']}/{sub}" if sub else str(reference["resource"])


def used_rights(entries: Iterable[dict[str, Any]]) -> set[Right]:
    """The rights that requests needed. Server-side apply of a new object needs ``create`` too."""
    used = set()
    for entry in entries:
        if "objectRef" not in entry or entry["objectRef"]["resource"].endswith("reviews"):
            continue  # discovery, and asking about oneself: open to every account
        verbs = [entry["verb"]]
        if entry["verb"] == "patch" and entry["responseStatus"]["code"] == 201:
            verbs.append("create")
        group = entry["objectRef"].get("apiGroup", "")
        used |= {(verb, group, resource_of(entry)) for verb in verbs}
    return used


def granted_rights(rules: Iterable[dict[str, Any]]) -> set[Right]:
    """The rights that RBAC rules grant."""
    return {
        (verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
