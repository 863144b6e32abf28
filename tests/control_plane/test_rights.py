"""The operator's account may do exactly what the operator does."""

from __future__ import annotations

from pathlib import Path

import yaml
from unit.operator.models import model
from unit.operator.trial import FAST

from riskpredictor_operator.core.model_copy import FORMER_COPIES
from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import (
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    RISKPREDICTOR,
    SERVICE,
    Api,
    eventually,
)
from support.audit import Mark, granted_rights, used_rights
from support.cluster import LocalCluster
from support.counting_pods import BAD, CountingPods
from support.pod_server import copy_of, declared, lead_to, serving, until
from support.predictors import Predictors


def test_its_roles_grant_what_the_audit_log_shows_and_nothing_else(
    cluster: LocalCluster, api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    cluster.kubectl("-n", operators.SYSTEM, "delete", "lease", "--all")
    mark = Mark(cluster)
    log = tmp_path / "operator.log"
    with operators.running(operator_config, log, "--evidence-seconds=1") as first:
        # A whole life: create, repair, new version, fixed and back, models on trial, a second
        # operator stands by.
        key = predictors.create()
        predictors.wait(key)
        api.patch(SERVICE, key, {"metadata": {"labels": {"app": "other"}}})
        predictors.patch(key, modelVersion="v2")
        predictors.wait(key)
        predictors.patch(key, replicas=1)
        predictors.wait(key)
        predictors.patch(key, replicas=None)
        predictors.wait(key)
        predictors.patch(key, disruptionBudget="Disabled")
        eventually(lambda: api.get(DISRUPTION_BUDGET, key) is None)
        for resource in (DEPLOYMENT, SERVICE):
            predictors.break_beyond_update(key, resource)
            predictors.wait(key)
        _keep_copies(api, predictors, key)
        _try_models(api, predictors)
        second = operators.OperatorProcess(operator_config, tmp_path / "standby.log")
        second.wait_for("standing by")
        first.stop()
        second.wait_for("listed ")
        api.delete(DEPLOYMENT, key)
        predictors.wait(key)
        second.stop()
    used = used_rights(mark.requests())
    rules = [
        rule
        for document in yaml.safe_load_all(cluster.kubectl("kustomize", "deploy/operator"))
        if document["kind"] in ("ClusterRole", "Role")
        for rule in document["rules"]
    ]
    assert used == granted_rights(rules)
    # Namespaces of other tests may be on their way out, which is a 403 too.
    refused = [
        entry
        for entry in mark.requests()
        if entry["responseStatus"].get("code") == 403
        and entry["objectRef"].get("namespace", key.namespace) == key.namespace
    ]
    assert not refused


def _keep_copies(api: Api, predictors: Predictors, key: Key) -> None:
    """Serve one model from a store more than copies are kept of."""
    for number in range(FORMER_COPIES + 2):
        files = model(f"w{number}")
        predictors.patch(key, **declared(files))
        predictors.wait(key)
        with serving(files) as server:
            lead_to(api, key, server)
            until(api, key, "Kept")
    eventually(lambda: copy_of(api, key, model("w0")) is None, what="the oldest copy goes")


def _try_models(api: Api, predictors: Predictors) -> None:
    """A model that is promoted, and one that is stopped: neither needs a right of its own."""
    with CountingPods(api, predictors.namespace, hundreds=20):
        key = predictors.create("tried", minReplicas=1, rollout=FAST)
        predictors.wait(key)
        for version, reason in (("v2", "Ready"), (f"{BAD}-v3", "RolloutAborted")):
            predictors.patch(key, modelVersion=version)
            predictors.wait(key, str(reason == "Ready"), reason)
        api.delete(RISKPREDICTOR, key)


def test_it_never_writes_spec_or_metadata_of_a_riskpredictor(
    cluster: LocalCluster, api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    with operators.running(operator_config, tmp_path / "operator.log"):
        key = predictors.create()
        before = api.need(RISKPREDICTOR, key)
        predictors.wait(key)
        predictors.patch(key, modelVersion="v2")
        body = predictors.wait(key)
    assert body["metadata"]["generation"] == 2, "one for create, one for the user's own change"
    assert "finalizers" not in body["metadata"]
    assert "annotations" not in body["metadata"]
    assert body["spec"] == {**before["spec"], "modelVersion": "v2"}
    managers = {
        entry["manager"]: entry.get("subresource") for entry in body["metadata"]["managedFields"]
    }
    assert managers["riskpredictor-operator"] == "status"


def test_with_one_namespace_it_needs_roles_only(
    cluster: LocalCluster, api: Api, tmp_path: Path
) -> None:
    """Another account with the namespaced overlay's Role, and nothing cluster-wide."""
    overlay = list(
        yaml.safe_load_all(cluster.kubectl("kustomize", "deploy/operator/overlays/namespaced"))
    )
    assert not [d for d in overlay if d["kind"].startswith("ClusterRole")]
    account = "riskpredictor-operator-one"
    for document in overlay:
        if document["kind"] == "RoleBinding":
            document["subjects"][0]["name"] = account
        if document["kind"] in ("Role", "RoleBinding", "ServiceAccount"):
            document["metadata"]["name"] += "-one"
        if document["kind"] == "RoleBinding":
            document["roleRef"]["name"] += "-one"
    kinds = ("Role", "RoleBinding", "ServiceAccount")
    manifests = yaml.safe_dump_all([d for d in overlay if d["kind"] in kinds])
    cluster.kubectl("apply", "-f", "-", stdin=manifests)
    config = operators.kubeconfig(cluster, tmp_path, account)
    mark = Mark(cluster)
    inside, outside = Predictors(api, "default"), Predictors(api, "kube-public")
    other = outside.create()
    with operators.running(config, tmp_path / "operator.log", "--namespace=default") as process:
        key = inside.create()
        inside.wait(key)
        assert "Traceback" not in process.says()
    assert api.get(DEPLOYMENT, other) is None
    user = operators.USER + "-one"
    requests = mark.requests(user)
    assert requests
    assert not [e for e in requests if e["responseStatus"].get("code") == 403]
    for each in (key, other):
        api.delete(RISKPREDICTOR, each)
    eventually(lambda: api.get(DEPLOYMENT, key) is None, within=60)
