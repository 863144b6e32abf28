"""Writes dist/install.yaml, the packaged chart and SHA256SUMS: ``make dist``.

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
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from localcluster.console import ClusterError
from localcluster.gobuild import KUBERNETES, ensure
from release import chart

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "deploy" / "operator"
SUMS = "SHA256SUMS"
_IMAGE = re.compile(
    r"(?P<repository>[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)

Image = dict[str, str]
"""``repository``, ``tag`` and ``digest``, as in the chart's values; at least one of the two."""


def main(argv: list[str]) -> int:
    """Write the files; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operator-image", default="", help="default: as in deploy/operator")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    options = parser.parse_args(argv)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    try:
        image = parse(options.operator_image) if options.operator_image else None
        (out / "install.yaml").write_text(install(image))
    except (ValueError, ClusterError) as error:
        print(error, file=sys.stderr)
        return 1
    files = chart.contents()
    if image:
        files["values.yaml"] = with_image(files["values.yaml"].decode(), image).encode()
    packed = chart.pack(files, out, int(os.environ.get("SOURCE_DATE_EPOCH", 0)))
    (out / SUMS).write_text(sums(out))
    print(f"{out}: install.yaml, {packed.name}, {SUMS}")
    if image is None or not image["digest"]:
        print("the operator's image has no digest: OPERATOR_IMAGE=REPOSITORY@sha256:... pins it")
    return 0


def parse(text: str) -> Image:
    """The parts of ``repository[:tag][@digest]``. Raises ValueError."""
    found = _IMAGE.fullmatch(text)
    # "host:5000" alone would pass as a repository with a port.
    if found is None or not (found["tag"] or found["digest"]):
        raise ValueError(
            f"operator image {text!r}: expected repository@sha256:<64 hex digits>, "
            "as pushing it tells, or repository:tag"
        )
    return found.groupdict(default="")


def install(image: Image | None) -> str:
    """The rendered installation."""
    if image is None:
        return _kustomize(BASE)
    change = {"name": "riskpredictor-operator", "newName": image["repository"]}
    change |= {"digest": image["digest"]} if image["digest"] else {"newTag": image["tag"]}
    with tempfile.TemporaryDirectory() as folder:
        # kustomize takes no absolute paths, and the base's own image entry has to come first.
        base = os.path.relpath(BASE, Path(folder).resolve())
        overlay = {"resources": [base], "images": [change]}
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return _kustomize(Path(folder))


def with_image(values: str, image: Image) -> str:
    """The chart's values.yaml with another default image, its comments kept."""
    for name, new in image.items():
        values, count = re.subn(rf'(?m)^  {name}: ".*"$', f'  {name}: "{new}"', values, count=1)
        if count == 0:
            raise ValueError(f"values.yaml has no line {name} for the image")
    return values


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
        raise ValueError(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
