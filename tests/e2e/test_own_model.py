"""docs/OWN-MODEL-GUIDE.md, done as it says: from a CSV file to predictions of one's own model.

The commands and the YAML are read from the guide. No image is built on the way.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from unit.predictor.support import free_port

from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from riskpredictor_server.api.records import RecordReader
from riskpredictor_server.model.artifact import Model, load
from support.api import Api
from support.cluster import ROOT, LocalCluster
from support.guide import block, blocks, shell
from support.plugin import Plugin
from support.predictors import Predictors
from support.programs import RUNTIME_IMAGE
from support.stores import s3

GUIDE = ROOT / "docs" / "OWN-MODEL-GUIDE.md"
STORE, PORT = "https://s3.example.com", "8080"
"""What is another one here."""
VERSION = "ward-ews-1"


@dataclass
class Desk:
    """Where somebody sits who reads the guide: a folder, a shell, and a namespace of a cluster."""

    folder: Path
    environment: dict[str, str]
    endpoint: str
    images: set[str]
    """On the node, before there was a model."""

    def read(self, heading: str, language: str = "sh") -> str:
        """A block of the guide, for the store that is here."""
        return block(heading, language, GUIDE).replace(STORE, self.endpoint)

    def follow(self, heading: str) -> str:
        """Type the commands under a heading, and return what they say."""
        return shell(self.read(heading), self.environment, self.folder)


@pytest.fixture(scope="module")
def desk(
    cluster: LocalCluster, home: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """With what the guide needs, and an empty bucket."""
    folder = tmp_path_factory.mktemp("desk")
    # The guide's paths are those of the repository, which nothing may be written to.
    (folder / "predictor").symlink_to(ROOT / "predictor")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(cluster.kubectl("config", "view", "--raw", "--flatten"))
    with s3.serve(cluster.machine_address, tmp_path_factory.mktemp("s3")) as store:
        assert store.authority
        shutil.copy(store.authority, folder / "ca.crt")
        lines = [f"{name}={value}\n" for name, value in store.credentials.items()]
        (folder / "model-reader.env").write_text("".join(lines))
        environment = {
            **cluster.environment,
            **store.credentials,
            "PATH": f"{Path(sys.executable).parent}:{cluster.environment['PATH']}",
            "KUBECONFIG": str(kubeconfig),
        }
        shell(f"kubectl config set-context --current --namespace={home}", environment)
        yield Desk(folder, environment, store.endpoint, cluster.images())


@pytest.fixture(scope="module")
def digest(desk: Desk) -> str:
    """Of the trained model, as ``sha256sum`` says it."""
    return desk.follow("Train").splitlines()[-1].split()[0]


@pytest.fixture(scope="module")
def lines(desk: Desk, digest: str) -> dict[str, Any]:
    """The two lines for Git that pushing it prints."""
    printed = desk.follow("Put it into a store")
    assert len(printed.splitlines()) == 2
    return dict(yaml.safe_load(printed))


@pytest.fixture(scope="module")
def served(desk: Desk, lines: dict[str, Any], predictors: Predictors) -> Key:
    """The RiskPredictor, Ready; the store is not needed any more."""
    desk.follow("Declare it")
    declared = yaml.safe_load(desk.read("Declare it", "yaml"))
    declared["spec"]["model"]["digest"] = lines["model"]["digest"]
    (desk.folder / "early-warning.yaml").write_text(yaml.safe_dump(declared))
    desk.follow("Serve it")
    return Key(predictors.namespace, declared["metadata"]["name"])


@pytest.fixture(scope="module")
def url(cluster: LocalCluster, predictors: Predictors, served: Key) -> str:
    """The Service, reached through the node."""
    predictors.patch(served, service={"type": "NodePort"})
    return cluster.service_url(served)


@pytest.fixture(scope="module")
def model(desk: Desk, digest: str) -> Model:
    """The artifact in the folder, loaded here."""
    return load(desk.folder / VERSION)


def ask(method: str, url: str, **body: Any) -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager() as http:
        return http.request(method, url, timeout=10, **body)


def scored(model: Model, records: list[dict[str, Any]]) -> list[list[float]]:
    """Their probabilities, computed here."""
    reader = RecordReader(model.schema, model.examples[0]["record"])
    rows = reader.read_many(records, "instances")
    return [list(model.scorer.score(row).probabilities) for row in rows]


def recorded(desk: Desk, count: int) -> list[dict[str, Any]]:
    """Records of the CSV file as POST /predict takes them."""

    def value(name: str, text: str) -> Any:
        if name in ("consciousness", "temperature_unit"):
            return text
        return json.loads(text) if text else None

    with (desk.folder / "records.csv").open() as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]
    other = {"patient", "risk_level"}
    return [{n: value(n, text) for n, text in row.items() if n not in other} for row in rows]


def test_every_command_of_the_guide_is_run_here() -> None:
    """A new block needs a test."""
    assert list(blocks(GUIDE, "sh")) == [
        "Train", "Put it into a store", "Declare it", "Serve it", "Ask it", "Ask it by HTTP",
    ]  # fmt: skip


def test_the_table_that_the_guide_shows_is_the_examples(desk: Desk, digest: str) -> None:
    shown = desk.read("Describe a record", "csv")
    assert (desk.folder / "records.csv").read_text().startswith(shown)


def test_the_lines_for_git_are_those_of_the_guide(
    desk: Desk, lines: dict[str, Any], digest: str
) -> None:
    spec = yaml.safe_load(desk.read("Declare it", "yaml"))["spec"]
    assert lines["modelVersion"] == spec["modelVersion"] == VERSION
    assert lines["model"] == {"digest": f"sha256:{digest}", "source": spec["model"]["source"]}


def test_the_model_that_was_trained_is_the_one_that_serves(
    predictors: Predictors, served: Key, digest: str
) -> None:
    status = predictors.wait(served)["status"]
    served_model = (status["model"]["version"], status["model"]["digest"])
    assert served_model == (VERSION, f"sha256:{digest}")
    assert status["servingVersion"] == VERSION


def test_no_image_was_built(api: Api, cluster: LocalCluster, desk: Desk, served: Key) -> None:
    """All containers of its pods run the server without a model, and the node has no new image."""
    label = f"healthtech.dev/riskpredictor={served.name}"
    pods = api.items(POD, served.namespace, label)
    assert pods
    for pod in pods:
        containers = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
        assert [each["image"] for each in containers] == [RUNTIME_IMAGE] * 2
    assert cluster.images() == desk.images


def test_the_service_answers_as_the_model_in_the_folder(desk: Desk, url: str, model: Model) -> None:
    """By plain HTTP, on records of the file with and without the value that may be left out."""
    records = recorded(desk, 400)
    left_out = [record["lactate"] is None for record in records]
    assert 0 < sum(left_out) < len(records)
    answers = ask("POST", f"{url}/predict", json={"instances": records}).json()["predictions"]
    expected = scored(model, records)
    for answer, probabilities in zip(answers, expected, strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(probabilities, abs=1e-12)
    assert {answer["model_version"] for answer in answers} == {VERSION}
    assert {answer["risk_level"] for answer in answers} == {"Low", "Medium", "High"}


def test_the_flags_of_the_plug_in_are_the_features(
    cluster: LocalCluster, desk: Desk, served: Key, model: Model
) -> None:
    said = desk.follow("Ask it")
    assert VERSION in said
    one, _ = desk.read("Ask it").splitlines()
    record = _record_of(desk)
    expected = scored(model, [record])[0]
    arguments = shlex.split(one)[2:]
    answer = Plugin(cluster, served.namespace).json(*arguments)
    assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-12)
    with (desk.folder / "answers.csv").open() as file:
        answered = list(csv.DictReader(file))
    with (desk.folder / "records.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["patient"] for row in answered] == [row["patient"] for row in rows]
    right = sum(row["predicted_risk"] == row["risk_level"] for row in answered)
    assert right / len(answered) > 0.9


def _record_of(desk: Desk) -> dict[str, Any]:
    """The record that the guide sends by HTTP."""
    _, line = desk.read("Ask it by HTTP").splitlines()
    return dict(json.loads(shlex.split(line)[-1]))


def test_the_port_forward_of_the_guide(desk: Desk, served: Key, model: Model) -> None:
    port = str(free_port())
    forward, curl = desk.read("Ask it by HTTP").replace(PORT, port).splitlines()
    wait = (
        f"timeout 60 bash -c 'until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep .1; done'"
    )
    script = f"{forward.removesuffix('&')} >/dev/null & trap 'kill $!' EXIT; {wait}; {curl}"
    answer = json.loads(shell(script, desk.environment, desk.folder))
    expected = scored(model, [_record_of(desk)])[0]
    assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-12)


def test_the_page_has_a_field_for_each_feature(url: str, model: Model) -> None:
    page = ask("GET", f"{url}/").data.decode()
    fields = re.findall(r'data-field="(\w+)"', page)
    assert tuple(fields) == model.schema.names
    assert fields == [
        *("respiratory_rate", "oxygen_saturation", "supplemental_oxygen", "systolic_pressure"),
        *("pulse", "consciousness", "temperature", "age", "lactate"),
    ]
