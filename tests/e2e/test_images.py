"""What is in the images, and what is not."""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

import pytest

from localcluster.images import archive_of
from riskdemo.install import OPERATOR_IMAGE

PREDICTOR_IMAGES = {"v1": "health-predictor:v1", "v2": "health-predictor:v2"}
IMAGES = (OPERATOR_IMAGE, *PREDICTOR_IMAGES.values())
MEGABYTE = 1e6

LIMITS = {OPERATOR_IMAGE: (320, 85), **dict.fromkeys(PREDICTOR_IMAGES.values(), (180, 70))}
"""Most megabytes unpacked and to pull, on the base image made here. Of the operator's, the API
client's generated models are 123."""

COMPILERS = re.compile(
    r"(^|/)s?bin/(\S+-)?(gcc|g\+\+|cc|c\+\+|clang|ld|as|make|cargo|go)(-[\d.]+)?$"
)
INSTALLERS = re.compile(r"(^|/)(pip|setuptools|s?bin/(pip[\d.]*|uv|easy_install))$")
TESTS = re.compile(r"(^|/)(pytest|_pytest|hypothesis|conftest\.py|riskpredictor_\w+/.*test[^/]*)$")
TRAINING = re.compile(r"(^|/)(sklearn|scikit_learn[^/]*|numpy|scipy|pandas|matplotlib)$")
OURS = re.compile(r"(opt|model)(/|$)")
CACHES = re.compile(r"^(root/\.cache/.+|var/cache/apt/.+\.deb|var/lib/apt/lists/.+_Packages)$")


@dataclass(frozen=True)
class Image:
    """An image as ``docker save`` writes it."""

    config: dict[str, Any]
    files: frozenset[str]
    """Paths without the leading slash, of all layers."""
    unreadable: frozenset[str]
    """Those of our own files that not everybody may read, and folders that not all may enter."""
    unpacked: int
    """Bytes of all layers, which is what ``docker images`` shows."""
    compressed: int
    """Bytes that a registry would store and a node would pull."""


@pytest.fixture(scope="module")
def all_images(images: tuple[str, ...]) -> dict[str, Image]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(IMAGES, pool.map(_read, IMAGES), strict=True))


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest, all_images: dict[str, Image]) -> Image:
    return all_images[request.param]


def _read(name: str) -> Image:
    with archive_of(name) as path, tarfile.open(path) as archive:
        (manifest,) = json.load(_member(archive, "manifest.json"))
        config = json.load(_member(archive, manifest["Config"]))
        files: set[str] = set()
        unreadable: set[str] = set()
        unpacked = compressed = 0
        for layer in manifest["Layers"]:
            compressed += _gzipped(_member(archive, layer))
            with tarfile.open(fileobj=_member(archive, layer)) as tree:
                for entry in tree:
                    inside = str(PurePosixPath(entry.name))
                    files.add(inside)
                    needed = 0o555 if entry.isdir() else 0o444
                    if OURS.match(inside) and not entry.issym() and entry.mode & needed != needed:
                        unreadable.add(inside)
                    unpacked += entry.size
    return Image(config, frozenset(files), frozenset(unreadable), unpacked, compressed)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.extractfile(name)
    assert member is not None
    return member


def _gzipped(data: IO[bytes]) -> int:
    packer = zlib.compressobj(6)
    size = sum(len(packer.compress(chunk)) for chunk in iter(lambda: data.read(1 << 20), b""))
    return size + len(packer.flush())


def _matching(image: Image, pattern: re.Pattern[str]) -> list[str]:
    return sorted(path for path in image.files if pattern.search(path))


@pytest.mark.parametrize(
    "unwanted", [COMPILERS, INSTALLERS, TESTS, CACHES], ids=["compilers", "pip", "tests", "caches"]
)
def test_nothing_is_inside_that_serving_does_not_need(
    image: Image, unwanted: re.Pattern[str]
) -> None:
    assert _matching(image, unwanted) == []


@pytest.mark.parametrize("name", PREDICTOR_IMAGES.values())
def test_a_predictor_answers_without_the_libraries_that_trained_it(
    all_images: dict[str, Image], name: str
) -> None:
    assert _matching(all_images[name], TRAINING) == []
    assert {"model/scorer.json", "model/card.json", "model/model.joblib"} <= all_images[name].files


def test_it_runs_as_an_ordinary_user(image: Image) -> None:
    """By number, or a kubelet could not tell; in group 0, as users that a cluster assigns."""
    assert image.config["config"]["User"] == "10001:0"


def test_any_user_can_read_all_that_runs(image: Image) -> None:
    assert image.unreadable == frozenset()


def test_no_secret_and_no_address_of_the_builder_is_in_its_history(image: Image) -> None:
    told = json.dumps(image.config).lower()
    for word in ("password", "token", "index-url", "proxy"):
        assert word not in told


def test_labels_say_what_it_is(image: Image) -> None:
    labels = image.config["config"]["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["org.opencontainers.image.title"].startswith("RiskPredictor ")
    assert labels["org.opencontainers.image.description"]


@pytest.mark.parametrize("version", PREDICTOR_IMAGES)
def test_a_predictor_is_labelled_with_its_models_version(
    all_images: dict[str, Image], version: str
) -> None:
    labels = all_images[PREDICTOR_IMAGES[version]].config["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == version


def test_images_are_small(all_images: dict[str, Image]) -> None:
    for name, image in all_images.items():
        unpacked, compressed = image.unpacked / MEGABYTE, image.compressed / MEGABYTE
        print(f"{name}: {unpacked:.0f} MB unpacked, {compressed:.0f} MB to pull")
        most_unpacked, most_compressed = LIMITS[name]
        assert unpacked < most_unpacked
        assert compressed < most_compressed
