"""Brings images into the containerd of a node, without an image registry."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from . import build, gobuild, namespace
from .component import enter
from .console import ClusterError, say, step
from .node import PAUSE_IMAGE
from .paths import cache_root
from .record import Cluster
from .run import output

DEFAULT_REGISTRY = "docker.io"
LOCAL_REGISTRY = "localhost"
GO_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}


def full_name(reference: str) -> str:
    """The full name of an image, as the kubelet spells it: registry, repository and tag.

    The rule is that of the distribution reference format: the first part is a registry if it holds
    a dot or a colon or is ``localhost``; a bare name lies in ``library/``; no tag means ``latest``.
    """
    first, slash, rest = reference.partition("/")
    if slash and ("." in first or ":" in first or first == LOCAL_REGISTRY):
        registry, path = first, rest
    else:
        registry = DEFAULT_REGISTRY
        path = reference if slash else f"library/{reference}"
    tagged = "@" in path or ":" in path.rpartition("/")[2]
    return f"{registry}/{path}" if tagged else f"{registry}/{path}:latest"


def aliases(reference: str) -> list[str]:
    """The names that an imported image needs so that a manifest finds it.

    buildah calls an image without a registry ``localhost/NAME``; a manifest says just ``NAME``.
    """
    full = full_name(reference)
    short = full.removeprefix(f"{LOCAL_REGISTRY}/")
    return [full] if short == full else [full, full_name(short)]


@contextmanager
def archive_of(item: str) -> Iterator[Path]:
    """A file in the format of ``docker save`` for an archive or the name of a built image."""
    if Path(item).is_file():
        yield Path(item)
        return
    cache_root().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="export-") as folder:
        archive = Path(folder) / "image.tar"
        if _built_by_buildah(item) is not None:
            build.export(item, full_name(item), archive)
        elif build.docker_answers():
            output("docker", "save", "--output", archive, item, what=f"docker has no image {item}")
        else:
            raise ClusterError(
                f"{item} is neither a file nor an image that was built here",
                f"build it: `cluster.py build-image --tag {item} --file Dockerfile`",
            )
        yield archive


def _built_by_buildah(item: str) -> str | None:
    return build.image_id(item) if shutil.which("buildah") else None


def load(cluster: Cluster, items: Sequence[str]) -> None:
    """Bring archives or built images into the nodes' containerd, unless they are there."""
    nodes = [_ctr(namespace.require(node)) for node in cluster.nodes or _no_node(cluster)]
    for item in items:
        identity = None if Path(item).is_file() else _built_by_buildah(item)
        name = full_name(item)
        known = identity and _loaded(cluster).get(name) == identity
        missing = [ctr for ctr in nodes if not (known and _has(ctr, name))]
        if not missing:
            say(f"image {item} is loaded already")
            continue
        with step(f"loading image {item}"), archive_of(item) as archive:
            for ctr in missing:
                for imported in _import(ctr, archive):
                    for alias in set(aliases(imported)) - {imported}:
                        output(*ctr, "tag", "--force", imported, alias)
        if identity is not None:
            temporary = cluster.paths.loaded_images.with_suffix(".tmp")
            temporary.write_text(json.dumps({**_loaded(cluster), name: identity}, indent=2))
            temporary.replace(cluster.paths.loaded_images)


def _no_node(cluster: Cluster) -> NoReturn:
    raise ClusterError(f"cluster {cluster.name} has no node: nothing runs images")


def _ctr(namespace_pid: int) -> list[str]:
    return [*enter(namespace_pid), "ctr", "--namespace=k8s.io", "images"]


def _has(ctr: list[str], name: str) -> bool:
    return name in output(*ctr, "ls", "-q", f"name=={name}").split()


def _loaded(cluster: Cluster) -> dict[str, str]:
    """Content ids of the images that were loaded, by name."""
    path = cluster.paths.loaded_images
    loaded: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return loaded


def _import(ctr: list[str], archive: Path) -> list[str]:
    """Import through standard input, because the node may not see the file's folder."""
    with archive.open("rb") as data:
        done = subprocess.run([*ctr, "import", "-"], stdin=data, capture_output=True, check=False)
    text = done.stdout.decode(errors="replace")
    names = re.findall(r"^unpacking (\S+) ", text, re.MULTILINE)
    if done.returncode != 0 or not names:
        raise ClusterError(
            f"containerd refused the image: {done.stderr.decode(errors='replace').strip() or text}",
            "archives of `docker save` and OCI archives are understood",
        )
    return names


def ensure_pause_image(namespace_pid: int) -> None:
    """Import the image of pod sandboxes, made from our own static binary, unless it is there."""
    ctr = _ctr(namespace_pid)
    if not _has(ctr, PAUSE_IMAGE):
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            program = gobuild.PAUSE.bin_dir() / "pause"
            Path(file.name).write_bytes(image_archive(program, PAUSE_IMAGE))
            _import(ctr, Path(file.name))


def image_archive(program: Path, reference: str) -> bytes:
    """A one-file image in the format of ``docker save``; the same input gives the same bytes."""
    layer = _tar({program.name: (program.read_bytes(), 0o755)})
    machine = os.uname().machine
    config = json.dumps(
        {
            "architecture": GO_ARCHITECTURE.get(machine, machine),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "manifest.json": (json.dumps(manifest).encode(), 0o644),
            name: (config, 0o644),
            "layer.tar": (layer, 0o644),
        }
    )


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (data, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
