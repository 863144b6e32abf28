"""make sbom: what the images contain, against the lock files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from release.audit import lock_files
from support.cluster import ROOT

AUDIT_PYTHON = ROOT / "build" / "audit" / "bin" / "python"
IMAGES = {
    "operator": ("Dockerfile.operator", ["operator/requirements.lock"]),
    "predictor": ("Dockerfile.predictor", ["predictor/requirements.lock"]),
    "predictor-sklearn": (
        "Dockerfile.predictor",
        ["predictor/requirements.lock", "predictor/requirements-sklearn.lock"],
    ),
}
SCIKIT_LEARN = {"joblib", "numpy", "scikit-learn", "scipy"}

Bills = dict[str, dict[str, Any]]


def sbom(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run code with the module behind make sbom, in the environment of its tools."""
    return subprocess.run(
        [AUDIT_PYTHON, "-c", f"import sys; from pathlib import Path; {code}", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def entries(lock: str | Path) -> list[str]:
    """Logical lines of a lock file."""
    lines = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines]


def locked(image: str) -> dict[str, tuple[str, set[str]]]:
    """Version and hashes by name of what pip installs into an image."""
    dockerfile, locks = IMAGES[image]
    base = re.search(r"(?m)^ARG BASE_IMAGE=python:([\d.]+)-", (ROOT / dockerfile).read_text())
    assert base
    there = {"python_full_version": f"{base[1]}.0", "python_version": base[1],
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
    done = sbom("from release import sbom; sys.exit(sbom.main())", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def bills(made: Path) -> Bills:
    return {image: json.loads((made / f"{image}.cdx.json").read_text()) for image in IMAGES}


@pytest.mark.parametrize("lock", lock_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_entry_of_a_lock_is_pinned_and_has_hashes(lock: Path) -> None:
    pin = (
        r"[a-z0-9][a-z0-9.-]*(\[[a-z0-9,-]+\])?==[^\s;]+( ; [^#@]+?)?( --hash=sha256:[0-9a-f]{64})+"
    )
    assert entries(lock)
    assert [entry for entry in entries(lock) if not re.fullmatch(pin, entry)] == []


def test_every_list_of_requirements_is_locked() -> None:
    folders = {path.parent for path in lock_files()}
    sources = [path for folder in folders for path in folder.glob("requirements*.in")]
    assert sorted(path.with_suffix(".lock") for path in sources) == lock_files()


def test_scikit_learn_comes_with_the_extra_alone_and_training_with_neither() -> None:
    assert not SCIKIT_LEARN & locked("predictor").keys()
    extra = locked("predictor-sklearn").keys()
    assert extra >= SCIKIT_LEARN
    assert not extra & {"matplotlib", "pillow", "fonttools"}


def test_a_model_is_unpickled_by_the_versions_that_pickled_it() -> None:
    extra = set(entries("predictor/requirements-sklearn.lock"))
    assert extra <= set(entries("predictor/requirements-train.lock"))


def test_the_package_s_extra_is_what_the_image_installs() -> None:
    project = tomllib.loads((ROOT / "predictor/pyproject.toml").read_text())["project"]
    wanted = {re.split("[><=]", name)[0] for name in project["optional-dependencies"]["sklearn"]}
    listed = (ROOT / "predictor/requirements-sklearn.in").read_text().splitlines()
    assert wanted == {line for line in listed if line and line[0] not in "#-"}


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
    listed = {}
    for component in bills[image]["components"]:
        assert component["licenses"]
        (files,) = (it for it in component["externalReferences"] if it.get("hashes"))
        hashes = {it["content"] for it in files["hashes"]}
        listed[canonicalize_name(component["name"])] = (component["version"], hashes)
    assert listed == locked(image)
    assert len(listed) == len(bills[image]["components"])


# The third bill is part of the second.
@pytest.mark.parametrize("image", ["operator", "predictor-sklearn"])
def test_a_bill_is_valid_cyclonedx(image: str, made: Path) -> None:
    done = sbom(
        "from cyclonedx.schema import SchemaVersion as Version\n"
        "from cyclonedx.validation.json import JsonStrictValidator as Validator\n"
        "text = Path(sys.argv[1]).read_text()\n"
        "sys.exit(str(Validator(Version.V1_6).validate_str(text) or '') or 0)\n",
        made / f"{image}.cdx.json",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_every_package_of_a_bill_is_there_because_the_product_needs_it(
    image: str, bills: Bills
) -> None:
    bill = bills[image]
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    waiting = [bill["metadata"]["component"]["bom-ref"]]
    reached: set[str] = set()
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += needs[reference]
    assert reached == set(needs)
    assert len(needs) == len(bill["components"]) + 1


def test_the_same_commit_makes_the_same_bills(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = sbom("from release import sbom; sys.exit(sbom.main())", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    for path in made.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("image", IMAGES)
def test_the_list_of_licences_has_every_package_and_its_text(image: str, made: Path) -> None:
    text = (made / f"{image}.licences.txt").read_text()
    table = {canonicalize_name(line.split()[0]) for line in text.split("\n=")[0].splitlines()[1:]}
    assert table == locked(image).keys()
    texts = re.findall(r"(?m)^=+\n([\w.]+)-[\d.]+\.dist-info/\S+\n=+$", text)
    assert {canonicalize_name(name) for name in texts} == locked(image).keys()


def test_what_is_compiled_into_a_wheel_is_listed_with_its_licence(made: Path) -> None:
    text = (made / "predictor.licences.txt").read_text()
    (parts,) = re.findall(r"obstore.cyclonedx.json\n=+\n\n((?:.+\n)+)", text)
    named = (line.partition(": ") for line in parts.splitlines())
    licences = {part: licence for part, _, licence in named}
    assert any(part.startswith("object_store ") for part in licences)
    assert not [part for part, licence in licences.items() if re.search(r"^$|GPL|None", licence)]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("License-Expression: GPL-3.0-only", "GPL-3.0-only"),
        ("License-Expression: MIT AND (AGPL-3.0-or-later OR MIT)", "AGPL-3.0-or-later"),
        ("Classifier: License :: OSI Approved :: GNU General Public License (GPL)", "GNU Gen"),
        ("Summary: says nothing", "UNKNOWN"),
    ],
    ids=["expression", "part of an expression", "classifier", "none"],
)
def test_a_licence_that_is_not_on_the_list_stops_the_bill(
    line: str, named: str, tmp_path: Path, audit_tools: None
) -> None:
    venv.create(tmp_path)
    (packages,) = tmp_path.glob("lib/python*/site-packages")
    (packages / "click-8.0.0.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.4\nName: click\nVersion: 8.0.0\n{line}\n"
    (packages / "click-8.0.0.dist-info" / "METADATA").write_text(metadata)
    done = sbom("from release.sbom import licences; licences(Path(sys.argv[1]))", packages)
    assert done.returncode == 1
    assert "click:8.0.0" in done.stderr
    assert named in done.stderr
    assert "[tool.pip-licenses]" in done.stderr
