"""buildah with a storage of its own in the cache, so that nobody else's images are touched."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import debian, pipsettings
from .errors import ClusterError
from .paths import cache_root
from .progress import run_logged


def require() -> None:
    """Raise unless buildah can be used."""
    if os.geteuid() != 0:
        raise ClusterError(
            "building images here needs root: it makes root file systems",
            "run it with sudo, or use `--builder docker` where a Docker engine runs",
        )
    debian.ensure(debian.IMAGES)


def command(*arguments: str) -> list[str]:
    """A buildah command line on our own storage."""
    storage = cache_root() / "images"
    return [
        "buildah",
        f"--root={storage / 'storage'}",
        f"--runroot={storage / 'run'}",
        *arguments,
    ]


def output(*arguments: str) -> str:
    """Run a quick buildah command and return what it prints."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"buildah {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def image_id(reference: str) -> str | None:
    """The content id of an image in the storage, None if it is not there."""
    done = subprocess.run(
        command("inspect", "--type=image", "--format={{.FromImageID}}", reference),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None if done.returncode == 0 else None


def build(dockerfile: Path, context: Path, tag: str, build_args: Mapping[str, str]) -> None:
    """Build an image. Unchanged steps come from the storage's layers."""
    arguments = [f"--build-arg={name}={value}" for name, value in build_args.items()]
    with _package_access() as access:
        run_logged(
            f"building image {tag}",
            command(
                "build",
                # chroot: works where containers cannot be nested.
                "--isolation=chroot",
                "--layers",
                "--pull=false",
                *access,
                *arguments,
                f"--tag={tag}",
                f"--file={dockerfile}",
                str(context),
            ),
            cache_root() / "logs" / f"image-{tag.replace('/', '_').replace(':', '_')}.log",
        )


@contextmanager
def _package_access() -> Iterator[Sequence[str]]:
    """Mounts that let pip inside the build reach what pip on this machine reaches.

    Mounted and not copied: neither the settings nor the certificates become part of the image.
    """
    settings = pipsettings.collect(pipsettings.config_files(os.environ, Path.home()), os.environ)
    bundle = pipsettings.CA_BUNDLE.exists()
    mounts = [(folder, folder) for folder in pipsettings.local_folders(settings)]
    if bundle:
        mounts.append((pipsettings.CA_BUNDLE, pipsettings.CA_BUNDLE))
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(pipsettings.render(settings, ca_bundle=bundle))
        config.flush()
        mounts.append((Path(config.name), Path("/etc/pip.conf")))
        yield [f"--volume={source}:{target}:ro" for source, target in mounts]


def export(reference: str, full_name: str, archive: Path) -> None:
    """Write an image to ``archive`` under ``full_name`` in the format of ``docker save``."""
    output("push", "--quiet", reference, f"docker-archive:{archive}:{full_name}")
