"""Writes a bill of materials (CycloneDX) and the licences of every image into dist/.

    python -m release.sbom [--out DIR]

Packages, versions and hashes are those of the lock files, for the Python of the image's base;
licences and dependencies are those of the packages installed here. Fails for a licence that is not
on the list in licences.py. The base image's own packages are not in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release import licences
from release.locks import IMAGES, ROOT, Image, LockError
from release.tools import program

SPEC_VERSION = "1.6"

Body = dict[str, Any]


class SupplyError(Exception):
    """A package that may not, or cannot, be listed; the message says what to do."""


def main(argv: list[str]) -> int:
    """Write the files of all images; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    out = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    try:
        for image in IMAGES:
            document = complete(_bare(image), image)
            (out / f"{image.name}.cdx.json").write_text(json.dumps(document, indent=2) + "\n")
            (out / f"{image.name}.licences.txt").write_text(_licences(image))
            print(f"{image.name}: {len(document['components'])} packages")
    except (LockError, SupplyError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _bare(image: Image) -> Body:
    """What the CycloneDX project's own tool makes of the pins."""
    command: list[str | Path] = [
        program("cyclonedx-py"), "requirements", "-", "--output-reproducible",
        f"--spec-version={SPEC_VERSION}", "--output-format=JSON",
    ]  # fmt: skip
    pins = "\n".join(pin.plain for pin in image.pins())
    done = subprocess.run(command, input=pins, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SupplyError(f"{image.name}: cyclonedx-py failed: {done.stderr}")
    document: Body = json.loads(done.stdout)
    return document


def complete(document: Body, image: Image) -> Body:
    """Add the product, and each package's licence, summary and dependencies."""
    product = installed(image.product)
    root = f"{image.name}@{product.version}"
    references = {}
    for component in document["components"]:
        found = installed(component["name"])
        references[component["name"]] = component["bom-ref"] = component["purl"]
        component["description"] = found.metadata["Summary"]
        component["licenses"] = _stated(component["name"], found)
        if found.version != component["version"]:
            note = {"name": "riskpredictor:licence-read-from-version", "value": found.version}
            component["properties"] = [note]
    document["metadata"]["component"] = {
        "type": "container",
        "bom-ref": root,
        "name": image.product,
        "version": product.version,
        "description": image.title,
        "licenses": [{"expression": "MIT"}],
    }
    needed = _graph(image, references)
    document["dependencies"] = [
        {"ref": root, "dependsOn": needed.pop("")},
        *({"ref": ref, "dependsOn": needed[name]} for name, ref in references.items()),
    ]
    return document


def installed(name: str) -> Distribution:
    """The package as it is installed here."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise SupplyError(f"{name} is locked but not installed: run make again") from None


def _stated(name: str, found: Distribution) -> list[Body]:
    said = licences.declared(found)
    wrong = licences.refused(said)
    if wrong:
        raise SupplyError(
            f"{name} {found.version}: {', '.join(wrong)}: not on the list of allowed licences;"
            " use another package, or add it to tools/release/licences.py with the reason"
        )
    if len(said) == 1 and licences.is_expression(said[0]):
        return [{"expression": said[0]}]
    return [{"license": {"name": name}} for name in said]


def _graph(image: Image, references: Mapping[str, str]) -> dict[str, list[str]]:
    """References of the packages that each package needs; those of the product are under ""."""
    environment = image.environment()
    extras: dict[str, set[str]] = defaultdict(lambda: {""})
    wanted = {"": installed(image.product), **{name: installed(name) for name in references}}
    if any("sklearn" in lock for lock in image.locks):
        extras[""].add("sklearn")
    needed: dict[str, set[str]] = {}
    # Twice: the first time learns which extras are asked for.
    for _ in range(2):
        for name, found in wanted.items():
            needed[name] = set()
            for requirement in map(Requirement, found.requires or []):
                marker = requirement.marker
                fits = marker is None or any(
                    marker.evaluate({**environment, "extra": extra}) for extra in extras[name]
                )
                other = canonicalize_name(requirement.name)
                if fits and other in references:
                    extras[other] |= requirement.extras
                    needed[name].add(references[other])
    return {name: sorted(others) for name, others in needed.items()}


def _licences(image: Image) -> str:
    """A list, and below it the texts that the packages bring."""
    pins = image.pins()
    lines = [
        f"Packages in the image of {image.title}, and their licences.",
        "",
        *(f"{pin.name} {pin.version}: {_said(pin.name)}" for pin in pins),
    ]
    for pin in pins:
        for path, text in licences.texts(installed(pin.name)).items():
            lines += ["", "=" * 80, f"{pin.name}: {path}", "=" * 80, "", text.rstrip()]
    return "\n".join(lines) + "\n"


def _said(name: str) -> str:
    return ", ".join(licences.declared(installed(name)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
