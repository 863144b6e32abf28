"""Packs the Helm chart.

``helm package`` writes the present time into the archive; here the same sources make the same
bytes, so that anybody can check a release's check sums. It needs no Helm either.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart"


def contents() -> dict[str, bytes]:
    """Files of the chart by their path in it, without those that .helmignore names."""
    listed = (CHART / ".helmignore").read_text().splitlines()
    ignored = {line.rstrip("/") for line in listed if line and not line.startswith("#")}
    paths = {path.relative_to(CHART): path for path in CHART.rglob("*") if path.is_file()}
    return {
        inside.as_posix(): path.read_bytes()
        for inside, path in paths.items()
        if not ignored & set(inside.parts)
    }


def pack(files: Mapping[str, bytes], out: Path, time: int = 0) -> Path:
    """Write NAME-VERSION.tgz into the folder ``out``; all times in it are ``time``."""
    about = yaml.safe_load(files["Chart.yaml"])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        # Helm wants Chart.yaml first.
        for name in sorted(files, key=lambda name: (name != "Chart.yaml", name)):
            entry = tarfile.TarInfo(f"{about['name']}/{name}")
            entry.size, entry.mode, entry.mtime = len(files[name]), 0o644, time
            archive.addfile(entry, io.BytesIO(files[name]))
    path = out / f"{about['name']}-{about['version']}.tgz"
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=time))
    return path
