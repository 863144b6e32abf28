"""The predictor's Dockerfile against the files that it names: what an extra may bring in."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile.predictor").read_text()
HEAVY = {"joblib", "numpy", "scikit-learn", "scipy"}
LOCKS = ("requirements", "requirements-sklearn", "requirements-train")


def pins(lock: str) -> dict[str, set[str]]:
    """Name to versions; a package may have one per version of Python."""
    found: dict[str, set[str]] = {}
    text = (ROOT / "predictor" / f"{lock}.lock").read_text()
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def copied() -> list[str]:
    """What the Dockerfile takes from the build's context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_everything_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source in sent, f".dockerignore lacks !{source}"


def test_without_an_extra_there_is_no_scikit_learn() -> None:
    assert re.search(r"^ARG EXTRAS=$", DOCKERFILE, re.MULTILINE)
    assert not HEAVY & pins("requirements").keys()


def test_the_extra_is_copied_and_brings_what_unpickles_a_model_and_nothing_of_training() -> None:
    assert '${EXTRAS:+-r "requirements-${EXTRAS}.lock"}' in DOCKERFILE
    assert "predictor/requirements-sklearn.lock" in copied()
    extra = pins("requirements-sklearn").keys()
    assert extra >= HEAVY
    assert not extra & {"matplotlib", "pillow", "fonttools"}


def test_a_model_is_unpickled_by_the_versions_that_pickled_it() -> None:
    trained = pins("requirements-train")
    assert {name: trained.get(name) for name in pins("requirements-sklearn")} == pins(
        "requirements-sklearn"
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    blocks = re.split(
        r"^(?=\w)", (ROOT / "predictor" / f"{lock}.lock").read_text(), flags=re.MULTILINE
    )
    packages = [block for block in blocks if "==" in block]
    assert packages
    assert [block for block in packages if "--hash=sha256:" not in block] == []


def test_the_packages_extra_is_what_the_image_installs() -> None:
    project = tomllib.loads((ROOT / "predictor/pyproject.toml").read_text())["project"]
    wanted = {re.split("[><=]", name)[0] for name in project["optional-dependencies"]["sklearn"]}
    listed = (ROOT / "predictor/requirements-sklearn.in").read_text().splitlines()
    assert wanted == {line for line in listed if line and line[0] not in "#-"}
