"""One artifact, all transports, one digest; and what every transport says when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from store.conftest import Pod, Stores

from support.stores import NAMES, Source, Store

FILES = {"card.json", "scorer.json", "model.joblib"}


@pytest.fixture(scope="module", params=NAMES)
def filled(request: pytest.FixtureRequest, stores: Stores, model: Path) -> tuple[Store, Source]:
    """A store that runs, and the source of v1 in it."""
    store = stores[request.param]
    return store, store.put(model)


def mounted(store: Store) -> dict[str, str]:
    """Where a volume is mounted, for a store that is one."""
    root = getattr(store, "root", None)
    return {"MODEL_CLAIM": str(root)} if root else {}


def test_the_artifact_arrives_as_it_was_put_there(
    filled: tuple[Store, Source], pod: Pod, model: Path
) -> None:
    store, source = filled
    done = pod.fetch(store, source, **mounted(store))
    assert done.status == 0, done.log
    assert done.files() == {name: (model / name).read_bytes() for name in FILES}
    assert not (pod.home / "termination-log").read_bytes()


def test_where_nothing_was_put_the_model_is_not_found(
    filled: tuple[Store, Source], pod: Pod
) -> None:
    store, _ = filled
    done = pod.fetch(store, store.absent(), **mounted(store))
    assert (done.status, done.reason) == (1, "ModelNotFound"), done.log
    assert "nowhere" in done.message
    assert "check spec.model.source" in done.message
    assert done.files() == {}


def test_another_digest_is_refused(filled: tuple[Store, Source], pod: Pod, digest: str) -> None:
    store, source = filled
    done = pod.fetch(store, source, digest=f"sha256:{'0' * 64}", **mounted(store))
    assert (done.status, done.reason) == (1, "ModelDigestMismatch"), done.log
    assert digest in done.message
    assert done.files() == {}


@pytest.mark.parametrize("name", ["s3", "azure", "http"])
def test_wrong_credentials_are_refused_and_not_told(
    name: str, stores: Stores, pod: Pod, model: Path
) -> None:
    store = stores[name]
    wrong = {key: f"wrong{value}" for key, value in store.credentials.items()}
    done = pod.fetch(store, store.put(model), credentials=wrong)
    assert (done.status, done.reason) == (1, "ModelFetchFailed"), done.log
    assert "spec.model.credentialsSecret" in done.message
    told = done.log + done.message
    assert not [value for value in wrong.values() if len(value) > 20 and value in told]
