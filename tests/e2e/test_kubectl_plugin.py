"""``kubectl riskpredictor`` on real pods: predictions, the page, load, and what is broken."""

from __future__ import annotations

import csv
import io
import re
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from support.api import Api, eventually
from support.cluster import LocalCluster
from support.plugin import Plugin
from support.predictors import Predictors

WELL = ("--heart-rate=85", "--blood-pressure=120", "--temperature=98.6", "--oxygen-level=97")
HEADER = "patient,heart_rate,blood_pressure,temperature,oxygen_level,temperature_unit"


@pytest.fixture(scope="module")
def predictor(predictors: Predictors) -> Key:
    key = predictors.create("health-predictor", minReplicas=2, maxReplicas=2)
    predictors.wait(key, within=90)
    return key


@pytest.fixture(scope="module")
def plugin(cluster: LocalCluster, home: str) -> Plugin:
    return Plugin(cluster, home)


def _lines(pattern: str, text: str) -> list[Any]:
    """What begins a line and fits."""
    return re.findall(f"^{pattern}", text, re.MULTILINE)


def test_a_prediction_from_flags(plugin: Plugin, predictor: Key) -> None:
    header, row = plugin("predict", predictor.name, *WELL).splitlines()
    assert re.split(r" {3,}", header) == [
        "RISK", "CONFIDENCE", "LOW", "MEDIUM", "HIGH", "MODEL",
    ]  # fmt: skip
    assert (row.split()[0], row.split()[-1]) == ("Low", "v1")
    celsius = ("--temperature=37", "--temperature-unit=C")
    assert plugin("predict", predictor.name, *WELL, *celsius).splitlines() == [header, row]
    sick = plugin.json("predict", predictor.name, "--heart-rate=132", "--blood-pressure=84",
                       "--temperature=103.6", "--oxygen-level=85")  # fmt: skip
    assert (sick["risk_level"], sick["model_version"]) == ("High", "v1")
    wide = plugin("predict", predictor.name, *WELL, "-o", "wide")
    assert re.search(r"^oxygen_level +[+-]\d", wide, re.MULTILINE)
    assert "\nFEATURE          PUSHES TOWARDS HIGH\n" in wide


def test_the_flags_are_those_of_the_model_that_answers(plugin: Plugin, predictor: Key) -> None:
    printed = plugin("predict", predictor.name, "--help")
    flags = printed.partition("\nFlags of model v1:\n")[2]
    assert _lines(r"  (--[a-z-]+)", flags) == [
        "--heart-rate", "--blood-pressure", "--temperature", "--temperature-unit", "--oxygen-level",
    ]  # fmt: skip
    said = plugin.refused("predict", predictor.name, *WELL, "--glucose=5")
    assert said.splitlines()[0].startswith(
        "error: No such option '--glucose'. Model v1 has --heart"
    )


def test_a_value_that_is_refused_is_told_by_its_flag(plugin: Plugin, predictor: Key) -> None:
    said = plugin.refused("predict", predictor.name, *WELL, "--heart-rate=999", "--temperature=37")
    assert said.splitlines() == [
        "error: 2 values refused, nothing is predicted",
        "  --heart-rate: must be 20 to 300 bpm, not 999",
        (
            "  --temperature: must be 77 to 113 °F, not 37; 37 may be °C, that is 98.6 °F; "
            "say so with --temperature-unit C"
        ),
    ]


def test_a_file_of_patients_in_many_requests(
    plugin: Plugin, predictor: Key, tmp_path: Path
) -> None:
    """250 rows are three requests; what else stands in the rows comes back beside the answers."""
    rows = [f"p{n},{60 + n % 70},120,{36 + n % 4},9{n % 10},C" for n in range(250)]
    path = tmp_path / "patients.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    answered = list(
        csv.DictReader(io.StringIO(plugin("predict", predictor.name, f"--csv={path}", "-o", "csv")))
    )
    assert [row["patient"] for row in answered] == [f"p{n}" for n in range(250)]
    assert {row["predicted_risk"] for row in answered} == {"Low", "Medium", "High"}
    assert {row["model_version"] for row in answered} == {"v1"}
    one = answered[137]
    vitals = [f"--{name.replace('_', '-')}={one[name]}" for name in HEADER.split(",")[1:]]
    alone = plugin.json("predict", predictor.name, *vitals)
    assert one["predicted_risk"] == alone["risk_level"]
    assert float(one["confidence"]) == pytest.approx(alone["confidence"], abs=1e-4)


def test_a_table_of_patients_from_standard_input(plugin: Plugin, predictor: Key) -> None:
    text = "\n".join([HEADER, "ann,85,120,98.6,97,F", "bob,132,84,39.8,85,C"])
    lines = plugin("predict", predictor.name, "--csv=-", stdin=text).splitlines()
    assert lines[0].startswith("PATIENT   HEART RATE ")
    assert [line.split()[0] for line in lines[1:]] == ["ann", "bob"]
    assert "Low" in lines[1]
    assert "High" in lines[2]


