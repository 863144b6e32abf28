"""Builds programs from Go source, pinned by ``go/*/go.mod`` and ``go.sum``."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .console import ClusterError, say
from .paths import TOOLS_DIR, cache_root
from .run import file_lock, run_logged


@dataclass(frozen=True)
class GoModule:
    """A folder with a ``go.mod``: which module it pins and where the main packages are."""

    folder: str
    pins: str
    packages: str
    version_packages: tuple[str, ...] = ()
    tools: Path | None = None
    """Where the folder is, if not in ``tools/cluster/go``."""

    @property
    def path(self) -> Path:
        return (self.tools or TOOLS_DIR) / self.folder

    def version(self) -> str:
        """The pinned version, read from ``go.mod``; ``local`` for a program of our own."""
        if not self.pins:
            return "local"
        text = (self.path / "go.mod").read_text()
        found = re.search(rf"^(?:require )?\s*{re.escape(self.pins)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise ClusterError(f"{self.path / 'go.mod'} does not require {self.pins}")
        return found.group(1)

    def linker_flags(self) -> str:
        """Strip symbols and stamp the version: kubectl refuses servers that do not name theirs."""
        version = self.version()
        major, minor = ([*version.lstrip("v").split("."), "0"])[:2]
        stamps = [
            f"-X {package}.{name}={value}"
            for package in self.version_packages
            for name, value in (
                ("gitVersion", version),
                ("gitMajor", major),
                ("gitMinor", minor),
            )
        ]
        return " ".join(["-s", "-w", *stamps])

    def bin_dir(self) -> Path:
        """Where the binaries are kept; another version or dependency makes another folder."""
        digest = hashlib.sha256(self.linker_flags().encode())
        for source in sorted(self.path.iterdir()):
            if source.suffix in {".mod", ".sum", ".go"}:
                digest.update(source.name.encode() + b"\0" + source.read_bytes())
        key = f"{self.folder}-{self.version()}-{digest.hexdigest()[:12]}"
        return cache_root() / "bin" / key


OTHER_KUBERNETES = "RISKPREDICTOR_KUBERNETES_TOOLS"
"""Names a folder that ``make_kubernetes.py`` made for another version."""


def kubernetes() -> GoModule:
    """The Kubernetes that is run: the one pinned here, unless the environment names another."""
    other = os.environ.get(OTHER_KUBERNETES)
    return GoModule(
        "kubernetes",
        "k8s.io/kubernetes",
        "k8s.io/kubernetes/cmd/",
        ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
        tools=Path(other).resolve() if other else None,
    )


KUBERNETES = kubernetes()
METRICS_SERVER = GoModule(
    "metrics-server",
    "sigs.k8s.io/metrics-server",
    "sigs.k8s.io/metrics-server/cmd/",
    ("k8s.io/component-base/version",),
)
KWOK = GoModule("kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/")
PAUSE = GoModule("pause", "", "riskpredictor.local/")

CONTROL_PLANE_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
)
NODE_PROGRAMS = ("kubelet", "kube-proxy")


def ensure(module: GoModule, programs: Sequence[str]) -> Path:
    """Build what is missing, in one go so that shared packages compile once; return the folder.

    A build that was interrupted resumes from Go's own build cache. Binaries appear in the folder
    by rename, so a folder never holds half a binary.
    """
    target = module.bin_dir()
    if not _missing(target, programs):
        return target
    with file_lock(cache_root() / "locks" / f"build-{module.folder}.lock", "the Go builds"):
        missing = _missing(target, programs)
        if missing:
            _build(module, missing, target)
    return target


def _missing(target: Path, programs: Sequence[str]) -> list[str]:
    return [program for program in programs if not (target / program).exists()]


def _build(module: GoModule, programs: list[str], target: Path) -> None:
    if shutil.which("go") is None:
        raise ClusterError(
            f"`go` is needed to build {', '.join(programs)} and was not found",
            "install Go 1.24 or newer, or use CLUSTER=kind or CLUSTER=current CONTEXT=name",
        )
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as folder:
        run_logged(
            f"building {', '.join(programs)} {module.version()}",
            [
                *(["nice"] if shutil.which("nice") else []),
                "go",
                "build",
                "-buildvcs=false",
                "-trimpath",
                "-ldflags",
                module.linker_flags(),
                "-o",
                f"{folder}/",
                *(module.packages + program for program in programs),
            ],
            cache_root() / "logs" / f"build-{module.folder}.log",
            cwd=module.path,
            # Static binaries: they run in containers (pause) and need no C compiler to build.
            env={"CGO_ENABLED": "0", "GOWORK": "off"},
            hint="a build resumes where it stopped: repair what the log says and run it again",
        )
        for program in programs:
            Path(folder, program).replace(target / program)
    say(f"kept in {target}")
