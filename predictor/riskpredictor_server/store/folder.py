"""Transports ``pvc`` and ``image``, and a folder of one's own: files that are mounted already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from riskpredictor_server.store.errors import FETCH_FAILED, NOT_FOUND, REJECTED, StoreError
from riskpredictor_server.store.transport import FetchContext, Reader, Source, Writer
from riskpredictor_server.store.words import PLACE


@dataclass(frozen=True)
class Folder:
    """A folder; ``where`` says in messages what it is."""

    path: Path
    where: str

    def read(self, name: str, limit: int) -> bytes:
        """See ``transport.Reader``."""
        path = self.path / name
        try:
            with path.open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreError(NOT_FOUND, f"{self.where} has no {name} ({path}); {PLACE}") from error
        except OSError as error:
            raise StoreError(
                FETCH_FAILED,
                f"{self.where}: {path} cannot be read: {error.strerror}; files must be readable by"
                " the user of the pod (spec.podTemplate.securityContext)",
            ) from error
        if len(data) > limit:
            raise StoreError(REJECTED, f"{path}: larger than the {limit} bytes that are allowed")
        return data

    def write(self, files: Mapping[str, bytes]) -> str:
        """See ``transport.Writer``."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                (self.path / name).write_bytes(data)
        except OSError as error:
            raise StoreError(
                FETCH_FAILED, f"{self.path} cannot be written: {error.strerror}"
            ) from error
        return str(self.path)


def open_pvc(source: Source, context: FetchContext) -> Reader:
    """Read from ``source['path']``, or the root, of the claim that is mounted."""
    path = PurePosixPath(source.get("path") or ".")
    if ".." in path.parts or path.is_absolute():
        raise StoreError(
            FETCH_FAILED, "spec.model.source.pvc.path: must be a path inside the volume, without .."
        )
    return Folder(context.claim / path, f"the volume of the claim {source['claimName']!r}")


def open_image(source: Source, context: FetchContext) -> Reader:
    """Read what an earlier init container copied out of the image."""
    return Folder(context.incoming, f"the image {source['reference']!r}")


def open_folder(source: Source, context: FetchContext) -> Folder:
    """Read from and write to ``source['path']`` of this machine."""
    del context
    return Folder(Path(source["path"]), f"the folder {source['path']}")


def open_folder_writer(source: Source, context: FetchContext) -> Writer:
    """See ``open_folder``."""
    return open_folder(source, context)
