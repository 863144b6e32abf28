"""The lock files, read as what they must be: every package pinned, every pin with its hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]

_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w,.-]+\])?==([^\s;]+)(?:\s*;\s*(.+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class LockError(ValueError):
    """A lock file has an entry that pip could fill with something else."""


@dataclass(frozen=True)
class Pin:
    """One entry of a lock file."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed."""

    @property
    def plain(self) -> str:
        """As a requirement without its marker."""
        return " ".join(
            [f"{self.name}=={self.version}", *(f"--hash=sha256:{h}" for h in self.hashes)]
        )

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether it is installed there."""
        return not self.marker or Marker(self.marker).evaluate(dict(environment))


@dataclass(frozen=True)
class Image:
    """What decides which packages an image gets."""

    name: str
    title: str
    dockerfile: str
    locks: tuple[str, ...]
    product: str
    """The distribution of ours inside."""

    def environment(self) -> dict[str, str]:
        """Markers' values in the image's base."""
        text = (ROOT / self.dockerfile).read_text()
        found = re.search(r"^ARG BASE_IMAGE=python:(\d+\.\d+)", text, re.MULTILINE)
        if not found:
            raise LockError(f"{self.dockerfile}: ARG BASE_IMAGE names no python:X.Y")
        return {
            "python_version": found[1],
            "python_full_version": f"{found[1]}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "extra": "",
        }

    def pins(self) -> list[Pin]:
        """Every package that is installed in it, by name."""
        environment = self.environment()
        found = [pin for lock in self.locks for pin in read(ROOT / lock) if pin.fits(environment)]
        return sorted(found, key=lambda pin: pin.name)


IMAGES = (
    Image(
        "operator", "RiskPredictor operator", "Dockerfile.operator",
        ("operator/requirements.lock",), "riskpredictor-operator",
    ),
    Image(
        "predictor", "RiskPredictor predictor", "Dockerfile.predictor",
        ("predictor/requirements.lock",), "riskpredictor-server",
    ),
    Image(
        "predictor-sklearn", "RiskPredictor predictor with scikit-learn", "Dockerfile.predictor",
        ("predictor/requirements.lock", "predictor/requirements-sklearn.lock"),
        "riskpredictor-server",
    ),
)  # fmt: skip


def lock_files() -> list[Path]:
    """All of the repository, those of tools and training too."""
    folders = (ROOT, ROOT / "operator", ROOT / "predictor", ROOT / "tools" / "kubectl")
    return sorted(path for folder in folders for path in folder.glob("requirements*.lock"))


def read(path: Path) -> list[Pin]:
    """The pins of a lock file; raises LockError for an entry without a version or a hash."""
    pins = []
    for text in path.read_text().replace("\\\n", " ").splitlines():
        entry = " ".join(text.split())
        if entry and not entry.startswith("#"):
            pins.append(_pin(path, entry))
    return pins


def _pin(path: Path, entry: str) -> Pin:
    requirement = entry.split(" --hash=", 1)[0]
    found = _PIN.fullmatch(requirement)
    if not found:
        raise LockError(f"{path.name}: {requirement!r} is no NAME==VERSION; run make lock")
    hashes = tuple(_HASH.findall(entry))
    if not hashes:
        raise LockError(f"{path.name}: {requirement!r} has no --hash=sha256; run make lock")
    return Pin(canonicalize_name(found[1]), found[2], found[3] or "", hashes)
