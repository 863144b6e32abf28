"""Build images and bring them into a cluster's node, without an image registry."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from . import baseimage, buildah, namespace, supervise
from .errors import ClusterError
from .paths import cache_root
from .progress import run_logged, say, step
from .record import Cluster
from .references import aliases, normalise

Builder = Literal["buildah", "docker"]
BUILDERS: tuple[Builder, ...] = ("buildah", "docker")

BASE_IMAGE_ARGUMENT = "BASE_IMAGE"


def build(
    builder: Builder, dockerfile: Path, context: Path, tag: str, build_args: Mapping[str, str]
) -> None:
    """Build an image. With buildah and no ``BASE_IMAGE`` given, on our own base image."""
    if not dockerfile.is_file():
        raise ClusterError(f"there is no file {dockerfile}", "name it with --file")
    if builder == "docker":
        _docker_build(dockerfile, context, tag, build_args)
        return
    buildah.require()
    arguments = dict(build_args)
    if BASE_IMAGE_ARGUMENT not in arguments:
        arguments[BASE_IMAGE_ARGUMENT] = baseimage.ensure()
    buildah.build(dockerfile, context, tag, arguments)


def _docker_build(dockerfile: Path, context: Path, tag: str, build_args: Mapping[str, str]) -> None:
    if not docker_answers():
        raise ClusterError("no Docker engine answers `docker info`", "use `--builder buildah`")
    arguments = [f"--build-arg={name}={value}" for name, value in build_args.items()]
    run_logged(
        f"building image {tag} with docker",
        ["docker", "build", *arguments, f"--tag={tag}", f"--file={dockerfile}", str(context)],
        cache_root() / "logs" / "docker-build.log",
    )


def docker_answers() -> bool:
    """True if a Docker engine can be used."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return asked.returncode == 0


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
            buildah.export(item, normalise(item), archive)
        elif docker_answers():
            _docker_save(item, archive)
        else:
            raise ClusterError(
                f"{item} is neither a file nor an image that was built here",
                f"build it: `cluster.py build-image --tag {item} --file Dockerfile`",
            )
        yield archive


def _built_by_buildah(item: str) -> str | None:
    return buildah.image_id(item) if shutil.which("buildah") else None


def _docker_save(item: str, archive: Path) -> None:
    saved = subprocess.run(
        ["docker", "save", "--output", str(archive), item],
        capture_output=True,
        text=True,
        check=False,
    )
    if saved.returncode != 0:
        raise ClusterError(f"docker has no image {item}: {saved.stderr.strip()}")


def load(cluster: Cluster, items: Sequence[str]) -> None:
    """Bring archives or built images into the node's containerd; known ones are skipped."""
    holder = namespace.require(cluster)
    ctr = [*supervise.enter(holder), "ctr", "--namespace=k8s.io", "images"]
    for item in items:
        identity = None if Path(item).is_file() else _built_by_buildah(item)
        if identity is not None and _has(ctr, cluster, normalise(item), identity):
            say(f"image {item} is loaded already")
            continue
        with step(f"loading image {item}"), archive_of(item) as archive, archive.open("rb") as data:
            imported = _import(ctr, data)
            for name in imported:
                _tag(ctr, name)
        if identity is not None:
            _remember(cluster, normalise(item), identity)


def _has(ctr: list[str], cluster: Cluster, name: str, identity: str) -> bool:
    known = _loaded(cluster).get(name) == identity
    return known and name in _run(ctr, "ls", "-q", f"name=={name}").split()


def _loaded(cluster: Cluster) -> dict[str, str]:
    path = cluster.paths.loaded_images
    loaded: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return loaded


def _remember(cluster: Cluster, name: str, identity: str) -> None:
    path = cluster.paths.loaded_images
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({**_loaded(cluster), name: identity}, indent=2))
    temporary.replace(path)


def _import(ctr: list[str], data: IO[bytes]) -> list[str]:
    """Import through standard input: the node need not see the file's folder."""
    done = subprocess.run([*ctr, "import", "-"], stdin=data, capture_output=True, check=False)
    text = done.stdout.decode(errors="replace")
    names = re.findall(r"^unpacking (\S+) ", text, re.MULTILINE)
    if done.returncode != 0 or not names:
        raise ClusterError(
            f"containerd refused the image: {done.stderr.decode(errors='replace').strip() or text}",
            "archives of `docker save` and OCI archives are understood",
        )
    return names


def _tag(ctr: list[str], name: str) -> None:
    for alias in aliases(name):
        if alias != name:
            _run(ctr, "tag", "--force", name, alias)


def _run(ctr: list[str], *arguments: str) -> str:
    done = subprocess.run([*ctr, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"ctr images {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
