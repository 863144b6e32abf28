"""``kubectl riskpredictor model`` with real stores: what it prints is what a pod fetches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from store.conftest import Pod, Stores
from store.test_matrix import FILES

from riskpredictor_kubectl.cli import cli
from support.fetch import FOREIGN
from support.stores import NAMES, Source, Store

PLACES = [name for name in NAMES if name != "pvc"]
"""A claim can be read in its cluster only."""
WRITABLE = ["s3", "azure", "oci"]
"""Those that are written to; the test server of GCS does not take uploads by its XML interface."""


@pytest.fixture(params=PLACES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _address(source: Source) -> list[str]:
    """A source as arguments of the command line."""
    [(kind, where)] = source.items()
    flags = [f"--{flag}={where[flag]}" for flag in ("endpoint", "region") if flag in where]
    match kind:
        case "s3" | "gcs":
            return [
                f"{'gs' if kind == 'gcs' else kind}://{where['bucket']}/{where['prefix']}",
                *flags,
            ]
        case "azure":
            return [f"az://{where['account']}/{where['container']}/{where['prefix']}", *flags]
        case "http":
            return [where["url"]]
        case "oci":
            return [f"oci://{where['reference']}"]
        case _:
            return [where["uri"], f"--server={where['server']}"]


def _access(store: Store, home: Path) -> list[str]:
    folder = home / "credentials-of-a-person"
    folder.mkdir(exist_ok=True)
    for name, value in store.credentials.items():
        (folder / name).write_text(value)
    authority = [f"--ca={store.authority}"] if store.authority else []
    return [f"--credentials={folder}", *authority]


def _invoke(*arguments: str) -> Result:
    """Run it where the environment names neither a store nor anybody's identity."""
    theirs = {name: None for name in os.environ if name.upper().startswith(FOREIGN)}
    environment = {**theirs, "GCE_METADATA_HOST": "127.0.0.1:1"}
    return CliRunner().invoke(cli, ["model", *arguments], env=environment)


def _run(*arguments: str) -> str:
    done = _invoke(*arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def test_a_pod_fetches_what_was_resolved(
    name: str, stores: Stores, pod: Pod, model: Path, digest: str, tmp_path: Path
) -> None:
    store = stores[name]
    place = [*_address(store.put(model)), *_access(store, tmp_path)]
    spec = yaml.safe_load(_run("resolve", *place))
    assert (spec["modelVersion"], spec["model"]["digest"]) == ("v1", digest)
    done = pod.fetch(store, spec["model"]["source"])
    assert done.status == 0, done.log
    assert _run("inspect", *place) == _run("inspect", str(model))


@pytest.mark.parametrize("name", WRITABLE)
def test_a_pod_fetches_what_was_pushed(
    name: str, stores: Stores, pod: Pod, model: Path, digest: str, tmp_path: Path
) -> None:
    store = stores[name]
    absent, *flags = _address(store.absent())
    place = [absent.replace("nowhere", f"pushed-{name}"), *flags, *_access(store, tmp_path)]
    spec = yaml.safe_load(_run("push", str(model), *place))
    assert spec["model"]["digest"] == digest
    done = pod.fetch(store, spec["model"]["source"])
    assert (done.status, set(done.files())) == (0, FILES), done.log


def test_where_nothing_is_the_store_says_so(name: str, stores: Stores, tmp_path: Path) -> None:
    store = stores[name]
    place = [*_address(store.absent()), *_access(store, tmp_path)]
    done = _invoke("resolve", *place)
    assert "nowhere" in str(done.exception)


def test_an_alias_of_mlflow_becomes_the_version_that_has_it(
    stores: Stores, pod: Pod, model: Path, digest: str, tmp_path: Path
) -> None:
    store = stores["mlflow"]
    # The test's client gives the last version the alias.
    source = store.put(model)
    _, server = _address(source)
    place = ["models:/risk@champion", server, *_access(store, tmp_path)]
    spec = yaml.safe_load(_run("resolve", *place))
    assert spec["model"] == {"digest": digest, "source": source}
    assert pod.fetch(store, spec["model"]["source"]).status == 0
