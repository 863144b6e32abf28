"""An older definition of RiskPredictors after a newer one, as a rollback brings it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import yaml

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, path_of
from support import operator as operators
from support.api import RISKPREDICTOR, Api, eventually
from support.cluster import ROOT, LocalCluster
from support.predictors import Predictors

CRD = yaml.safe_load((ROOT / "crds" / "riskpredictors.yaml").read_text())


def test_a_downgrade_drops_what_the_older_definition_does_not_know_and_nothing_else(
    cluster: LocalCluster, api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    newer = deepcopy(CRD)
    schema = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"]["rollout"] = {
        "type": "object", "properties": {"strategy": {"type": "string"}},
    }  # fmt: skip
    try:
        cluster.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(newer))
        with operators.running(operator_config, tmp_path / "newer.log"):
            spec = {"modelVersion": "v1", "minReplicas": 1, "rollout": {"strategy": "Progressive"}}
            path = path_of(RISKPREDICTOR, Key(predictors.namespace, "")) + "?dryRun=All"
            trial = {"apiVersion": RISKPREDICTOR.api_version, "kind": RISKPREDICTOR.kind,
                     "metadata": {"name": "trial"}, "spec": spec}  # fmt: skip
            eventually(
                lambda: "rollout" in api.request("POST", path, trial)["spec"],
                what="the newer definition is served",
            )
            key = predictors.create(minReplicas=1, rollout=spec["rollout"])
            predictors.settle(key)
        before = {r: api.need(r, key)["metadata"] for r in CHILDREN}
        assert api.need(RISKPREDICTOR, key)["spec"]["rollout"] == spec["rollout"]
    finally:
        cluster.install_crd()
    with operators.running(operator_config, tmp_path / "older.log"):
        eventually(lambda: "rollout" not in api.need(RISKPREDICTOR, key)["spec"])
        predictors.wait(key)
        after = {r: api.need(r, key)["metadata"] for r in CHILDREN}
        for resource in CHILDREN:
            assert after[resource]["uid"] == before[resource]["uid"]
            assert after[resource].get("generation") == before[resource].get("generation")
        # And it can be changed, as ever.
        predictors.patch(key, modelVersion="v2")
        predictors.wait(key)
