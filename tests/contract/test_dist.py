"""What ``make dist`` writes: the same installation in other wrappings, with images pinned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from riskpredictor_operator import __version__
from support.cluster import ROOT
from support.helm import Helm, Object, documents, kustomize

pytestmark = pytest.mark.usefixtures("renderers")

DIGEST = "sha256:" + "5a" * 32
IMAGE = f"registry.example:5000/health/operator@{DIGEST}"
CHART = f"riskpredictor-{__version__}.tgz"


def dist(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": f"{ROOT}/tools:{ROOT}/tools/cluster", "SOURCE_DATE_EPOCH": "86400"}
    return subprocess.run(
        [sys.executable, "-m", "release.dist", "--out", out, *arguments],
        cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done = dist(out)
    assert done.returncode == 0, done.stderr
    assert "no digest: OPERATOR_IMAGE=" in done.stdout
    return out


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pinned")
    (out / "operator.cdx.json").write_text("{}")
    done = dist(out, "--operator-image", IMAGE)
    assert done.returncode == 0, done.stderr
    assert "no digest" not in done.stdout
    return out


def images(objects: list[Object]) -> list[str]:
    """Images of all containers."""
    return [
        container["image"]
        for body in objects
        if body["kind"] == "Deployment"
        for container in body["spec"]["template"]["spec"]["containers"]
    ]


def test_the_one_file_is_the_kustomize_base(plain: Path) -> None:
    assert (plain / "install.yaml").read_text() == kustomize("deploy/operator")


def test_a_digest_is_all_that_pinning_changes(plain: Path, pinned: Path) -> None:
    usual, other = ((path / "install.yaml").read_text() for path in (plain, pinned))
    assert images(documents(other)) == [IMAGE]
    assert other.replace(IMAGE, f"riskpredictor-operator:{__version__}") == usual


def test_the_packed_chart_is_pinned_too(plain: Path, pinned: Path, helm: Helm) -> None:
    assert images(helm.template(chart=plain / CHART)) == [f"riskpredictor-operator:{__version__}"]
    # The digest decides; the tag in front of it is for those who read it.
    assert images(helm.template(chart=pinned / CHART)) == [IMAGE.replace("@", f":{__version__}@")]


def test_check_sums_cover_every_file(pinned: Path) -> None:
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=pinned, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    said = {line.removesuffix(": OK") for line in checked.stdout.splitlines()}
    assert said == {"install.yaml", CHART, "operator.cdx.json"}


def test_the_same_sources_make_the_same_bytes(plain: Path, tmp_path: Path) -> None:
    dist(tmp_path)
    for name in ("install.yaml", CHART, "SHA256SUMS"):
        assert (tmp_path / name).read_bytes() == (plain / name).read_bytes()


@pytest.mark.parametrize(
    "image",
    ["operator", "registry.example:5000/operator", "operator@sha256:5a", "Operator:1", "operator:"],
)
def test_an_image_without_digest_and_tag_is_refused(image: str, tmp_path: Path) -> None:
    done = dist(tmp_path, "--operator-image", image)
    assert done.returncode == 1
    assert f"operator image {image!r}: expected repository@sha256:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_make_hands_the_image_on_and_makes_the_bills() -> None:
    command = ["make", "--dry-run", "dist", f"OPERATOR_IMAGE={IMAGE}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f'release.dist --operator-image "{IMAGE}"' in said
    assert "release.sbom" in said
