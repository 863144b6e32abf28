"""Pods with a candidate beside the stable model, on a real API server: they are accepted wherever
others are, read back as they were applied, and leave nothing behind; both models are copied."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import sources
from unit.operator.models import digest_of, model
from unit.operator.test_candidate_manifests import IN_IMAGE, from_store, trial

from riskpredictor_operator.core.compare import compare, recorded
from riskpredictor_operator.core.manifests import render
from riskpredictor_operator.core.release import Release, Serving, serving_of
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.kube import Key
from support.api import DEPLOYMENT, NAMESPACE, RISKPREDICTOR, Api, Body, eventually
from support.operator import OperatorProcess
from support.pod_server import copy_of, declared, lead_to, pods_of, serving
from support.predictors import Predictors

V1, V2 = model("v1"), model("v2")
STABLE = from_store("v1", digest_of(V1), {"image": {"reference": "registry.example.com/risk:v1"}})
CANDIDATES: dict[str, Release] = {
    "in an image": Release("v2", "health-predictor:v2", None),
    **{
        next(iter(source)): from_store(
            "v2", digest_of(V2), source,
            credentialsSecret={"name": "model-store"},
            caBundle={"configMap": "private-ca", "key": "ca.crt"},
            signature={"publicKey": {"configMap": "model-keys", "key": "release.pub"}},
        )
        for source in sources()
    },
}  # fmt: skip


def _apply(api: Api, key: Key, made_of: Serving) -> tuple[Body, Body]:
    """Apply a Deployment as the operator does, one pod of it; it and what became of it."""
    rp = parse(api.need(RISKPREDICTOR, key))
    manifest = recorded(render(rp, made_of).deployment)
    return manifest, api.patch(DEPLOYMENT, key, manifest, kind="apply")


def _told(api: Api, key: Key, annotation: str) -> list[str]:
    """What the pods are annotated with."""
    annotations = [pod["metadata"].get("annotations") or {} for pod in pods_of(api, key)]
    return [each.get(annotation, "") for each in annotations]


@pytest.mark.parametrize("stable", [IN_IMAGE, STABLE], ids=["model in its image", "from a store"])
@pytest.mark.parametrize("candidate", CANDIDATES.values(), ids=CANDIDATES)
def test_pods_with_a_candidate_are_accepted_and_read_back_and_leave_nothing(
    api: Api, predictors: Predictors, stable: Release, candidate: Release
) -> None:
    """Without the operator: each step of a change is one apply."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.patch(NAMESPACE, Key("", predictors.namespace), {"metadata": {"labels": labels}})
    key = predictors.create(replicas=1)
    _, before = _apply(api, key, Serving(stable))
    shadow = trial(candidate, stage="Shadow", percent=0.0, cases="ward-cases")
    for step in (shadow, trial(candidate, cases="ward-cases")):
        made_of = Serving(stable, step)
        manifest, live = _apply(api, key, made_of)
        assert compare(DEPLOYMENT, manifest, live).differences == ()
        assert serving_of(live) == made_of

        def made(stage: str = step.stage) -> bool:
            return stage in _told(api, key, "healthtech.dev/stage")

        eventually(made, what=f"{key}: a pod of {step.stage}")
    for aborted in ((), ("00c0ffee0001",)):
        _, after = _apply(api, key, Serving(stable, aborted=aborted))
        assert after["spec"]["template"] == before["spec"]["template"]
        assert serving_of(after) == Serving(stable, aborted=aborted)


def _progressive(files: dict[str, bytes]) -> dict[str, Any]:
    return {**declared(files), "rollout": {"strategy": "Progressive"}}


def _candidates(api: Api, key: Key) -> bool:
    return _told(api, key, "healthtech.dev/candidate-digest") == [digest_of(V2)]


def _copies(api: Api, key: Key) -> list[str]:
    found: list[str] = (api.need(RISKPREDICTOR, key).get("status") or {}).get("modelCopies", [])
    return found


def test_both_models_are_copied_from_one_pod_so_that_no_step_needs_the_store(
    api: Api, predictors: Predictors, operator: OperatorProcess
) -> None:
    assert operator
    key = predictors.create(minReplicas=1, **_progressive(V1))
    predictors.wait(key)
    predictors.patch(key, **_progressive(V2))
    eventually(lambda: _candidates(api, key), within=60, what="the candidate's pod alone")
    with serving(V1, candidate=V2) as server:
        lead_to(api, key, server)
        both = [digest_of(V1), digest_of(V2)]
        eventually(lambda: _copies(api, key) == both, within=60, what="both copies")
        assert {f"/model/{of}files/card.json" for of in ("", "candidate/")} <= set(server.asked)
    # The way back: what the pods are made of is copied, too, and stays.
    predictors.patch(key, **_progressive(V1))
    predictors.wait(key)
    assert _copies(api, key) == both
    volumes = api.need(DEPLOYMENT, key)["spec"]["template"]["spec"]["volumes"]
    (copy,) = [volume["configMap"]["name"] for volume in volumes if volume["name"] == "model-copy"]
    kept = copy_of(api, key, V1)
    assert kept is not None
    assert kept["metadata"]["name"] == copy
