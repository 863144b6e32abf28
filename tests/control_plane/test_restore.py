"""RiskPredictors that come back from a copy."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import yaml

import kstatus
from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, Body, eventually
from support.cluster import LocalCluster
from support.guide import block, shell
from support.operator import OperatorProcess
from support.predictors import Predictors

NOTE = {"ward/owner": "cardiology"}


def uids(api: Api, key: Key) -> set[str]:
    """Of a RiskPredictor and its children."""
    return {api.need(r, key)["metadata"]["uid"] for r in (RISKPREDICTOR, *CHILDREN)}


def delete(api: Api, key: Key) -> None:
    """Delete it and wait until the children are gone."""
    api.delete(RISKPREDICTOR, key)
    eventually(
        lambda: not any(api.get(r, key) for r in (RISKPREDICTOR, *CHILDREN)),
        within=60,
        what=f"{key} and its children are gone",
    )


def test_a_copy_of_yesterday_becomes_what_it_declares(
    cluster: LocalCluster,
    api: Api,
    operator: OperatorProcess,
    predictors: Predictors,
    tmp_path: Path,
) -> None:
    """Backed up Ready and deleted; restored, its old status must not be believed."""
    key = predictors.create(minReplicas=1)
    api.patch(RISKPREDICTOR, key, {"metadata": {"annotations": NOTE}})
    predictors.settle(key)
    before = uids(api, key)
    shell(block("Back up"), cluster.environment, tmp_path)
    # Nobody else's: the suite shares its cluster.
    copy = tmp_path / "riskpredictors.yaml"
    listed = yaml.safe_load(copy.read_text())
    (own,) = [body for body in listed["items"] if body["metadata"]["namespace"] == key.namespace]
    copy.write_text(yaml.safe_dump({**listed, "items": [own]}))
    assert own["status"]["conditions"], "the copy says that it is Ready"
    assert {"uid", "resourceVersion"} <= own["metadata"].keys()

    delete(api, key)
    with api.watching(RISKPREDICTOR, key) as states:
        shell(block("Restore"), cluster.environment, tmp_path)
        body = predictors.wait(key)
        seen = [state for state in states if state["eventType"] != "DELETED"]
    assert seen[0]["status"] == {"observedGeneration": -1}, "nothing of the old status"
    for state in seen:
        assert kstatus.violations(state) == []
    assert kstatus.health(body) == "Current"
    assert body["metadata"]["annotations"] == NOTE
    assert uids(api, key).isdisjoint(before)


def test_children_restored_with_it_make_room_for_new_ones(
    api: Api, operator: OperatorProcess, predictors: Predictors
) -> None:
    """Their owner reference names a RiskPredictor that is gone."""
    key = predictors.create(minReplicas=1)
    predictors.settle(key)
    copies = {r: _bare(api.need(r, key)) for r in (*CHILDREN, RISKPREDICTOR)}
    delete(api, key)
    restored = {api.create(r, body)["metadata"]["uid"] for r, body in copies.items()}

    def replaced() -> bool:
        found = [api.get(r, key) for r in CHILDREN]
        return all(body is not None and body["metadata"]["uid"] not in restored for body in found)

    eventually(replaced, within=90, what="children of the new RiskPredictor")
    body = predictors.wait(key, within=60)
    owners = [api.need(r, key)["metadata"]["ownerReferences"] for r in CHILDREN]
    assert {owner["uid"] for (owner,) in owners} == {body["metadata"]["uid"]}


def _bare(body: Body) -> Body:
    """As tools for backups create it again: without what the API server refuses."""
    copy = deepcopy(body)
    del copy["metadata"]["resourceVersion"]
    copy["spec"].pop("clusterIP", None)
    copy["spec"].pop("clusterIPs", None)
    return copy


def test_a_stale_status_that_gets_in_is_corrected(
    api: Api, operator: OperatorProcess, predictors: Predictors
) -> None:
    """Some tools restore the status, too; it speaks of a generation that is yet to come."""
    key = predictors.create(minReplicas=1)
    right = predictors.settle(key)["status"]
    wrong = {**right, "servingVersion": "v0", "readyReplicas": 9, "observedGeneration": 99}
    api.patch(RISKPREDICTOR, key, {"status": wrong}, sub="status")
    eventually(
        lambda: api.need(RISKPREDICTOR, key)["status"] == right, what="the status is right again"
    )
