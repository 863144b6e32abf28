"""The operator's roles, with single rights taken away for a while."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.api import eventually
from support.audit import Right, granted_rights
from support.cluster import LocalCluster
from support.operator import ACCOUNT, SYSTEM, USER

ROLE = f"clusterrole/{ACCOUNT}"
LEASE_ROLE = f"role/{ACCOUNT}-lease"

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
        self._replace(without(self.body["rules"], rights))
        for right in rights:
            self._await("no", right)
        try:
            yield
        finally:
            self._replace(self.body["rules"])
            for right in rights:
                self._await("yes", right)

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

    def _replace(self, rules: Rules) -> None:
        self.cluster.kubectl("replace", "-f", "-", stdin=json.dumps({**self.body, "rules": rules}))

    def _await(self, answer: str, right: Right) -> None:
        """Wait until the API server's authorizer knows, which takes it a moment."""
        verb, group, resource = right
        plural, _, sub = resource.partition("/")
        asked = (
            "-n", SYSTEM, "auth", "can-i", verb, f"{plural}.{group}/{ACCOUNT}".replace("./", "/"),
            f"--subresource={sub}", f"--as={USER}",
        )  # fmt: skip
        eventually(lambda: self.cluster.try_kubectl(*asked).stdout.strip() == answer, every=0.1)
