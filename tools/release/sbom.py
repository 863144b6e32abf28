"""Writes a bill of materials (CycloneDX) and the licences of each image into dist/: ``make sbom``.

uv installs an image's lock files into a temporary folder, resolved for the Python of its base
image; cyclonedx-py and pip-licenses read the packages' metadata there. A licence that
[tool.pip-licenses] in pyproject.toml does not allow ends it. The base image's own packages are not
listed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)


@dataclass(frozen=True)
class Image:
    """What decides which packages an image gets."""

    name: str
    project: str
    dockerfile: str
    locks: Sequence[str]


_PREDICTOR_LOCK = "predictor/requirements.lock"
IMAGES = (
    Image("operator", "operator", "Dockerfile.operator", ["operator/requirements.lock"]),
    Image("predictor", "predictor", "Dockerfile.predictor", [_PREDICTOR_LOCK]),
    Image(
        "predictor-sklearn", "predictor", "Dockerfile.predictor",
        [_PREDICTOR_LOCK, "predictor/requirements-sklearn.lock"],
    ),
)  # fmt: skip


def main() -> int:
    """Write the files of all images; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        # A folder of its own for each run: two at a time would clear each other's.
        with tempfile.TemporaryDirectory(prefix="sbom-") as folder:
            packages = install(image, Path(folder))
            _write(image, packages, out)
    return 0


def _write(image: Image, packages: Path, out: Path) -> None:
    (out / f"{image.name}.licences.txt").write_text(licences(packages))
    (out / f"{image.name}.cdx.json").write_text(bill(image, packages))
    print(f"{image.name}: {len(list(packages.glob('*.dist-info')))} packages")


def install(image: Image, home: Path) -> Path:
    """Install the image's packages for reading, not for running; returns their folder in the new
    environment ``home``.
    """
    found = re.search(
        r"(?m)^ARG BASE_IMAGE=python:(\d+\.\d+)", (ROOT / image.dockerfile).read_text()
    )
    if not found:
        raise ValueError(f"{image.dockerfile}: ARG BASE_IMAGE names no python:X.Y")
    venv.create(home, clear=True)
    (packages,) = home.glob("lib/python*/site-packages")
    _run(
        "uv", "pip", "install", "--quiet", f"--target={packages}", f"--python-version={found[1]}",
        "--python-platform=linux", "--no-deps", "--require-hashes",
        *(f"--requirement={lock}" for lock in image.locks),
    )  # fmt: skip
    return packages


def licences(packages: Path) -> str:
    """A table of the packages' licences; below it every licence file that they bring, and the
    licences of what is compiled into them, for wheels that list that.
    """
    hint = "use another package, or allow the licence in pyproject.toml, [tool.pip-licenses]"
    table = _run("pip-licenses", f"--python={_python(packages)}", hint=hint)
    texts = [
        f"\n{'=' * 80}\n{path.relative_to(packages)}\n{'=' * 80}\n\n{text.rstrip()}\n"
        for path in sorted(packages.glob("*.dist-info/**/*"))
        if (text := _licence_text(path))
    ]
    return table + "".join(texts)


def _licence_text(path: Path) -> str:
    """What a file of a package says about licences; empty if it says nothing."""
    if path.parent.name == "sboms":
        parts = json.loads(path.read_text())["components"]
        return "\n".join(
            f"{part['name']} {part['version']}:"
            f" {' AND '.join(_licence(each) for each in part.get('licenses', ()))}"
            for part in parts
        )
    return path.read_text() if path.is_file() and LICENCE_FILE.match(path.name) else ""


def _licence(choice: dict[str, Any]) -> str:
    """The licence of a component, one of the forms that CycloneDX has for it."""
    licence = choice.get("license", {})
    return str(choice.get("expression") or licence.get("id") or licence.get("name"))


def bill(image: Image, packages: Path) -> str:
    """The bill of cyclonedx-py, with the product's version and the hashes of the lock files."""
    document = json.loads(
        _run(
            # It would validate for 20 s what is not final yet; a test validates what is.
            "cyclonedx-py", "environment", "--no-validate", "--output-reproducible",
            "--spec-version=1.6", f"--pyproject={image.project}/pyproject.toml", _python(packages),
        )
    )  # fmt: skip
    (module,) = (ROOT / image.project).glob("*/__init__.py")
    version = re.search(r'(?m)^__version__ = "(.+)"', module.read_text())
    document["metadata"]["component"]["version"] = version[1] if version else ""
    locked = "".join((ROOT / lock).read_text() for lock in image.locks)
    for component in document["components"]:
        name, number = canonicalize_name(component["name"]), re.escape(component["version"])
        (entry,) = re.findall(rf"(?m)^{name}(?:\[.*?\])?=={number}\s(?:.*\\\n)*.*$", locked)
        hashes = [{"alg": "SHA-256", "content": it} for it in re.findall(r"sha256:(\w+)", entry)]
        files = {"type": "distribution", "url": component["purl"], "hashes": hashes}
        component.setdefault("externalReferences", []).append(files)
    return json.dumps(document, indent=2) + "\n"


def _python(packages: Path) -> Path:
    return packages.parents[2] / "bin" / "python"


def _run(program: str, *arguments: str | Path, hint: str = "") -> str:
    """Output of a program that is installed beside this Python; ends all of it on a failure."""
    command = [Path(sys.executable).with_name(program), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{program}: {done.stderr.strip()}{hint and f'; {hint}'}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
