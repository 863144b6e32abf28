"""Writes dist/install.yaml, the packaged chart and SHA256SUMS.

    python -m release.dist [--operator-image REPOSITORY@sha256:...] [--out DIR]

install.yaml is what ``kubectl apply -k deploy/operator`` applies, in one file. With an image, both
it and the chart's defaults name that image, so that everybody who installs them runs the same
bytes. Other files that are in the folder already (make sbom) get check sums, too.
SOURCE_DATE_EPOCH is the time of the files in the chart.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from localcluster.errors import ClusterError
from localcluster.gobuild import KUBERNETES, ensure
from release import chart
from release.image import Image, ImageError

ROOT = Path(__file__).resolve().parents[2]
SUMS = "SHA256SUMS"


class DistError(Exception):
    """The files cannot be made; the message says why."""


def main(argv: list[str]) -> int:
    """Write the files; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operator-image", default="", help="default: as in deploy/operator")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    arguments = parser.parse_args(argv)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    try:
        image = Image.parse(arguments.operator_image) if arguments.operator_image else None
        (out / "install.yaml").write_text(install(image))
    except (ImageError, DistError, ClusterError) as error:
        print(error, file=sys.stderr)
        return 1
    time = int(os.environ.get("SOURCE_DATE_EPOCH", 0))
    files = chart.contents()
    packed = chart.pack(chart.pinned(files, image) if image else files, out, time)
    (out / SUMS).write_text(sums(out))
    print(f"{out}: install.yaml, {packed.name}, {SUMS}")
    if image is None or not image.digest:
        print("the operator's image has no digest: OPERATOR_IMAGE=REPOSITORY@sha256:... pins it")
    return 0


def install(image: Image | None) -> str:
    """The rendered installation."""
    if image is None:
        return _kustomize(ROOT / "deploy" / "operator")
    named = {"name": "riskpredictor-operator", "newName": image.repository}
    version = {"digest": image.digest} if image.digest else {"newTag": image.tag}
    with tempfile.TemporaryDirectory() as folder:
        # kustomize takes no absolute paths, and the base's own image entry has to come first.
        base = os.path.relpath(ROOT / "deploy" / "operator", Path(folder).resolve())
        overlay = {"resources": [base], "images": [named | version]}
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return _kustomize(Path(folder))


def sums(folder: Path) -> str:
    """The folder's files as ``sha256sum --check`` reads them."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != SUMS
    )


def _kustomize(folder: Path) -> str:
    kubectl = ensure(KUBERNETES, ["kubectl"]) / "kubectl"
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DistError(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
