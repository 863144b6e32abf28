"""A settled cluster is left in peace: by a running operator, by a restart, by GitOps tools."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import NAMESPACE, RISKPREDICTOR, Api, eventually
from support.audit import Mark
from support.cluster import LocalCluster
from support.predictors import Predictors

MANIFEST = """
apiVersion: healthtech.dev/v1alpha1
kind: RiskPredictor
metadata: {name: risk, labels: {team: cardiology}}
spec: {modelVersion: v1, resources: {requests: {cpu: "0.1", memory: 0.125Gi}}}
"""


def test_from_create_to_settled_takes_few_writes(
    cluster: LocalCluster, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    with operators.running(operator_config, tmp_path / "operator.log"):
        mark = Mark(cluster)
        started = time.monotonic()
        key = predictors.create()
        predictors.wait(key)
        seconds = time.monotonic() - started
        time.sleep(1.0)
        writes = [write for write in mark.writes(key.namespace) if "events" not in write]
    children = [write for write in writes if "riskpredictors" not in write]
    assert len(children) == len(CHILDREN), children
    # One status more for each second in which pods come one by one.
    assert len(writes) <= len(CHILDREN) + 3 + int(seconds), writes


def test_a_restart_writes_nothing(
    cluster: LocalCluster,
    operator_config: Path,
    namespace: str,
    predictors: Predictors,
    tmp_path: Path,
) -> None:
    with operators.running(operator_config, tmp_path / "first.log"):
        for number in range(3):
            predictors.settle(predictors.create(f"risk-{number}", minReplicas=1 + number))
        predictors.settle(predictors.create("fixed", replicas=1))
        time.sleep(1.0)
    mark = Mark(cluster)
    with operators.running(operator_config, tmp_path / "second.log"):
        time.sleep(3.0)
    assert mark.writes(namespace) == []


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_applying_the_same_again_changes_nothing(
    cluster: LocalCluster,
    api: Api,
    operator_config: Path,
    namespace: str,
    predictors: Predictors,
    tmp_path: Path,
    how: tuple[str, ...],
) -> None:
    def apply() -> None:
        cluster.kubectl("-n", namespace, "apply", *how, "-f", "-", stdin=MANIFEST)

    key = Key(namespace, "risk")
    with operators.running(operator_config, tmp_path / "operator.log"):
        apply()
        predictors.settle(key)
        time.sleep(1.0)
        mark = Mark(cluster)
        versions = {r: api.need(r, key)["metadata"]["resourceVersion"] for r in CHILDREN}
        for _ in range(20):
            apply()
        diff = cluster.try_kubectl("-n", namespace, "diff", *how, "-f", "-", stdin=MANIFEST)
        time.sleep(0.5)
        assert mark.writes(namespace) == []
    assert diff.stdout == ""
    assert api.need(RISKPREDICTOR, key)["metadata"]["generation"] == 1
    assert {r: api.need(r, key)["metadata"]["resourceVersion"] for r in CHILDREN} == versions


def test_what_happened_while_it_was_away_is_caught_up(
    api: Api, operator_config: Path, predictors: Predictors, unique_name: str, tmp_path: Path
) -> None:
    with operators.running(operator_config, tmp_path / "first.log"):
        keys = {
            name: predictors.create(name) for name in ("kept", "deleted", "edited", "childless")
        }
        for key in keys.values():
            predictors.wait(key)
    api.delete(RISKPREDICTOR, keys["deleted"])
    predictors.patch(keys["edited"], modelVersion="v2")
    for resource in CHILDREN:
        api.delete(resource, keys["childless"])
    new = predictors.create("new")
    with operators.running(operator_config, tmp_path / "second.log"):
        assert predictors.wait(keys["edited"])["status"]["servingVersion"] == "v2"
        predictors.wait(new)
        predictors.wait(keys["childless"])
        gone = keys["deleted"]
        eventually(lambda: all(api.get(r, gone) is None for r in CHILDREN), within=60)
        for key in (*list(keys.values())[2:], keys["kept"], new):
            for resource in CHILDREN:
                api.need(resource, key)


def test_a_namespace_can_be_deleted_while_it_is_stopped(
    api: Api, operator_config: Path, unique_name: str, tmp_path: Path
) -> None:
    api.create(NAMESPACE, {"metadata": {"name": unique_name}})
    with operators.running(operator_config, tmp_path / "operator.log"):
        mine = Predictors(api, unique_name)
        mine.wait(mine.create())
    api.delete(NAMESPACE, Key("", unique_name))
    eventually(lambda: api.get(NAMESPACE, Key("", unique_name)) is None, within=60)