def test_refused_rows_are_told_by_their_lines(
    plugin: Plugin, predictor: Key, tmp_path: Path
) -> None:
    """What the predictor refuses is found in the file again, in whichever request it was."""
    rows = [f"p{n},85,120,98.6,97,F" for n in range(150)]
    rows[3], rows[120] = "p3,85,120,98.6,197,F", "p120,85,120,98.6,97,K"
    path = tmp_path / "patients.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    assert plugin.refused("predict", predictor.name, f"--csv={path}").splitlines() == [
        f"error: {path}: 2 values refused, nothing is predicted",
        "  line 5: oxygen_level: must be 40 to 100 %, not 197",
        '  line 122: temperature_unit: temperature_unit must be "F" or "C", not K',
    ]


def test_the_page_stays_open_when_its_pod_goes(api: Api, plugin: Plugin, predictor: Key) -> None:
    def title() -> str:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                page = response.read().decode()
                served_by.append(response.headers["X-Served-By"])
        except OSError:
            return ""
        return str(re.search(r"<title>(.*?)</title>", page)[1])  # type: ignore[index]

    served_by: list[str] = []
    with plugin.start("open", predictor.name, "--no-browser") as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
            assert "RiskPredictor" in title() or "risk" in title().lower()
            gone = served_by[-1]
            api.delete(POD, Key(predictor.namespace, gone))
            eventually(lambda: title() and served_by[-1] != gone, within=60, every=0.5)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 0
    assert not title(), "the port is closed again"


def test_a_load_ends_in_time_and_leaves_nothing(
    cluster: LocalCluster, plugin: Plugin, predictor: Key
) -> None:
    started = time.monotonic()
    said = plugin.run("load", predictor.name, "--users=5", "--duration=6s", "--think=0.05")
    assert time.monotonic() - started < 60
    assert said.returncode == 0, said.stderr
    assert said.stderr == "5 users for 6 s, everybody from the first second to the last\n"
    figures = dict(_lines(r"(answered|failed|requests/s) +([\d.]+)$", said.stdout))
    assert int(figures["answered"]) > 100
    assert int(figures["failed"]) == 0
    assert _lines(r"latency +p50 [\d.]+ ms, p95 [\d.]+ ms, p99 [\d.]+ ms$", said.stdout)
    assert len(_lines(r"pod health-predictor-\S+ +\d+$", said.stdout)) == 2
    assert len(_lines(r"\d+ +\d+ +[\d.]+ +[\d.]+ +0 ", said.stdout)) >= 5, said.stdout
    left = cluster.kubectl("-n", predictor.namespace, "get", "pod", "-l", "app=load-generator")
    assert not left, "the pod is gone"


def test_a_load_that_is_killed_takes_its_pod_along(
    cluster: LocalCluster, plugin: Plugin, predictor: Key
) -> None:
    pod = f"pod/{predictor.name}-riskpredictor-load"
    with plugin.start("load", predictor.name, "--users=1", "--duration=2m", "--think=1") as process:
        try:
            assert process.stdout
            assert any(re.match(r"\d+ ", line) for line in process.stdout)
            second = plugin.refused("load", predictor.name)
        finally:
            process.terminate()
        process.wait(timeout=20)
    assert second.startswith(f"error: {pod} is at work on another load; wait for its end")
    assert "NotFound" in cluster.kubectl("-n", predictor.namespace, "get", pod, check=False)


def test_an_image_that_is_not_there_and_the_way_back(
    plugin: Plugin, predictors: Predictors
) -> None:
    key = predictors.create("broken", minReplicas=1, maxReplicas=1)
    predictors.wait(key, within=90)
    predictors.patch(key, modelVersion="v9")
    predictors.wait(key, "False", "ImagePullFailed", within=90)
    text = plugin("status", key.name)
    assert "\nNot ready: ImagePullFailed\n" in text
    assert "meanwhile v1 still answers" in text
    assert re.search(r"Pod/broken-\S+ +False +(ErrImagePull|ImagePullBackOff|ErrImageNeverPull)",
                     text)  # fmt: skip
    undo = f"kubectl riskpredictor rollout undo {key.name} -n {key.namespace}"
    assert f"\n    {undo}" in text
    assert plugin("predict", key.name, *WELL).splitlines()[1].split()[-1] == "v1"
    printed = plugin.json("rollout", "undo", key.name)
    assert printed["spec"] == {"modelVersion": "v1"}
    predictors.patch(key, **printed["spec"])
    assert predictors.wait(key, within=60)["status"]["servingVersion"] == "v1"


def test_nobody_to_ask_is_told(plugin: Plugin, predictors: Predictors) -> None:
    key = predictors.create("asleep", replicas=0)
    predictors.wait(key, within=60)
    said = f"{key.name} has no pod that answers; see: kubectl riskpredictor status {key.name}"
    for command in (("predict", key.name, *WELL), ("load", key.name), ("open", key.name)):
        assert plugin.refused(*command) == f"error: {said}"
