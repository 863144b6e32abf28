"""What the images contain, against the lock files and the packages installed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker

from support.cluster import ROOT

FOLDERS = (ROOT, ROOT / "operator", ROOT / "predictor", ROOT / "tools" / "kubectl")
LOCKS = sorted(path.relative_to(ROOT) for folder in FOLDERS
               for path in folder.glob("requirements*.lock"))  # fmt: skip
IMAGES = {
    "operator": ("Dockerfile.operator", ["operator/requirements.lock"]),
    "predictor": ("Dockerfile.predictor", ["predictor/requirements.lock"]),
    "predictor-sklearn": (
        "Dockerfile.predictor",
        ["predictor/requirements.lock", "predictor/requirements-sklearn.lock"],
    ),
}
SHIPPABLE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0",
    "PSF-2.0", "Zlib", "BSD License",
}  # fmt: skip
"""Licences of what the images contain today."""

BARE = str.maketrans("", "", "()")

Bills = dict[str, dict[str, Any]]


def run(
    module: str, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """One of the commands behind make audit and make sbom."""
    return subprocess.run(
        [sys.executable, "-m", f"release.{module}", *map(str, arguments)],
        cwd=ROOT / "tools",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def entries(lock: str | Path) -> list[str]:
    """Logical lines of a lock file."""
    lines = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines]


def image_python(dockerfile: str) -> str:
    text = (ROOT / dockerfile).read_text()
    found = re.search(r"^ARG BASE_IMAGE=python:([\d.]+)-", text, re.MULTILINE)
    assert found
    return found[1]


def locked(image: str) -> dict[str, tuple[str, set[str]]]:
    """Version and hashes by name of what pip installs into an image."""
    dockerfile, locks = IMAGES[image]
    python = image_python(dockerfile)
    there = {"python_full_version": f"{python}.0", "python_version": python,
             "sys_platform": "linux"}  # fmt: skip
    found = {}
    for entry in (entry for lock in locks for entry in entries(lock)):
        requirement, *hashes = entry.split(" --hash=sha256:")
        pin, _, marker = requirement.partition(" ; ")
        if not marker or Marker(marker).evaluate(there):
            name, version = pin.split("==")
            found[name.split("[")[0]] = (version, set(hashes))
    return found


@pytest.fixture(scope="module")
def made(audit_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of make sbom."""
    folder = tmp_path_factory.mktemp("dist")
    done = run("sbom", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def bills(made: Path) -> Bills:
    return {image: json.loads((made / f"{image}.cdx.json").read_text()) for image in IMAGES}


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_entry_of_a_lock_is_pinned_and_has_hashes(lock: Path) -> None:
    pin = (
        r"[a-z0-9][a-z0-9.-]*(\[[a-z0-9,-]+\])?==[^\s;]+( ; [^#@]+?)?( --hash=sha256:[0-9a-f]{64})+"
    )
    assert entries(lock)
    assert [entry for entry in entries(lock) if not re.fullmatch(pin, entry)] == []


def test_every_list_of_requirements_is_locked() -> None:
    sources = [path for folder in FOLDERS for path in folder.glob("requirements*.in")]
    assert sorted(path.with_suffix(".lock").relative_to(ROOT) for path in sources) == LOCKS


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_installs_from_the_locks_of_its_bill_and_from_nothing_else(image: str) -> None:
    dockerfile, locks = IMAGES[image]
    extra = "-r requirements-sklearn.lock" if image == "predictor-sklearn" else ""
    final = (ROOT / dockerfile).read_text().split("\nFROM pip AS runtime\n")[-1]
    final = final.replace('${EXTRAS:+-r "requirements-${EXTRAS}.lock"}', extra)
    installs = re.findall(r"pip --python \S+ install (.*?)(?:\n(?! )|\n &&)", final, re.DOTALL)
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    named = [Path(name).name for name in re.findall(r"-r (\S+)", installs[0])]
    assert named == [Path(lock).name for lock in locks]


@pytest.mark.parametrize("image", IMAGES)
def test_a_bill_lists_exactly_the_packages_of_the_locks_with_versions_and_hashes(
    image: str, bills: Bills
) -> None:
    listed = {
        component["name"]: (
            component["version"],
            {digest["content"]
             for reference in component["externalReferences"]
             for digest in reference["hashes"]
             if digest["alg"] == "SHA-256"},
        )
        for component in bills[image]["components"]
    }  # fmt: skip
    assert listed == locked(image)
    assert len(listed) == len(bills[image]["components"])


@pytest.mark.parametrize("image", IMAGES)
def test_a_bill_is_valid_cyclonedx(image: str, made: Path) -> None:
    check = (
        "import sys\n"
        "from cyclonedx.schema import SchemaVersion\n"
        "from cyclonedx.validation.json import JsonStrictValidator\n"
        "wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())\n"
        "sys.exit(f'{wrong}' if wrong else 0)\n"
    )
    python = ROOT / "build" / "audit" / "bin" / "python"
    document = (made / f"{image}.cdx.json").read_text()
    done = subprocess.run(
        [python, "-c", check], input=document, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_every_package_of_a_bill_is_there_because_the_product_needs_it(
    image: str, bills: Bills
) -> None:
    bill = bills[image]
    needs = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    reached: set[str] = set()
    waiting = [bill["metadata"]["component"]["bom-ref"]]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += needs[reference]
    assert reached == set(needs)
    assert len(needs) == len(bill["components"]) + 1


@pytest.mark.parametrize("image", IMAGES)
def test_every_licence_in_an_image_is_one_that_may_be_shipped(image: str, bills: Bills) -> None:
    for component in bills[image]["components"]:
        said = [entry.get("expression") or entry["license"]["name"]
                for entry in component["licenses"]]  # fmt: skip
        assert said, component["name"]
        expression = metadata(component["name"])["License-Expression"]
        assert expression is None or said == [expression]
        for licence in said:
            parts = {licence} & SHIPPABLE or set(re.split(r" AND | OR ", licence.translate(BARE)))
            assert parts <= SHIPPABLE, component["name"]


@pytest.mark.parametrize("image", IMAGES)
def test_the_list_of_licences_has_every_package_and_its_text(image: str, made: Path) -> None:
    text = (made / f"{image}.licences.txt").read_text()
    for name, (version, _) in locked(image).items():
        assert re.search(rf"^{re.escape(name)} {re.escape(version)}: \S", text, re.MULTILINE)
    assert "Redistributions in binary form must reproduce" in text


def _pretend(folder: Path, *lines: str) -> str:
    """A folder in which click says something else about its licence."""
    info = folder / "click-8.0.0.dist-info"
    info.mkdir()
    head = ("Metadata-Version: 2.4", "Name: click", "Version: 8.0.0", "Summary: x")
    (info / "METADATA").write_text("\n".join([*head, *lines]) + "\n")
    return str(folder)


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["License-Expression: GPL-3.0-only"], "GPL-3.0-only"),
        (["License-Expression: MIT AND (AGPL-3.0-or-later OR MIT)"], "AGPL-3.0-or-later"),
        (["Classifier: License :: OSI Approved :: GNU General Public License (GPL)"], "GNU Gen"),
        ([], "no licence in its metadata"),
    ],
    ids=["expression", "part of an expression", "classifier", "none"],
)
def test_a_licence_that_is_not_on_the_list_stops_the_bill(
    lines: list[str], named: str, tmp_path: Path
) -> None:
    path = _pretend(tmp_path, *lines)
    done = run("sbom", "--out", tmp_path / "dist", PYTHONPATH=path)
    assert done.returncode == 1
    assert "click 8.0.0" in done.stderr
    assert named in done.stderr
    assert "licences.py" in done.stderr
