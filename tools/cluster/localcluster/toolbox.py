"""All programs that a profile needs, made available and found."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from . import debian, gobuild
from .errors import ClusterError
from .paths import cache_root, refuse_hidden, state_root
from .record import Profile

ELSEWHERE = (
    "use an existing cluster (CLUSTER=current CONTEXT=name) or kind and Docker (CLUSTER=kind)"
)


@dataclass(frozen=True)
class Toolbox:
    """Folders of the built programs; each exists once :func:`prepare` returned for a profile."""

    kubernetes: Path
    metrics_server: Path
    kwok: Path
    pause: Path

    @classmethod
    def locate(cls) -> Toolbox:
        """Where the programs are or will be, without building anything."""
        return cls(
            kubernetes=gobuild.KUBERNETES.bin_dir(),
            metrics_server=gobuild.METRICS_SERVER.bin_dir(),
            kwok=gobuild.KWOK.bin_dir(),
            pause=gobuild.PAUSE.bin_dir(),
        )


def require_platform(profile: Profile) -> None:
    """Raise unless this machine can run the profile; the message says what can be used instead."""
    if not sys.platform.startswith("linux"):
        raise ClusterError(f"the local cluster needs Linux, and this is {sys.platform}", ELSEWHERE)
    if profile == "node":
        if os.geteuid() != 0:
            raise ClusterError(
                "a node needs root: it makes namespaces, network links and control groups",
                f"run it with sudo; or use --profile control-plane (no pods run); or {ELSEWHERE}",
            )
        refuse_hidden("RISKPREDICTOR_STATE", state_root())
        refuse_hidden("RISKPREDICTOR_CACHE", cache_root())
    if shutil.which("go") is None and not _built(profile):
        raise ClusterError(
            "`go` was not found, and Kubernetes is built from source here",
            f"install Go 1.24 or newer, or {ELSEWHERE}",
        )


def _programs(profile: Profile) -> tuple[str, ...]:
    node = gobuild.NODE_PROGRAMS if profile == "node" else ()
    return (*gobuild.CONTROL_PLANE_PROGRAMS, *node)


def _built(profile: Profile) -> bool:
    folder = gobuild.KUBERNETES.bin_dir()
    return all((folder / program).exists() for program in _programs(profile))


def prepare(profile: Profile, kwok: bool) -> Toolbox:
    """Install packages and build programs as far as they are missing."""
    packages = {**debian.CONTROL_PLANE, **(debian.NODE if profile == "node" else {})}
    debian.ensure(packages)
    gobuild.ensure(gobuild.KUBERNETES, _programs(profile))
    if profile == "node":
        gobuild.ensure(gobuild.METRICS_SERVER, ["metrics-server"])
        gobuild.ensure(gobuild.PAUSE, ["pause"])
    if kwok:
        gobuild.ensure(gobuild.KWOK, ["kwok"])
    return Toolbox.locate()
