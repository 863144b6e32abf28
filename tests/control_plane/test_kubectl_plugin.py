"""``kubectl riskpredictor`` on a real API server: what it shows, and that it changes nothing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from riskpredictor_kubectl.remedies import REASONS
from riskpredictor_operator.kube import Key
from support import foreign
from support import operator as operators
from support.api import AUTOSCALER, RISKPREDICTOR, SERVICE, Api
from support.cluster import LocalCluster
from support.plugin import Plugin
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def plugin(cluster: LocalCluster, namespace: str) -> Plugin:
    return Plugin(cluster, namespace)


@pytest.fixture
def ready(predictors: Predictors) -> Key:
    """A predictor with two pods, about which everybody has said what there is to say."""
    key = predictors.create()
    predictors.settle(key)
    return key


def _row(text: str, start: str) -> list[str]:
    """Cells of the line that begins so."""
    line = next(line for line in text.splitlines() if line.strip("│ ").startswith(start))
    return re.split(r" {2,}", line.strip())


def test_a_ready_predictor_is_shown_with_its_children(plugin: Plugin, ready: Key) -> None:
    text = plugin("status", ready.name)
    assert _row(text, "RiskPredictor/")[1:3] == ["True", "Ready"]
    assert _row(text, "RiskPredictor/")[-1] == "model v1, serving v1"
    assert _row(text, "├─Deployment/")[1:3] == ["2/2", "Complete"]
    pods = [line for line in text.splitlines() if "Pod/risk-" in line]
    assert [line[:7] for line in pods] == ["│ ├─Pod", "│ └─Pod"]
    assert all(" True " in line and "v1, 0 restarts, on " in line for line in pods)
    assert _row(text, "├─Service/risk")[2] == "ClusterIP"
    assert _row(text, "└─HorizontalPodAutoscaler/risk")[2] == "NoMetrics"
    assert _row(text, "Autoscaling")[1:3] == ["False", "MetricsUnavailable"]
    assert re.search(r"^\d+s +Normal +Ready +RiskPredictor +v1 is served", text, re.MULTILINE)
    assert "ot ready" not in text
    assert "\nNot scaling: MetricsUnavailable\n" in text, "there is no metrics-server"


def test_an_autoscaler_of_any_kind_is_shown(
    api: Api, plugin: Plugin, predictors: Predictors, ready: Key
) -> None:
    predictors.patch(ready, suspend=True)  # keeps the operator from mending it
    predictors.wait(ready, "False", "Suspended")
    queue = {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "20"}}
    half = {"type": "Utilization", "averageUtilization": 50}
    cpu = {"name": "cpu", "container": "predictor", "target": half}
    metrics = [{"type": "External", "external": queue},
               {"type": "ContainerResource", "containerResource": cpu}]  # fmt: skip
    api.patch(AUTOSCALER, ready, {"spec": {"metrics": metrics}})
    row = _row(plugin("status", ready.name), "└─HorizontalPodAutoscaler/risk")
    assert row[-1].startswith("queue <unknown> of 20 a pod, CPU <unknown> of 50%, ")


def test_the_overview_has_a_row_for_each(
    cluster: LocalCluster, plugin: Plugin, predictors: Predictors, ready: Key
) -> None:
    fixed = predictors.create("fixed", replicas=3)
    predictors.wait(fixed)
    text = plugin("status")
    assert text.splitlines()[0].split() == [
        "NAME", "READY", "REASON", "MODEL", "SERVING", "PODS", "CPU", "AGE",
    ]  # fmt: skip
    assert _row(text, "fixed")[1:7] == ["True", "Ready", "v1", "v1", "3/3", "<none>"]
    assert _row(text, "risk")[5:7] == ["2/2", "<unknown>/70%"]
    wide = plugin("status", "-o", "wide")
    assert _row(wide, "risk")[-3:] == [
        "2-5", f"http://risk.{ready.namespace}.svc", "health-predictor:v1",
    ]  # fmt: skip
    everywhere = Plugin(cluster, "default")("status", "-A")
    assert everywhere.splitlines()[0].split()[:2] == ["NAMESPACE", "NAME"]
    assert re.search(rf"^{ready.namespace} +risk +True +Ready ", everywhere, re.MULTILINE)
    assert plugin.json("status")["items"] == yaml.safe_load(plugin("status", "-o", "yaml"))["items"]


def test_a_script_learns_all_of_it(plugin: Plugin, ready: Key) -> None:
    facts = plugin.json("status", f"rp/{ready.name}")
    assert (facts["ready"], facts["ready_pods"], facts["wanted_pods"]) == ("True", 2, 2)
    assert [finding["reason"] for finding in facts["findings"]] == ["MetricsUnavailable"]
    assert [child["kind"] for child in facts["tree"]["children"]] == [
        "Deployment", "PodDisruptionBudget", "Service", "HorizontalPodAutoscaler",
    ]  # fmt: skip
    assert {c["type"] for c in facts["conditions"]} == {"Ready", "Available", "Autoscaling"}
    assert plugin.run("status", ready.name, "--exit-status").returncode == 0


def test_what_keeps_it_from_being_ready_is_explained(
    plugin: Plugin, predictors: Predictors
) -> None:
    key = predictors.create(podTemplate={"nodeSelector": {"there-is": "no-such-node"}})
    predictors.wait(key, "False", "Unschedulable")
    text = plugin("status", key.name)
    assert "\nNot ready: Unschedulable\n" in text
    assert "\nWhat to do:\n" in text
    assert "\n    kubectl describe nodes\n" in text
    (pod, *_) = [line for line in text.splitlines() if "Pod/risk-" in line]
    assert "Unschedulable" in pod
    assert "on no node" in pod
    assert re.search(r"Warning +FailedScheduling +Pod/\w+ +0/2 nodes are available", text)
    done = plugin.run("status", "--exit-status")
    assert (done.returncode, done.stderr) == (3, "")


def test_a_child_of_somebody_else_is_shown_as_such(
    api: Api, plugin: Plugin, predictors: Predictors, namespace: str
) -> None:
    foreign.create(api, SERVICE, Key(namespace, "risk"))
    predictors.wait(predictors.create(), "False", "NotOwned")
    text = plugin("status", "risk")
    service = _row(text, "├─Service/risk")
    assert service[2] == "NotOwned"
    assert service[-1] == "not of this RiskPredictor: without a controller"
    assert "\nNot ready: NotOwned\n" in text
    assert _row(text, "Stalled")[-1] == "nothing will change until somebody acts"
    for command in (("load",), ("open", "--no-browser")):
        assert plugin.refused(*command, "risk").startswith(
            "error: risk does not own the Service of its name; see:"
        )


def test_a_watch_shows_a_new_version_come(
    plugin: Plugin, predictors: Predictors, ready: Key
) -> None:
    with plugin.start("status", "-w") as process:
        try:
            assert process.stdout
            header, first = process.stdout.readline(), process.stdout.readline()
            predictors.patch(ready, modelVersion="v2")
            rows = [first]
            while rows[-1].split()[1:5] != ["True", "Ready", "v2", "v2"]:
                rows.append(process.stdout.readline())
                assert len(rows) < 30, rows
        finally:
            process.terminate()
    assert first.split()[1:6] == ["True", "Ready", "v1", "v1", "2/2"]
    assert any(row.split()[1:4] == ["False", "RollingOut", "v2"] for row in rows)
    assert len(set(rows)) == len(rows), "only changes are shown"
    assert [row.index("risk") for row in rows] == [header.index("NAME")] * len(rows)


def test_a_watch_for_scripts_is_one_document_after_the_other(
    plugin: Plugin, predictors: Predictors, ready: Key
) -> None:
    with plugin.start("status", ready.name, "-w", "-o", "json") as process:
        try:
            assert process.stdout
            documents: list[dict[str, Any]] = []
            text = ""
            while len(documents) < 2:
                text += process.stdout.readline()
                if text.endswith("}\n"):
                    documents.append(json.loads(text))
                    text = ""
                    predictors.patch(ready, suspend=True)
        finally:
            process.terminate()
    assert documents[0]["reason"] == "Ready"
    assert documents[1]["reason"] in ("NotSeen", "Suspended")


def test_history_and_the_way_back(
    api: Api, plugin: Plugin, predictors: Predictors, ready: Key
) -> None:
    predictors.patch(ready, modelVersion="v2", podTemplate={"annotations": {"by": "ann"}})
    predictors.wait(ready)
    text = plugin("rollout", "history", ready.name)
    assert _row(text, "1")[:3] == ["1", "v1", "0/0"]
    assert _row(text, "2")[:3] == ["2", "v2", "2/2"]
    assert _row(text, "2")[4:] == ["declared, serving", "health-predictor:v2"]

    before = api.need(RISKPREDICTOR, ready)["metadata"]
    printed = plugin("rollout", "undo", ready.name)
    assert api.need(RISKPREDICTOR, ready)["metadata"] == before, "it only prints"
    change = yaml.safe_load(printed)
    assert change["metadata"] == {"name": ready.name, "namespace": ready.namespace}
    assert change["spec"] == {"modelVersion": "v1", "podTemplate": {"annotations": None}}
    assert plugin.json("rollout", "undo", ready.name) == change

    command = next(line for line in printed.splitlines() if "kubectl" in line and " patch " in line)
    done = plugin.kubectl(*shlex.split(command.lstrip("# "))[1:])
    assert done.returncode == 0, done.stderr
    assert predictors.wait(ready)["status"]["servingVersion"] == "v1"
    # The Deployment takes the old template up again, under a new number.
    back = plugin.json("rollout", "history", ready.name)["revisions"]
    assert [(one["number"], one["model"], one["declared"]) for one in back] == [
        (2, "v2", False), (3, "v1", True),
    ]  # fmt: skip
    done = plugin.run("rollout", "undo", ready.name, "--to-revision", "3")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to change" in done.stderr


def test_a_model_from_a_store_comes_back_with_digest_and_source(
    plugin: Plugin, predictors: Predictors, ready: Key
) -> None:
    stores = {f"v{n}": {"http": {"url": f"https://models.example.com/v{n}/"}} for n in (2, 3)}
    digests = {"v2": f"sha256:{'a' * 64}", "v3": f"sha256:{'b' * 64}"}
    for version, source in stores.items():
        model = {"digest": digests[version], "source": source}
        predictors.patch(ready, modelVersion=version, model=model)
        predictors.wait(ready)
    tree = _row(plugin("status", ready.name), "RiskPredictor/")
    assert tree[-1] == (
        "model v3 sha256:bbbbbbbbbbbb from https://models.example.com/v3/, serving v3"
    )
    assert _row(plugin("status", "-o", "wide"), "risk")[-4] == "sha256:bbbbbbbbbbbb"
    history = plugin("rollout", "history", ready.name)
    assert _row(history, "2")[-2:] == ["sha256:aaaaaaaaaaaa", "https://models.example.com/v2/"]
    assert _row(history, "1")[-2:] == ["<none>", "<none>"]
    change = plugin.json("rollout", "undo", ready.name)["spec"]
    assert change == {
        "modelVersion": "v2", "model": {"digest": digests["v2"], "source": stores["v2"]},
    }  # fmt: skip
    predictors.patch(ready, **change)
    predictors.wait(ready)
    assert plugin.json("status", ready.name)["digest"] == digests["v2"]
    image = plugin.json("rollout", "undo", ready.name, "--to-revision", "1")["spec"]
    assert image == {"modelVersion": "v1", "model": None}


def test_a_revision_that_is_not_there(plugin: Plugin, ready: Key) -> None:
    said = plugin.refused("rollout", "undo", ready.name, "--to-revision", "9")
    assert said == "error: risk has no revision 9; there are: 1"
    said = plugin.refused("rollout", "undo", ready.name)
    assert said == "error: risk has only revision 1: nothing to go back to"


@pytest.mark.parametrize(
    "command",
    [("status",), ("status", "-w"), ("rollout", "history"), ("rollout", "undo"), ("load",),
     ("rollout", "status"), ("rollout", "report"), ("rollout", "abort"), ("rollout", "diff"),
     ("open", "--no-browser"), ("predict", "--heart-rate=80", "--blood-pressure=120",
                                "--temperature=98", "--oxygen-level=97")],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_what_is_not_there_is_told_as_kubectl_tells_it(
    plugin: Plugin, namespace: str, command: tuple[str, ...]
) -> None:
    kubectl = plugin.kubectl("get", "riskpredictor", "nobody", "-n", namespace).stderr.strip()
    assert plugin.refused(*command, "nobody") == kubectl
    assert kubectl.startswith("Error from server (NotFound): riskpredictors.healthtech.dev")


def test_an_empty_namespace_is_no_error(plugin: Plugin, namespace: str) -> None:
    done = plugin.run("status")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"No resources found in {namespace} namespace.\n"


def test_missing_rights_are_told_as_kubectl_tells_them(
    cluster: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    stranger = Plugin(cluster, namespace, operators.kubeconfig(cluster, tmp_path, "default"))
    kubectl = stranger.kubectl("get", "riskpredictor", "risk", "-n", namespace).stderr.strip()
    assert stranger.refused("status", "risk") == kubectl
    assert "(Forbidden)" in kubectl


def test_kubectl_completes_the_plug_in(plugin: Plugin, ready: Key) -> None:
    def offers(*words: str) -> list[str]:
        done = plugin.kubectl("__complete", "riskpredictor", *words)
        *lines, directive = done.stdout.splitlines()
        assert directive in (":0", ":4")
        return [line.split("\t")[0] for line in lines]

    assert offers("") == [
        "completion", "load", "model", "open", "predict", "rollout", "status",
    ]  # fmt: skip
    assert offers("model", "re") == ["resolve"]
    assert offers("rollout", "u") == ["undo"]
    assert offers("-n", ready.namespace, "status", "") == ["risk"]
    assert offers("predict", "-n", ready.namespace, "r") == ["risk"]
    assert ready.namespace in offers("status", "-n", ready.namespace[:3])
    assert offers("status", "-o", "j") == ["json"]
    assert offers("status", "--output=y") == ["--output=yaml"]
    assert offers("status", "--context", "no") == []


def test_kubectl_understands_the_commands_of_every_reason(plugin: Plugin, namespace: str) -> None:
    """Whether there is such an object does not matter here."""
    commands = {command for advice in REASONS.values() for command in advice["commands"]}
    for command in commands:
        words = shlex.split(command.replace("NAMESPACE", namespace).replace("NAME", "risk"))
        # --help is read last, so what stands before it has to be right.
        dry = ["--help"] if words[1] in ("apply", "rollout") or "-w" in words else []
        said = plugin.kubectl(*words[1:], *dry).stderr
        assert "unknown" not in said, command
        assert "--help' for usage" not in said, command
