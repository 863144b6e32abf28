"""The operator's roles, with single rights taken away for a while."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.audit import Right, granted_rights
from support.cluster import LocalCluster
from support.operator import ACCOUNT, SYSTEM

ROLE = f"clusterrole/{ACCOUNT}"
LEASE_ROLE = f"role/{ACCOUNT}-lease"
SECONDS = 1.0
"""That the API server's authorizer takes to learn of a change."""

Rules = list[dict[str, Any]]


def without(rules: Rules, rights: Collection[Right]) -> Rules:
    """The same rules without these rights."""
    left = [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for verb, group, resource in sorted(granted_rights(rules) - set(rights))
    ]
    assert len(left) == len(granted_rights(rules)) - len(rights), "each of them was granted"
    return left


@dataclass(frozen=True)
class Role:
    """A role as it is installed."""

    cluster: LocalCluster
    body: dict[str, Any]

    @classmethod
    def of(cls, cluster: LocalCluster, name: str = ROLE) -> Role:
        body = json.loads(cluster.kubectl("-n", SYSTEM, "get", name, "-o", "json"))
        del body["metadata"]["resourceVersion"]
        return cls(cluster, body)

    @property
    def rights(self) -> list[Right]:
        """Every single right that the role grants."""
        return sorted(granted_rights(self.body["rules"]))

    @contextmanager
    def lacking(self, rights: Collection[Right]) -> Iterator[None]:
        """For the length of the block it grants less."""
        self._set(without(self.body["rules"], rights))
        try:
            yield
        finally:
            self._set(self.body["rules"])

    def grant(self, namespace: str, rules: Rules) -> None:
        """Grant the operator these rights in one namespace."""
        group = "rbac.authorization.k8s.io"
        metadata = {"name": ACCOUNT, "namespace": namespace}
        role = {"kind": "Role", "metadata": metadata, "rules": rules}
        binding = {
            "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}],
        }  # fmt: skip
        items = [{"apiVersion": f"{group}/v1", **each} for each in (role, binding)]
        listed = {"apiVersion": "v1", "kind": "List", "items": items}
        self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def _set(self, rules: Rules) -> None:
        body = copy.deepcopy(self.body) | {"rules": rules}
        self.cluster.kubectl("replace", "-f", "-", stdin=json.dumps(body))
        time.sleep(SECONDS)
