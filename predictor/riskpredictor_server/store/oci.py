"""Transport ``oci``: artifacts in a container registry, as ``oras push`` makes them.

An artifact is a manifest that names blobs: one for each file, by its title, or archives that hold
the files. By plain requests: the Python package oras has a client, retries and files of its own.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskpredictor_server.model.artifact import CARD
from riskpredictor_server.store.archive import member
from riskpredictor_server.store.errors import FETCH_FAILED, NOT_FOUND, REJECTED, StoreError
from riskpredictor_server.store.registry import (
    DIGEST,
    FIELD,
    MANIFEST_LIMIT,
    Reference,
    Registry,
    check_digest,
    digest_of,
    object_of,
)
from riskpredictor_server.store.transport import FetchContext, Reader, Source, Writer

ARTIFACT_TYPE = "application/vnd.healthtech.riskpredictor.model.v1"
MODEL_DIGEST = "dev.healthtech.riskpredictor.digest"
"""Annotation of a manifest: the digest to declare, of card.json."""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFESTS = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
UNPACK = "io.deis.oras.content.unpack"
MODEL_PACK = "application/vnd.cncf.model."
MODEL_PACK_PATH = "org.cncf.model.filepath"
ARCHIVE_LIMIT = 256 * 1024 * 1024
"""Most bytes of a packed archive."""


def open(source: Source, context: FetchContext) -> Reader:  # noqa: A001 - as all transports
    """Get the manifest of ``source['reference']``.

    Credentials: ``.dockerconfigjson``, or ``username`` and ``password``, or a ``token`` of the
    registry; without any, what anybody may read.
    """
    registry = Registry(Reference.parse(source["reference"]), context)
    return _Artifact(registry, _layers(_manifest(registry), registry.reference.name))


def open_writer(source: Source, context: FetchContext) -> Writer:
    """Push to ``source['reference']``, which must have a tag and no digest."""
    reference = Reference.parse(source["reference"])
    if reference.digest or not reference.tag:
        raise StoreError(
            FETCH_FAILED, f"{source['reference']}: to push, name a tag and no digest: HOST/NAME:TAG"
        )
    return _Tag(Registry(reference, context), source["reference"])


@dataclass(frozen=True)
class _Layer:
    digest: str
    size: int
    file: str
    """Name of the file, without folders; of an archive, of no meaning."""
    packed: bool
    """Whether it is an archive."""


def _manifest(registry: Registry) -> dict[str, Any]:
    reference = registry.reference
    wanted = reference.digest or reference.tag
    accepted = ", ".join((*MANIFESTS, *INDEXES))
    answer = registry.get(f"manifests/{wanted}", MANIFEST_LIMIT, Accept=accepted)
    what = f"the manifest {wanted} of {reference.name}"
    if reference.digest:
        check_digest(answer.body, reference.digest, what)
    manifest = object_of(answer.body, what)
    if "layers" in manifest:
        return manifest
    if manifest.get("manifests"):
        listed = _digests(manifest["manifests"], what)
        raise StoreError(
            REJECTED,
            f"{what} is an index of several artifacts; declare one of them in {FIELD}:"
            f" {', '.join(f'@{digest}' for digest in listed)}",
        )
    raise StoreError(REJECTED, f"{what} lists no layers; push the artifact with oras push")


def _digests(index: Any, what: str) -> list[str]:
    """Return the first digests of an index; raises StoreError."""
    try:
        return [str(each["digest"]) for each in index[:3]]
    except (TypeError, KeyError) as error:
        raise StoreError(REJECTED, f"{what}: the index is malformed") from error


def _layers(manifest: dict[str, Any], name: str) -> list[_Layer]:
    try:
        layers = [_layer(each) for each in manifest["layers"]]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise StoreError(REJECTED, f"the manifest of {name}: a layer is malformed") from error
    return layers


def _layer(layer: Mapping[str, Any]) -> _Layer:
    digest, size, kind = layer["digest"], layer["size"], layer["mediaType"]
    if not DIGEST.fullmatch(digest) or type(size) is not int or size < 0:
        raise ValueError(digest)
    annotations = layer.get("annotations") or {}
    title = annotations.get(TITLE) or annotations.get(MODEL_PACK_PATH) or ""
    # oras calls any file a tar unless it is told otherwise, so that alone means nothing.
    packed = annotations.get(UNPACK) == "true" or (
        "tar" in kind
        and (kind.startswith(MODEL_PACK) or not title or title.endswith((".tar", ".tgz", ".gz")))
    )
    return _Layer(digest, size, posixpath.basename(title), packed)


class _Artifact:
    def __init__(self, registry: Registry, layers: list[_Layer]) -> None:
        self._registry, self._layers = registry, layers
        self._archives: dict[str, bytes] = {}

    def read(self, name: str, limit: int) -> bytes:
        """See ``transport.Reader``."""
        where = f"the artifact in {self._registry.reference.name}"
        files = [layer for layer in self._layers if layer.file == name and not layer.packed]
        found = [self._file(layer, limit, where) for layer in files[:2]]
        if not found:
            contents = (self._member(layer, name, limit) for layer in self._layers if layer.packed)
            found = [content for content in contents if content is not None]
        if len(found) == 1:
            return found[0]
        if found:
            raise StoreError(REJECTED, f"{where} has more than one {name}; push one model")
        titles = ", ".join(layer.file or layer.digest[:19] for layer in self._layers[:10])
        raise StoreError(
            NOT_FOUND,
            f"{where} has no {name}, but {titles or 'nothing'}; push the model's folder, or its"
            " files, with oras push",
        )

    def _file(self, layer: _Layer, limit: int, where: str) -> bytes:
        if layer.size > limit:
            raise StoreError(REJECTED, f"{layer.file} of {where} is larger than {limit} bytes")
        return self._registry.blob(layer.digest, layer.size)

    def _member(self, layer: _Layer, name: str, limit: int) -> bytes | None:
        what = f"the archive {layer.digest} in {self._registry.reference.name}"
        if layer.digest not in self._archives:
            if layer.size > ARCHIVE_LIMIT:
                raise StoreError(REJECTED, f"{what} is larger than {ARCHIVE_LIMIT} bytes")
            self._archives[layer.digest] = self._registry.blob(layer.digest, layer.size)
        return member(self._archives[layer.digest], name, limit, what)


@dataclass(frozen=True)
class _Tag:
    registry: Registry
    reference: str

    def write(self, files: Mapping[str, bytes]) -> str:
        """See ``transport.Writer``. The same files make the same manifest."""
        manifest = self._manifest(files)
        registry = self.registry
        registry.send(
            "PUT",
            f"{registry.reference.url}/manifests/{registry.reference.tag}",
            headers={"Content-Type": MANIFEST},
            body=manifest,
        )
        return f"{self.reference}@{digest_of(manifest)}"

    def _manifest(self, files: Mapping[str, bytes]) -> bytes:
        """Return the manifest; all that it names is in the registry then."""
        card = object_of(files[CARD], CARD)
        annotations = {
            MODEL_DIGEST: digest_of(files[CARD]), VERSION: str(card.get("model_version", "")),
        }  # fmt: skip
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": self._descriptor(b"{}", EMPTY),
            "layers": [
                {**self._descriptor(data, _media_type(name)), "annotations": {TITLE: name}}
                for name, data in files.items()
            ],
            "annotations": annotations,
        }
        return json.dumps(manifest).encode()

    def _descriptor(self, data: bytes, media_type: str) -> dict[str, Any]:
        digest = self.registry.upload(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _media_type(name: str) -> str:
    return "application/json" if name.endswith(".json") else "application/octet-stream"
