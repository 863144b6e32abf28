"""Rights and kinds are taken away and given back; versions of the operator meet."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from riskpredictor_operator.core.api import CHILDREN
from support import operator as operators
from support.api import SERVICE, Api, eventually
from support.audit import Mark
from support.changes import Changes
from support.cluster import ROOT, LocalCluster
from support.endstate import await_order
from support.operator import OperatorProcess, Supervisor
from support.predictors import Predictors

ROLE = "clusterrole/riskpredictor-operator"


def test_two_versions_side_by_side_agree(
    cluster: LocalCluster,
    api: Api,
    operator_config: Path,
    predictors: Predictors,
    tmp_path: Path,
) -> None:
    package = tmp_path / "next" / "riskpredictor_operator"
    shutil.copytree(ROOT / "operator" / "riskpredictor_operator", package)
    init = package / "__init__.py"
    init.write_text(init.read_text().replace('__version__ = "', '__version__ = "9.'))
    old = OperatorProcess(operator_config, tmp_path / "old.log")
    new = None
    try:
        old.wait_for("listed ")
        key = predictors.create(minReplicas=1)
        predictors.settle(key)
        time.sleep(1.0)
        mark = Mark(cluster)
        new = OperatorProcess(operator_config, tmp_path / "new.log", path=package.parent)
        new.wait_for("standing by")
        old.stop()
        new.wait_for("listed ")
        time.sleep(2.0)
        assert mark.writes(key.namespace) == []
        agents = {entry["userAgent"] for entry in mark.requests()}
        assert any("/9." in agent for agent in agents), agents
        api.patch(SERVICE, key, {"metadata": {"labels": {"app": "other"}}})
        eventually(lambda: api.need(SERVICE, key)["metadata"]["labels"]["app"] == key.name)
    finally:
        old.stop()
        if new is not None:
            new.stop()


def test_the_operators_account_gets_a_new_token(
    cluster: LocalCluster, api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    """The old one stops being valid; the new one is read without a restart."""
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bound"},
        "stringData": {"for": "a token that goes with it"},
    }  # fmt: skip
    cluster.kubectl("-n", operators.SYSTEM, "apply", "-f", "-", stdin=json.dumps(secret))
    bound = ("--bound-object-kind=Secret", "--bound-object-name=bound")
    config = operators.kubeconfig(cluster, tmp_path, token_flags=bound)
    with Supervisor(config, tmp_path / "operator.log") as supervisor:
        key = predictors.create(minReplicas=1)
        predictors.wait(key)
        config.write_text(operator_config.read_text())
        cluster.kubectl("-n", operators.SYSTEM, "delete", "secret", "bound")
        # The API server believes a token it knows for ten seconds more.
        time.sleep(12)
        predictors.patch(key, modelVersion="v2")
        await_order(api, key.namespace, {key.name: {"modelVersion": "v2"}})
        assert supervisor.exits == []
    assert "Traceback" not in supervisor.says()


def test_the_crd_goes_and_comes_back(
    cluster: LocalCluster, api: Api, operator: Supervisor, namespace: str
) -> None:
    changes = Changes(api, namespace, seed=6, count=3)
    await_order(api, namespace, changes.wanted)
    cluster.kubectl("delete", "crd/riskpredictors.healthtech.dev", "--timeout=180s")
    eventually(
        lambda: "are not served" in operator.says(), within=60, what="it says what is missing"
    )
    cluster.install_crd()
    after = Changes(api, namespace, seed=7)
    eventually(lambda: all(not api.items(r, namespace) for r in CHILDREN), within=90, every=0.5)
    after.create(3)
    await_order(api, namespace, after.wanted, within=120)
