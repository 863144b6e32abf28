"""Programs that tests need, from Debian's packages where this user may install them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from localcluster.debian import no_services_started, packages_lock
from localcluster.paths import cache_root
from localcluster.run import file_lock

PATIENT = ("-o", "Acquire::Retries=5", "-o", "DPkg::Lock::Timeout=300")
"""Options of apt-get: a mirror that fails once, and somebody else's installation, pass."""


def update() -> None:
    """Fetch the lists of packages. Where that fails, those of last time may do."""
    command = ["apt-get", *PATIENT, "update", "-qq"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def ensure(program: str, package: str = "") -> str:
    """Path of a program; installs its package (of the same name, if none is given) as root.

    Fails the test with what to install where it may not.
    """
    package = package or program
    if shutil.which(program) is None:
        _install(package)
    found = shutil.which(program)
    assert found is not None, f"package {package} brought no {program}"
    return found


def file_of(package: str, name: str) -> str:
    """Path of a file that a package brings, which is installed if it is missing."""
    if not _files(package):
        _install(package)
    found = [path for path in _files(package) if path.endswith(f"/{name}")]
    assert found, f"package {package} brought no {name}"
    return found[0]


def unpacked(package: str) -> Path:
    """Root of a package that is unpacked and not installed, so that no service starts.

    Fetched once and kept in the cache. What it depends on has to be there.
    """
    home = cache_root() / package
    lock = cache_root() / "locks" / f"{package}.lock"
    with file_lock(lock, f"the download of {package}"):
        if not (home / "usr").exists():
            _unpack(package, home)
    return home


def _unpack(package: str, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        update()
        # As root, apt would hand the download to a user who may not write here.
        sandbox = ("-o", "APT::Sandbox::User=root")
        _run("apt-get", *PATIENT, *sandbox, "download", "-qq", package, folder=folder)
        (archive,) = Path(folder).glob(f"{package}_*.deb")
        tree = Path(folder) / "unpacked"
        _run("dpkg-deb", "-x", str(archive), str(tree), folder=folder)
        tree.rename(home)


def _run(*command: str, folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _files(package: str) -> list[str]:
    command = ["dpkg-query", "--listfiles", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def _install(package: str) -> None:
    assert os.geteuid() == 0, f"{package} is missing: sudo apt-get install {package}"
    with packages_lock(), no_services_started():
        update()
        done = subprocess.run(
            ["apt-get", *PATIENT, "install", "-y", "-qq", package],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, f"apt-get install {package}: {done.stderr}"
