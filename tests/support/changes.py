"""A seeded stream of changes to the RiskPredictors of a namespace, and what must come of them."""

from __future__ import annotations

import random
from typing import Any

from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api

Spec = dict[str, Any]


class Changes:
    """Creates, updates and deletes; ``wanted`` is what the namespace must hold in the end."""

    def __init__(self, api: Api, namespace: str, seed: int, count: int = 0) -> None:
        """Create ``count`` RiskPredictors to begin with."""
        self._api = api
        self._namespace = namespace
        self._rng = random.Random(seed)
        self._made = 0
        self.wanted: dict[str, Spec] = {}
        self.count = 0
        self.create(count)

    def create(self, count: int = 1) -> None:
        """Create this many RiskPredictors."""
        for _ in range(count):
            name = f"risk-{self._made}"
            self._made += 1
            spec = {"modelVersion": "v1", "minReplicas": 1}
            metadata = {"name": name, "namespace": self._namespace}
            self._api.create(RISKPREDICTOR, {"metadata": metadata, "spec": spec})
            self.wanted[name] = spec
            self.count += 1

    def update(self) -> None:
        """Another version, other bounds, a fixed size or none."""
        if not self.wanted:
            return self.create()
        name = self._rng.choice(sorted(self.wanted))
        change: Spec = self._rng.choice(
            [
                {"modelVersion": f"v{self._rng.randint(2, 9)}"},
                {"minReplicas": self._rng.randint(1, 3)},
                {"replicas": self._rng.randint(1, 3)},
                {"replicas": None},
            ]
        )
        self._api.patch(RISKPREDICTOR, Key(self._namespace, name), {"spec": change})
        merged = {**self.wanted[name], **change}
        self.wanted[name] = {k: v for k, v in merged.items() if v is not None}
        if change.get("replicas", 0) is None:
            self.wanted[name]["replicas"] = None
        self.count += 1
        return None

    def delete(self) -> None:
        """Delete one, chosen at random."""
        if self.wanted:
            name = self._rng.choice(sorted(self.wanted))
            self._api.delete(RISKPREDICTOR, Key(self._namespace, name))
            del self.wanted[name]
            self.count += 1

    def some(self, count: int = 1) -> None:
        """So many of any kind; as many are made as are deleted."""
        for _ in range(count):
            self._rng.choice([self.create, self.update, self.update, self.delete])()
