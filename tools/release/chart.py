"""Packs the Helm chart, the same bytes for the same sources, which ``helm package`` does not.

An archive of a chart is a gzipped tar with one folder, named like the chart.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from release.image import Image

CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart"


def contents(chart: Path = CHART) -> dict[str, bytes]:
    """Files of the chart by their path in it, without those that .helmignore names."""
    listed = (chart / ".helmignore").read_text().splitlines()
    ignored = {line.rstrip("/") for line in listed if line and not line.startswith("#")}
    found = {}
    for path in sorted(chart.rglob("*")):
        inside = path.relative_to(chart)
        if path.is_file() and not ignored & set(inside.parts):
            found[inside.as_posix()] = path.read_bytes()
    return found


def pinned(files: Mapping[str, bytes], image: Image) -> dict[str, bytes]:
    """The chart with another default image of the operator."""
    text = files["values.yaml"].decode()
    default: dict[str, Any] = yaml.safe_load(text)["image"]
    for name in ("repository", "tag", "digest"):
        old, new = f'  {name}: "{default[name]}"\n', f'  {name}: "{getattr(image, name)}"\n'
        if text.count(old) != 1:
            raise ValueError(f"values.yaml has no single line {old.strip()}")
        text = text.replace(old, new)
    return {**files, "values.yaml": text.encode()}


def pack(files: Mapping[str, bytes], out: Path, time: int = 0) -> Path:
    """Write NAME-VERSION.tgz into the folder ``out``; every file in it is of this ``time``."""
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
