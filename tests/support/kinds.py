"""Kinds of others: CRDs in Go modules of which tests need these files and no program."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localcluster.gobuild import GoModule
from support.cluster import LocalCluster


@dataclass(frozen=True)
class Module:
    """One version of a module. Nothing of it is built, so its checksum is here and in no go.sum."""

    name: str
    version: str
    sum: str

    def folder(self) -> Path:
        """Where its files are; downloads them into Go's own cache the first time."""
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{self.name}@{self.version}"],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["Sum"] == self.sum, f"{self.name} {self.version} is not what was looked at"
        return Path(found["Dir"])


FLUX_SOURCES = Module(
    "github.com/fluxcd/source-controller",
    "v1.7.2",
    "h1:PQLzvgHNEYsstl8uATBZg/70b/i0tj63e0IqnYDeJyg=",
)


def of(program: GoModule) -> Module:
    """The module that a program is built from, at its version, with the checksum in its go.sum."""
    line = f"{program.pins} {program.version()} "
    sums = (program.path / "go.sum").read_text().splitlines()
    found = next(entry for entry in sums if entry.startswith(line))
    return Module(program.pins, program.version(), found.removeprefix(line))


def install(cluster: LocalCluster, path: Path, name: str) -> None:
    """Apply a file or folder of CRDs, and wait until the named one is served."""
    cluster.kubectl("apply", "--server-side", "--filename", str(path))
    cluster.await_crd(name)
