"""An older definition of RiskPredictors after a newer one, as a rollback brings it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import yaml
from unit.operator.trial import FAST

from riskpredictor_operator.core.api import ANNOTATION_STAGE, CHILDREN, LABEL_MODEL_VERSION
from riskpredictor_operator.kube import Key, path_of
from support import operator as operators
from support.api import DEPLOYMENT, RISKPREDICTOR, Api, Body, eventually
from support.cluster import ROOT, LocalCluster
from support.counting_pods import BAD, CountingPods
from support.predictors import Predictors

CRD = yaml.safe_load((ROOT / "crds" / "riskpredictors.yaml").read_text())


def test_a_downgrade_drops_what_the_older_definition_does_not_know_and_nothing_else(
    cluster: LocalCluster, api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    newer = deepcopy(CRD)
    schema = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"]["tracing"] = {
        "type": "object", "properties": {"mode": {"type": "string"}},
    }  # fmt: skip
    try:
        cluster.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(newer))
        with operators.running(operator_config, tmp_path / "newer.log"):
            spec = {"modelVersion": "v1", "minReplicas": 1, "tracing": {"mode": "Full"}}
            path = path_of(RISKPREDICTOR, Key(predictors.namespace, "")) + "?dryRun=All"
            trial = {"apiVersion": RISKPREDICTOR.api_version, "kind": RISKPREDICTOR.kind,
                     "metadata": {"name": "trial"}, "spec": spec}  # fmt: skip
            eventually(
                lambda: "tracing" in api.request("POST", path, trial)["spec"],
                what="the newer definition is served",
            )
            key = predictors.create(minReplicas=1, tracing=spec["tracing"])
            predictors.settle(key)
        before = {r: api.need(r, key)["metadata"] for r in CHILDREN}
        assert api.need(RISKPREDICTOR, key)["spec"]["tracing"] == spec["tracing"]
    finally:
        cluster.install_crd()
    with operators.running(operator_config, tmp_path / "older.log"):
        eventually(lambda: "tracing" not in api.need(RISKPREDICTOR, key)["spec"])
        predictors.wait(key)
        after = {r: api.need(r, key)["metadata"] for r in CHILDREN}
        for resource in CHILDREN:
            assert after[resource]["uid"] == before[resource]["uid"]
            assert after[resource].get("generation") == before[resource].get("generation")
        # And it can be changed, as ever.
        predictors.patch(key, modelVersion="v2")
        predictors.wait(key)


def test_without_its_policy_a_model_in_the_middle_of_its_steps_is_served_at_once(
    api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    """What docs/INSTALL.md says of a downgrade: to an operator of before, and after an older
    definition of RiskPredictors, there is no ``spec.rollout``."""
    flag = "--evidence-seconds=1"
    with (
        CountingPods(api, predictors.namespace, hundreds=0),
        operators.running(operator_config, tmp_path / "operator.log", flag),
    ):
        key = predictors.create(minReplicas=1, rollout=FAST)
        predictors.wait(key)
        predictors.patch(key, modelVersion=f"{BAD}-v2")

        def template() -> Body:
            metadata: Body = api.need(DEPLOYMENT, key)["spec"]["template"]["metadata"]
            return metadata

        eventually(lambda: ANNOTATION_STAGE in (template().get("annotations") or {}))
        predictors.patch(key, rollout=None)
        predictors.wait(key)
        assert template()["labels"][LABEL_MODEL_VERSION] == f"{BAD}-v2"
        assert "rollout" not in api.need(RISKPREDICTOR, key)["status"]
