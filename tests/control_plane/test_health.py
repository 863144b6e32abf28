"""Health at every observed moment of a life, as kstatus, Flux and Argo CD read it."""

from __future__ import annotations

import pytest
import yaml

import kstatus
from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key
from support import lua
from support.api import DEPLOYMENT, RISKPREDICTOR, Api, Body, eventually
from support.lua import SCRIPT
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

ARGO = {"Current": "Healthy", "Failed": "Degraded", "InProgress": "Progressing"}
"""Argo CD's word for kstatus's."""


def test_every_moment_of_a_life_is_honest(api: Api, predictors: Predictors) -> None:
    key = Key(predictors.namespace, "risk")
    with api.watching(RISKPREDICTOR, key) as moments:
        predictors.create()
        predictors.wait(key)
        predictors.patch(key, modelVersion="v2")
        predictors.wait(key)
        # Nowhere to run: a version that does not come up.
        predictors.patch(key, modelVersion="v3", podTemplate={"nodeSelector": {"no": "node"}})
        predictors.wait(key, status="False", reason="Unschedulable")
        predictors.patch(key, podTemplate={"nodeSelector": None})
        predictors.wait(key)
        predictors.patch(key, suspend=True)
        predictors.wait(key, status="False", reason="Suspended")
        predictors.patch(key, suspend=False)
        predictors.wait(key)
        predictors.patch(key, replicas=4)
        predictors.wait(key)
        predictors.patch(key, replicas=None)
        predictors.wait(key)
        api.delete(RISKPREDICTOR, key)
        eventually(lambda: moments[-1]["eventType"] == "DELETED")
    assert len(moments) > 15
    for body in moments:
        assert kstatus.violations(body) == [], body["status"]
        _is_honest(body)
        _argo_agrees(body)


def _is_honest(body: Body) -> None:
    """Ready is never True while what is declared is not what answers."""
    if kstatus.health(body) == "Current":
        status = body["status"]
        assert status["servingVersion"] == body["spec"]["modelVersion"]
        assert status["observedGeneration"] == body["metadata"]["generation"]
        assert status["readyReplicas"] == status["replicas"] >= 1


def _argo_agrees(body: Body) -> None:
    status, message = lua.health(body)
    expected = ARGO[kstatus.health(body)] if "deletionTimestamp" not in body["metadata"] else status
    if body["spec"]["suspend"]:
        expected = "Suspended"
    assert status == expected, message


def test_a_foreign_child_is_degraded_to_argo(api: Api, predictors: Predictors) -> None:
    key = Key(predictors.namespace, "risk")
    service = {"ports": [{"port": 80}], "selector": {"mine": "yes"}}
    metadata = {"name": key.name, "namespace": key.namespace}
    api.create(CHILDREN[1], {"metadata": metadata, "spec": service})
    predictors.create()
    body = predictors.wait(key, status="False", reason="NotOwned")
    status, message = lua.health(body)
    assert status == "Degraded"
    assert message.startswith("NotOwned: Service")
    assert api.get(DEPLOYMENT, key) is not None


def test_the_config_map_holds_the_script() -> None:
    patch = yaml.safe_load((SCRIPT.parent / "argocd-cm.yaml").read_text())
    key = "resource.customizations.health.healthtech.dev_RiskPredictor"
    assert patch["data"][key] == SCRIPT.read_text()
