"""Artifacts in a real registry, pushed by oras and by the project's own tool."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from unit.predictor.support import artifact

from localcluster.gobuild import ensure
from riskpredictor_server.store import oci
from riskpredictor_server.store.errors import (
    DIGEST_MISMATCH,
    FETCH_FAILED,
    NOT_FOUND,
    REJECTED,
    StoreError,
)
from riskpredictor_server.store.http import HttpClient
from riskpredictor_server.store.retry import Retries
from riskpredictor_server.store.transport import FetchContext
from support.stores.oci import ORAS, PASSWORD, USERNAME, Registry, docker_config, guarded
from support.stores.oci_tokens import TokenServer

LOOPBACK = "127.0.0.1"
FILES = ("card.json", "scorer.json", "model.joblib")
LIMIT = 1 << 20
FOLDER_TAR = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """By HTTP, for anybody."""
    store = Registry(LOOPBACK, tmp_path_factory.mktemp("registry"), secure=False)
    yield store
    store.stop()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """By HTTPS with a certificate of an authority of its own, for those with a password."""
    store = guarded(LOOPBACK, tmp_path_factory.mktemp("hospital"))
    yield store
    store.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the artifact, named ``risk``."""
    copy = tmp_path / "risk"
    copy.mkdir()
    for name in FILES:
        shutil.copy(artifact("v1") / name, copy)
    return copy


def context(
    registry: Registry,
    credentials: Mapping[str, str] | None = None,
    authority: Path | None = None,
) -> FetchContext:
    retries = Retries(30, sleep=lambda _: None)
    known = registry.credentials if credentials is None else credentials
    authority = authority or registry.authority
    return FetchContext(HttpClient(retries, authority), retries, known, authority)


def read(reference: str, in_context: FetchContext) -> dict[str, bytes]:
    reader = oci.open({"reference": reference}, in_context)
    return {name: reader.read(name, LIMIT) for name in FILES}


def refusal(reference: str, in_context: FetchContext) -> tuple[str, str]:
    """Reason and message."""
    with pytest.raises(StoreError) as caught:
        read(reference, in_context)
    return caught.value.reason, caught.value.message


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def packed(folder: Path, how: str, name: str) -> str:
    """An archive beside the folder, which holds it."""
    with tarfile.open(folder.parent / name, how) as archive:  # type: ignore[call-overload]
        archive.add(folder, "risk")
    return name


# What oras makes of a folder


def files_alone(folder: Path, registry: Registry) -> str:
    return registry.oras(folder, ":files", *FILES)


def files_with_media_types(folder: Path, registry: Registry) -> str:
    return registry.oras(
        folder, ":types", *(f"{name}:application/octet-stream" for name in FILES)
    )  # fmt: skip


def files_of_a_subfolder(folder: Path, registry: Registry) -> str:
    return registry.oras(folder.parent, ":sub", *(f"risk/{name}" for name in FILES))


def a_folder(folder: Path, registry: Registry) -> str:
    return registry.oras(folder.parent, ":folder", "risk")


def a_tar(folder: Path, registry: Registry) -> str:
    return registry.oras(folder.parent, ":tar", f"{packed(folder, 'w', 'model.tar')}:{FOLDER_TAR}")


def a_tar_gz(folder: Path, registry: Registry) -> str:
    archive = packed(folder, "w:gz", "model.tar.gz")
    return registry.oras(folder.parent, ":tgz", f"{archive}:{FOLDER_TAR}+gzip")


def an_untitled_layer(folder: Path, registry: Registry) -> str:
    """As the layers of images are."""
    return retitled(folder, registry, f"{packed(folder, 'w', 'model.tar')}:{FOLDER_TAR}", {})


def model_pack_files(folder: Path, registry: Registry) -> str:
    kinds = {
        "card.json": "weight.config.v1.raw", "scorer.json": "weight.v1.raw",
        "model.joblib": "weight.v1.raw",
    }  # fmt: skip
    files = [f"{name}:application/vnd.cncf.model.{kind}" for name, kind in kinds.items()]
    kind = "application/vnd.cncf.model.manifest.v1+json"
    return registry.oras(folder, ":pack", *files, options=("--artifact-type", kind))


def a_model_pack_archive(folder: Path, registry: Registry) -> str:
    archive = f"{packed(folder, 'w', 'model.tar')}:application/vnd.cncf.model.weight.v1.tar"
    return retitled(folder, registry, archive, {"org.cncf.model.filepath": "risk"})


