"""A base image with Python, from the packages of this machine's own Debian release.

It stands in for ``python:3.x-slim`` where no image registry can be reached.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from . import buildah
from .errors import ClusterError
from .lock import file_lock
from .paths import cache_root
from .progress import run_logged, step

PACKAGES = "python3,python3-venv,ca-certificates"

# Raise when the recipe below changes, so that machines with an older image make a new one.
RECIPE = 1

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


def ensure() -> str:
    """Make the image if it is not in the storage; return its name."""
    release = _os_release().get("VERSION_CODENAME", "")
    reference = f"localhost/riskpredictor-base:{release}-{RECIPE}"
    if buildah.image_id(reference) is not None:
        return reference
    with file_lock(cache_root() / "locks" / "base-image.lock", "the base image"):
        if buildah.image_id(reference) is None:
            _make(reference, release)
    return reference


def _make(reference: str, release: str) -> None:
    cache_root().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="base-image-") as folder:
        root = Path(folder) / "root"
        run_logged(
            f"base image: Debian {release} with {PACKAGES}",
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={PACKAGES}",
                release,
                str(root),
                _mirror(release),
            ],
            cache_root() / "logs" / "base-image.log",
        )
        with step("base image: strip and commit"):
            strip(root)
            # Dockerfiles written for python:3.x-slim may say `python`.
            (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
            _commit(root, reference)


def strip(root: Path) -> None:
    """Remove documentation, translations, package lists and caches; keep the folders."""
    for name in STRIPPED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True, exist_ok=True)


def _commit(root: Path, reference: str) -> None:
    container = buildah.output("from", "scratch")
    try:
        buildah.output("copy", "--quiet", container, f"{root}/", "/")
        buildah.output(
            "config",
            "--env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "--env=LANG=C.UTF-8",
            "--cmd=python3",
            container,
        )
        buildah.output("commit", "--quiet", container, reference)
    finally:
        buildah.output("rm", container)


def _os_release() -> dict[str, str]:
    text = Path("/etc/os-release").read_text()
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip('"') for name, _, value in pairs}


def _mirror(release: str) -> str:
    """The mirror that this machine's apt uses for the release itself."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listed.stdout.splitlines():
        uri, suite, component = line.rsplit(" ", 2)
        if (suite, component) == (release, "main"):
            return uri
    raise ClusterError(
        f"apt on this machine knows no mirror for Debian {release!r}",
        "pass an image that can be had here: `build-image --build-arg BASE_IMAGE=...`",
    )
