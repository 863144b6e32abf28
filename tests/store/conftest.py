"""Stores that the tests start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from unit.predictor.support import artifact

from support.fetch import Outcome, digest_of, fetch
from support.stores import Store, serve

LOOPBACK = "127.0.0.1"


class Stores:
    """The stores of one module, each started when it is asked for."""

    def __init__(self, home: Path) -> None:
        self._home, self._open = home, ExitStack()
        self._running: dict[str, Store] = {}

    def __getitem__(self, name: str) -> Store:
        if name not in self._running:
            folder = self._home / name
            folder.mkdir()
            self._running[name] = self._open.enter_context(serve(name, LOOPBACK, folder))
        return self._running[name]

    def close(self) -> None:
        """End them."""
        self._open.close()


@pytest.fixture(scope="session")
def model() -> Path:
    """The artifact of v1."""
    return artifact()


@pytest.fixture(scope="session")
def digest(model: Path) -> str:
    """Its identity."""
    return digest_of(model)


class Pod:
    """A pod's volume, in which the fetch step runs."""

    def __init__(self, home: Path, digest: str) -> None:
        self.home, self._digest = home, digest

    def fetch(self, store: Store, source: dict[str, Any], **changed: Any) -> Outcome:
        """Run it with what belongs to the store; ``changed`` arguments of ``support.fetch``."""
        given = {"credentials": store.credentials, "authority": store.authority}
        return fetch(self.home, source, **{"digest": self._digest, **given, **changed})


@pytest.fixture
def pod(tmp_path: Path, digest: str) -> Pod:
    """One that declares v1 by its digest."""
    return Pod(tmp_path / "pod", digest)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """By name. Programs come the first time, which no test's time limit is for."""
    running = Stores(tmp_path_factory.mktemp("stores"))
    yield running
    running.close()