def retitled(folder: Path, registry: Registry, file: str, annotations: Mapping[str, str]) -> str:
    """Push one layer, and its manifest once more with other annotations of the layer."""
    registry.oras(folder.parent, ":to-change", file)
    manifest = json.loads(asked(registry, "manifest", "fetch", reference=":to-change"))
    manifest["layers"][0]["annotations"] = dict(annotations)
    path = folder.parent / "manifest.json"
    path.write_text(json.dumps(manifest))
    asked(registry, "manifest", "push", reference=":changed", after=[str(path)])
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def asked(registry: Registry, *command: str, reference: str, after: list[str] | None = None) -> str:
    """What oras says."""
    place = f"{registry.host}/models/risk{reference}"
    done = subprocess.run(
        [ensure(ORAS, ["oras"]) / "oras", *command, "--plain-http", place, *(after or [])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


PUSHES = [
    files_alone, files_with_media_types, files_of_a_subfolder, a_folder, a_tar, a_tar_gz,
    an_untitled_layer, model_pack_files, a_model_pack_archive,
]  # fmt: skip


@pytest.mark.parametrize("push", PUSHES, ids=lambda push: push.__name__)
def test_what_oras_pushed_is_read(
    push: Callable[[Path, Registry], str], folder: Path, registry: Registry
) -> None:
    digest = push(folder, registry)
    assert read(registry.reference(f"@{digest}"), context(registry)) == content(folder)


def test_a_tag_is_followed_and_a_digest_stays(folder: Path, registry: Registry) -> None:
    first = files_alone(folder, registry)
    before = content(folder)
    (folder / "card.json").write_bytes(b"{}")
    files_alone(folder, registry)
    assert read(registry.reference(":files"), context(registry)) == content(folder)
    for ending in (f"@{first}", f":files@{first}"):
        assert read(registry.reference(ending), context(registry)) == before


# What the project's tool pushes


def test_what_is_pushed_is_read_by_us_and_by_oras(
    folder: Path, registry: Registry, tmp_path: Path
) -> None:
    writer = oci.open_writer({"reference": registry.reference(":ours")}, context(registry))
    reference = writer.write(content(folder))
    assert reference.startswith(registry.reference(":ours@sha256:"))
    assert read(reference, context(registry)) == content(folder)
    asked(registry, "pull", "-o", str(tmp_path / "pulled"), reference=":ours")
    assert content(tmp_path / "pulled") == content(folder)
    manifest = json.loads(asked(registry, "manifest", "fetch", reference=":ours"))
    assert manifest["artifactType"] == "application/vnd.healthtech.riskpredictor.model.v1"
    assert manifest["annotations"] == {
        "dev.healthtech.riskpredictor.digest": "sha256:"
        + hashlib.sha256((folder / "card.json").read_bytes()).hexdigest(),
        "org.opencontainers.image.version": "v1",
    }


def test_the_same_files_make_the_same_reference(folder: Path, registry: Registry) -> None:
    def push() -> str:
        writer = oci.open_writer({"reference": registry.reference(":same")}, context(registry))
        return writer.write(content(folder))

    assert push() == push()


@pytest.mark.parametrize("ending", ["@sha256:" + "0" * 64, ":v2@sha256:" + "0" * 64])
def test_nothing_is_pushed_to_a_digest(ending: str, registry: Registry) -> None:
    with pytest.raises(StoreError, match="to push, name a tag and no digest"):
        oci.open_writer({"reference": registry.reference(ending)}, context(registry))


# A registry that wants to know who asks


ACCOUNTS: dict[str, Callable[[Registry], dict[str, str]]] = {
    "a pull secret": lambda registry: {".dockerconfigjson": docker_config(registry.host)},
    "of the repository": lambda registry: {
        ".dockerconfigjson": docker_config(f"https://{registry.host}/models")
    },
    "user and password": lambda _: {"username": USERNAME, "password": PASSWORD},
}


@pytest.mark.parametrize("kind", ACCOUNTS)
def test_an_account_is_sent_to_a_registry_with_a_private_authority(
    kind: str, folder: Path, hospital: Registry
) -> None:
    source = hospital.put(folder)["oci"]["reference"]
    given = context(hospital, ACCOUNTS[kind](hospital))
    assert read(source, given) == content(folder)
    writer = oci.open_writer({"reference": hospital.reference(":ours")}, given)
    assert read(writer.write(content(folder)), given) == content(folder)


def test_without_an_account_the_message_says_where_to_put_one(hospital: Registry) -> None:
    reason, message = refusal(hospital.reference(":v2"), context(hospital, {}))
    assert reason == FETCH_FAILED
    assert "wants a user name and a password; put them into the Secret" in message
    other = {".dockerconfigjson": docker_config("registry.example.com")}
    _, message = refusal(hospital.reference(":v2"), context(hospital, other))
    assert f"its .dockerconfigjson has none for {hospital.host}/models/risk" in message


def test_a_wrong_password_is_told_in_the_registrys_words(hospital: Registry) -> None:
    wrong = {"username": USERNAME, "password": "not-the-password"}
    reason, message = refusal(hospital.reference(":v2"), context(hospital, wrong))
    assert reason == FETCH_FAILED
    assert "HTTP 401 Unauthorized: UNAUTHORIZED authentication required" in message
    assert "not-the-password" not in message


def test_an_unknown_authority_is_named(hospital: Registry) -> None:
    retries = Retries(30)
    nobody = FetchContext(HttpClient(retries), retries, hospital.credentials)
    reason, message = refusal(hospital.reference(":v2"), nobody)
    assert reason == FETCH_FAILED
    assert "spec.model.caBundle" in message


Guarded = tuple[Registry, TokenServer]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A registry that sends clients to a server of tokens."""
    server = TokenServer(LOOPBACK, tmp_path_factory.mktemp("tokens"))
    home = tmp_path_factory.mktemp("token-registry")
    store = Registry(LOOPBACK, home, secure=False, auth=server.auth)
    yield store, server
    store.stop()
    server.stop()


ACCOUNT = {"username": USERNAME, "password": PASSWORD}


def test_a_token_is_got_with_the_account_for_what_is_done(tokens: Guarded, folder: Path) -> None:
    registry, server = tokens
    writer = oci.open_writer(
        {"reference": registry.reference(":v2")}, context(registry, ACCOUNT)
    )  # fmt: skip
    reference = writer.write(content(folder))
    server.requests.clear()
    assert read(reference, context(registry, ACCOUNT)) == content(folder)
    [(query, authorization)] = server.requests
    assert query["scope"] == ["repository:models/risk:pull"]
    assert authorization.startswith("Basic ")


def test_what_is_public_needs_no_account(tokens: Guarded, folder: Path) -> None:
    registry, server = tokens
    writer = oci.open_writer({"reference": registry.reference(":v2")}, context(registry, ACCOUNT))
    writer.write(content(folder))
    reason, message = refusal(registry.reference(":v2"), context(registry, {}))
    assert (reason, "HTTP 401" in message) == (FETCH_FAILED, True)
    server.public = True
    try:
        assert read(registry.reference(":v2"), context(registry, {})) == content(folder)
    finally:
        server.public = False


def test_an_account_that_gets_no_token_is_told_why(tokens: Guarded) -> None:
    registry, _ = tokens
    wrong = {"username": "nobody", "password": "not-the-password"}
    reason, message = refusal(registry.reference(":v2"), context(registry, wrong))
    assert reason == FETCH_FAILED
    assert "/token: HTTP 401 Unauthorized: UNAUTHORIZED no such account here" in message


def test_a_token_of_the_secret_is_sent_as_it_is(tokens: Guarded, folder: Path) -> None:
    registry, server = tokens
    writer = oci.open_writer({"reference": registry.reference(":v2")}, context(registry, ACCOUNT))
    writer.write(content(folder))
    given = {"token": server.token(["repository:models/risk:pull"])}
    server.requests.clear()
    assert read(registry.reference(":v2"), context(registry, given)) == content(folder)
    assert server.requests == []


def test_no_account_goes_to_a_server_of_tokens_without_encryption(
    tokens: Guarded, tmp_path: Path
) -> None:
    _, server = tokens
    registry = Registry(LOOPBACK, tmp_path / "secure", auth=server.auth)
    server.requests.clear()
    try:
        reason, message = refusal(registry.reference(":v2"), context(registry, ACCOUNT))
    finally:
        registry.stop()
    assert reason == FETCH_FAILED
    assert f"sends us to '{server.url}' for a token, which is not encrypted: refused" in message
    assert server.requests == []


# What is missing, damaged, or no model


@pytest.mark.parametrize("ending", [":nowhere", "@sha256:" + "0" * 64])
def test_what_is_not_there_is_not_found(ending: str, registry: Registry) -> None:
    reason, message = refusal(registry.reference(ending), context(registry))
    assert reason == NOT_FOUND
    assert "HTTP 404 Not Found: MANIFEST_UNKNOWN manifest unknown" in message


def test_a_file_that_is_missing_is_named_with_what_is_there(
    folder: Path, registry: Registry
) -> None:
    digest = registry.oras(folder, ":some", "card.json", "scorer.json")
    reason, message = refusal(registry.reference(f"@{digest}"), context(registry))
    assert reason == NOT_FOUND
    assert "models/risk has no model.joblib, but card.json, scorer.json" in message
    digest = registry.oras(folder, ":none")
    _, message = refusal(registry.reference(f"@{digest}"), context(registry))
    assert "has no card.json" in message


@pytest.mark.parametrize("what", ["blob", "manifest"])
def test_what_is_damaged_on_the_registrys_disk_is_told(
    what: str, folder: Path, registry: Registry
) -> None:
    digest = files_alone(folder, registry)
    if what == "blob":
        digest_of_card = hashlib.sha256((folder / "card.json").read_bytes()).hexdigest()
        blob = registry.blob(digest_of_card)
    else:
        blob = registry.blob(digest)
    good = blob.read_bytes()
    blob.write_bytes(good.replace(b"1", b"2", 1))
    try:
        reason, message = refusal(registry.reference(f"@{digest}"), context(registry))
    finally:
        blob.write_bytes(good)
    # The registry itself does not serve a manifest with a digest that is not its own.
    assert reason == (DIGEST_MISMATCH if what == "blob" else FETCH_FAILED), message
    if what == "blob":
        assert f"the blob sha256:{digest_of_card} of {registry.host}/models/risk" in message
        assert "is damaged in the registry" in message


def test_a_blob_that_is_gone_is_not_found(folder: Path, registry: Registry) -> None:
    (folder / "scorer.json").write_bytes(b'{"only": "here"}')
    digest = files_alone(folder, registry)
    registry.blob(hashlib.sha256((folder / "scorer.json").read_bytes()).hexdigest()).unlink()
    reason, message = refusal(registry.reference(f"@{digest}"), context(registry))
    assert (reason, "BLOB_UNKNOWN" in message) == (NOT_FOUND, True)


def test_an_index_is_refused_with_what_to_declare(folder: Path, registry: Registry) -> None:
    digest = files_alone(folder, registry)
    asked(registry, "manifest", "index", "create", reference=":index", after=[digest])
    reason, message = refusal(registry.reference(":index"), context(registry))
    assert reason == REJECTED
    assert "is an index of several artifacts; declare one of them" in message
    assert f"@{digest}" in message


@pytest.mark.parametrize("how", ["files", "archive"])
def test_two_models_in_one_artifact_are_refused(how: str, folder: Path, registry: Registry) -> None:
    shutil.copytree(folder, folder / "older")
    if how == "files":
        pushed = registry.oras(folder, ":two", "card.json", "older/card.json")
    else:
        pushed = registry.oras(folder.parent, ":two", "risk")
    reason, message = refusal(registry.reference(f"@{pushed}"), context(registry))
    assert reason == REJECTED
    assert "more than one card.json" in message


def test_a_file_over_the_limit_is_not_even_asked_for(folder: Path, registry: Registry) -> None:
    files_alone(folder, registry)
    size = (folder / "card.json").stat().st_size
    reader = oci.open({"reference": registry.reference(":files")}, context(registry))
    assert len(reader.read("card.json", size)) == size
    with pytest.raises(StoreError, match=f"card.json of .* is larger than {size - 1} bytes"):
        reader.read("card.json", size - 1)


MALFORMED: dict[str, Any] = {
    "no digest": {"size": 1, "mediaType": "x"},
    "another digest": {"digest": "md5:00", "size": 1, "mediaType": "x"},
    "a negative size": {"digest": "sha256:" + "0" * 64, "size": -1, "mediaType": "x"},
    "no object": "layer",
}


@pytest.mark.parametrize("layer", MALFORMED)
def test_a_malformed_layer_is_refused(layer: str) -> None:
    with pytest.raises(StoreError, match="the manifest of here: a layer is malformed") as caught:
        oci._layers({"layers": [MALFORMED[layer]]}, "here")
    assert caught.value.reason == REJECTED
