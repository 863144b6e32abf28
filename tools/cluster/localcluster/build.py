"""Builds images from Dockerfiles: by buildah, on a base image made here, or by Docker.

buildah keeps its images in the cache, so that nobody else's are touched. The base image stands in
for ``python:3.x-slim`` where no image registry can be reached: Python from the packages of this
machine's own Debian release.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from . import debian
from .console import ClusterError, step
from .paths import cache_root
from .run import file_lock, output, run_logged

Builder = Literal["buildah", "docker"]
BUILDERS: tuple[Builder, ...] = ("buildah", "docker")

BASE_IMAGE_ARGUMENT = "BASE_IMAGE"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
# Raise when the recipe below changes, so that machines with an older image make a new one.
BASE_RECIPE = 1
# Nothing that runs in a container reads these.
STRIPPED = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log",
)

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_SETTINGS = (
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "trusted-host",
    "proxy",
    "timeout",
    "retries",
)
"""The settings of pip that say where packages come from; others (targets, caches) stay outside."""


def build(
    builder: Builder,
    dockerfile: Path,
    context: Path,
    tag: str,
    build_args: Mapping[str, str],
    target: str = "",
) -> None:
    """Build an image: the last stage of the Dockerfile, or the one called ``target``.

    With buildah and no ``BASE_IMAGE`` given, on the base image made here.
    """
    if not dockerfile.is_file():
        raise ClusterError(f"there is no file {dockerfile}", "name it with --file")
    options = [f"--tag={tag}", f"--file={dockerfile}"]
    options += [f"--target={target}"] if target else []
    if builder == "docker":
        if not docker_answers():
            raise ClusterError("no Docker engine answers `docker info`", "use `--builder buildah`")
        command = ["docker", "build", *options, *_arguments(build_args), str(context)]
        log = cache_root() / "logs" / "docker-build.log"
        run_logged(f"building image {tag} with docker", command, log)
        return
    if os.geteuid() != 0:
        raise ClusterError(
            "building images here needs root: it makes root file systems",
            "run it with sudo, or use `--builder docker` where a Docker engine runs",
        )
    debian.ensure(debian.IMAGES)
    if BASE_IMAGE_ARGUMENT not in build_args:
        build_args = {**build_args, BASE_IMAGE_ARGUMENT: _base_image()}
    # Isolation "chroot" works where containers cannot be nested.
    options += ["--isolation=chroot", "--layers", "--pull=false", *_arguments(build_args)]
    log = cache_root() / "logs" / f"image-{tag.replace('/', '_').replace(':', '_')}.log"
    with _pip_access() as volumes:
        run_logged(
            f"building image {tag}", _buildah("build", *options, *volumes, str(context)), log
        )


def _arguments(build_args: Mapping[str, str]) -> list[str]:
    return [f"--build-arg={name}={value}" for name, value in build_args.items()]


def docker_answers() -> bool:
    """True if a Docker engine can be used."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return asked.returncode == 0


def image_id(reference: str) -> str | None:
    """The content id of an image that buildah built, None if there is none."""
    command = _buildah("inspect", "--type=image", "--format={{.FromImageID}}", reference)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def export(reference: str, full_name: str, archive: Path) -> None:
    """Write an image to ``archive`` under ``full_name`` in the format of ``docker save``."""
    output(*_buildah("push", "--quiet", reference, f"docker-archive:{archive}:{full_name}"))


def _buildah(*arguments: str) -> list[str]:
    storage = cache_root() / "images"
    return [
        "buildah", f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}", *arguments,
    ]  # fmt: skip


def _base_image() -> str:
    """Make the base image if it is not there; return its name."""
    release = output("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME").strip()
    reference = f"localhost/riskpredictor-base:{release}-{BASE_RECIPE}"
    if image_id(reference) is None:
        with file_lock(cache_root() / "locks" / "base-image.lock", "the base image"):
            if image_id(reference) is None:
                _make_base_image(reference, release)
    return reference


def _make_base_image(reference: str, release: str) -> None:
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="base-image-") as folder:
        root = Path(folder) / "root"
        run_logged(
            f"base image: Debian {release} with {BASE_PACKAGES}",
            [
                "debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", release,
                str(root), _debian_mirror(release),
            ],
            cache_root() / "logs" / "base-image.log",
        )  # fmt: skip
        with step("base image: strip and commit"):
            strip(root)
            # Dockerfiles written for python:3.x-slim may say `python`.
            (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
            container = output(*_buildah("from", "scratch")).strip()
            try:
                output(*_buildah("copy", "--quiet", container, f"{root}/", "/"))
                path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                settings = (f"--env={path}", "--env=LANG=C.UTF-8", "--cmd=python3")
                output(*_buildah("config", *settings, container))
                output(*_buildah("commit", "--quiet", container, reference))
            finally:
                output(*_buildah("rm", container))


def strip(root: Path) -> None:
    """Remove documentation, translations, package lists and caches; keep the folders."""
    for name in STRIPPED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True, exist_ok=True)


def _debian_mirror(release: str) -> str:
    """The mirror that this machine's apt uses for the release itself."""
    columns = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    for line in output("apt-get", "indextargets", "--format", columns).splitlines():
        uri, suite, component = line.rsplit(" ", 2)
        if (suite, component) == (release, "main"):
            return uri
    raise ClusterError(
        f"apt on this machine knows no mirror for Debian {release!r}",
        "pass an image that can be had here: `build-image --build-arg BASE_IMAGE=...`",
    )


@contextmanager
def _pip_access() -> Iterator[list[str]]:
    """Volumes with which pip inside the build reaches what pip on this machine reaches.

    Mounted and not copied: neither the settings nor the certificates become part of the image.
    """
    explicit = os.environ.get("PIP_CONFIG_FILE")
    home = Path.home()
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    settings = pip_settings([*files, *([Path(explicit)] if explicit else [])], os.environ)
    # A build has to see local folders of packages at the same path.
    links = [Path(link) for link in settings.get("find-links", "").split() if link[0] == "/"]
    mounts = {folder: folder for folder in links if folder.is_dir()}
    if CA_BUNDLE.exists():
        mounts[CA_BUNDLE] = CA_BUNDLE
        settings["cert"] = str(CA_BUNDLE)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        parser = configparser.RawConfigParser()
        parser["global"] = settings
        parser.write(file)
        file.flush()
        mounts[Path(file.name)] = Path("/etc/pip.conf")
        yield [f"--volume={source}:{target}:ro" for source, target in mounts.items()]


def pip_settings(files: Iterable[Path], environment: Mapping[str, str]) -> dict[str, str]:
    """How pip reaches packages: later files win over earlier ones, the environment over files."""
    settings: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file)
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update(parser.items(section))
    for name, value in environment.items():
        if name.startswith("PIP_"):
            settings[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {name: settings[name] for name in PIP_SETTINGS if name in settings}
