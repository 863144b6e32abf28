"""A model that comes from a store, on a real API server: its pods, what they tell, its copies.

The fake nodes start pods without running them, so a small HTTP server stands in for the one thing
that the operator asks of a pod.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

import pytest
from unit.operator.builders import rendered, sources
from unit.operator.models import digest_of, model

from riskpredictor_operator.core.api import CONFIG_MAP, EVENT, POD
from riskpredictor_operator.core.model_copy import SIZE_LIMIT
from riskpredictor_operator.kube import Key, Resource
from support.api import DEPLOYMENT, NAMESPACE, RISKPREDICTOR, Api, Body, Refused, eventually
from support.pod_server import copy_of, declared, lead_to, pods_of, serving, until
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

V1, V2 = model("v1"), model("v2")
LIMITS = Resource("", "v1", "limitranges", "LimitRange")


# ---- the pods ----


def _rendered(body: Body) -> Body:
    template: Body = rendered(body).deployment["spec"]["template"]
    return template


@pytest.mark.parametrize("source", list(sources()), ids=lambda source: next(iter(source)))
def test_the_pods_of_every_store_are_accepted_and_stay_as_they_are(
    api: Api, predictors: Predictors, source: dict[str, Any]
) -> None:
    key = predictors.create(
        **declared(V2, **source),
        minReplicas=1,
    )
    api.patch(RISKPREDICTOR, key, {"spec": {"model": {
        "credentialsSecret": {"name": "model-store"},
        "caBundle": {"configMap": "private-ca", "key": "ca.crt"},
        "signature": {"publicKey": {"configMap": "model-keys", "key": "release.pub"}},
    }}})  # fmt: skip
    if "pvc" in source:
        predictors.wait(key, "False", "Unschedulable")
        message = predictors.condition(key)["message"]
        assert 'persistentvolumeclaim "models" not found' in message
        assert "look at the claim models, or correct spec.model.source.pvc.claimName" in message
    else:
        predictors.wait(key)
    body, deployment = api.need(RISKPREDICTOR, key), api.need(DEPLOYMENT, key)
    wanted, live = _rendered(body), deployment["spec"]["template"]
    assert live["metadata"]["annotations"] == wanted["metadata"]["annotations"]
    assert live["spec"]["volumes"] == wanted["spec"]["volumes"]
    names = [container["name"] for container in live["spec"]["initContainers"]]
    assert names == (["copy-model"] if "image" in source else []) + ["fetch-model"]
    before = deployment["metadata"]["generation"]
    # Another look, at the same: nothing differs that an apply would have to repair.
    predictors.patch(key, scaleDownStabilizationSeconds=299)
    predictors.wait(key, *([] if "pvc" not in source else ["False"]))
    assert api.need(DEPLOYMENT, key)["metadata"]["generation"] == before


def test_its_pods_are_admitted_where_namespaces_are_strict(
    api: Api, predictors: Predictors
) -> None:
    """Pod Security is restricted, a quota demands requests and limits, and a LimitRange has the
    predictor's own as the most."""
    name = predictors.namespace
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.patch(NAMESPACE, Key("", name), {"metadata": {"labels": labels}})
    most = {"type": "Container", "max": {"cpu": "200m", "memory": "256Mi"}}
    of_pod = {"type": "Pod", "max": {"cpu": "200m", "memory": "256Mi"}}
    limits = {"metadata": {"name": "most", "namespace": name}, "spec": {"limits": [most, of_pod]}}
    api.create(LIMITS, limits)
    api.limit(name, **{"requests.cpu": "200m", "limits.memory": "512Mi"})
    image = {"reference": "registry.example.com/models/risk:v2"}
    predictors.wait(predictors.create(minReplicas=2, **declared(V2, image=image)))


def test_from_any_store_to_any_other_and_back_into_the_image(
    api: Api, predictors: Predictors
) -> None:
    key = predictors.create(minReplicas=1, **declared(V2))
    predictors.wait(key)
    every = [s for s in sources() if "pvc" not in s]
    for number, source in enumerate([*every, every[0], every[-1], None, every[-1]]):
        version = f"w{number}"
        spec = {"modelVersion": version, "model": None}
        if source is not None:
            spec = declared(model(version), **source)
        operations = [
            {"op": "add", "path": f"/spec/{name}", "value": value} for name, value in spec.items()
        ]
        api.patch(RISKPREDICTOR, key, operations, kind="json")
        body = predictors.wait(key)
        live = api.need(DEPLOYMENT, key)["spec"]["template"]["spec"]
        wanted = _rendered(body)["spec"]
        for part in ("initContainers", "volumes"):
            found = [item["name"] for item in live.get(part, ())]
            assert found == [item["name"] for item in wanted.get(part, ())], (version, part)
        model_status = body["status"].get("model")
        assert (model_status or {}).get("version") == (version if source else None)


def test_init_containers_that_somebody_reorders_or_changes_are_repaired(
    api: Api, predictors: Predictors
) -> None:
    key = predictors.create(
        minReplicas=1, **declared(V2, image={"reference": "registry.example.com/models/risk:v2"})
    )
    predictors.wait(key)
    where = "/spec/template/spec/initContainers"
    for broken in (
        [{"op": "move", "from": f"{where}/0", "path": f"{where}/1"}],
        [{"op": "add", "path": f"{where}/1/env/-",
          "value": {"name": "RISKPREDICTOR_MODEL_CA", "value": "/x"}}],
        [{"op": "add", "path": f"{where}/1/command", "value": ["true"]}],
        [{"op": "replace", "path": f"{where}/1/args", "value": ["serve"]}],
    ):  # fmt: skip
        wanted = api.need(DEPLOYMENT, key)["spec"]["template"]
        api.patch(DEPLOYMENT, key, broken, kind="json")
        _until_template(api, key, wanted)


def _until_template(api: Api, key: Key, wanted: Body) -> None:
    eventually(
        lambda: api.need(DEPLOYMENT, key)["spec"]["template"] == wanted, what="it is repaired"
    )


def the_event(api: Api, key: Key, reason: str) -> Body:
    """The one Event with a reason."""

    def found() -> list[Body]:
        return [e for e in api.items(EVENT, key.namespace) if e["reason"] == reason]

    (event,) = eventually(found, what=f"an Event {reason}")
    return event


# ---- what the fetch step tells ----


def _say(api: Api, pod: Body, reason: str, message: str) -> None:
    """What a kubelet reports of an init container that ended so."""
    told = f'{{"reason": "{reason}", "message": "{message}"}}'
    ended = {"exitCode": 1, "reason": "Error", "message": told}
    unready = [
        {**c, "status": "False"} if c["type"] in ("Ready", "ContainersReady") else c
        for c in pod["status"]["conditions"]
    ]
    init = {
        "name": "fetch-model", "image": "health-predictor:runtime", "imageID": "", "ready": False,
        "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }  # fmt: skip
    name = Key(pod["metadata"]["namespace"], pod["metadata"]["name"])
    status = {"conditions": unready, "initContainerStatuses": [init]}
    api.patch(POD, name, {"status": status}, sub="status")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("ModelNotFound", "Reconciling"), ("ModelFetchFailed", "Reconciling"),
        ("ModelDigestMismatch", "Stalled"), ("ModelSignatureInvalid", "Stalled"),
        ("ModelRejected", "Stalled"),
    ],
)  # fmt: skip
def test_the_stores_words_reach_the_status(
    api: Api, predictors: Predictors, reason: str, kind: str
) -> None:
    key = predictors.create(minReplicas=1, **declared(V2))
    predictors.wait(key)
    (pod,) = pods_of(api, key)
    _say(api, pod, reason, "s3 models: 403 Forbidden")
    predictors.wait(key, "False", reason)
    condition = predictors.condition(key, kind)
    assert condition["status"] == "True"
    assert condition["message"].startswith(
        f"v2: s3 models: 403 Forbidden (pod {pod['metadata']['name']})"
    )
    assert the_event(api, key, reason)["type"] == "Warning"


# ---- the copies ----


def test_a_copy_is_kept_is_immutable_and_goes_with_its_predictor(
    api: Api, predictors: Predictors
) -> None:
    files = {**V2, "model.sig": b"signed"}
    with serving(files) as server:
        key = predictors.create(minReplicas=1, **declared(V2))
        predictors.wait(key)
        lead_to(api, key, server)
        status = until(api, key, "Kept")
    assert status["modelCopies"] == [digest_of(V2)]
    made = copy_of(api, key, V2)
    assert made is not None
    content = {name: base64.b64decode(text) for name, text in made["binaryData"].items()}
    assert content == files
    name = Key(key.namespace, made["metadata"]["name"])
    with pytest.raises(Refused, match="immutable"):
        api.patch(CONFIG_MAP, name, {"binaryData": {"scorer.json": "e30="}})
    api.delete(RISKPREDICTOR, key)
    eventually(lambda: copy_of(api, key, V2) is None, what="garbage collection")


def test_a_revert_needs_neither_the_store_nor_a_pod_that_answers(
    api: Api, predictors: Predictors
) -> None:
    key = predictors.create(minReplicas=1, **declared(V1))
    for files in (V1, V2):
        predictors.patch(key, **declared(files))
        predictors.wait(key)
        with serving(files) as server:
            lead_to(api, key, server)
            until(api, key, "Kept")
    predictors.patch(key, **declared(V1))
    predictors.wait(key)
    status = until(api, key, "Kept")
    assert status["model"]["version"] == "v1"
    wanted = [digest_of(V1), digest_of(V2)]

    def latest_first() -> bool:
        return bool(api.need(RISKPREDICTOR, key)["status"]["modelCopies"] == wanted)

    eventually(latest_first, what="the copies, the latest first")
    (volume,) = [
        v for v in api.need(DEPLOYMENT, key)["spec"]["template"]["spec"]["volumes"]
        if v["name"] == "model-copy"
    ]  # fmt: skip
    kept = copy_of(api, key, V1)
    assert kept is not None
    assert volume["configMap"]["name"] == kept["metadata"]["name"]


LIES: dict[str, Mapping[str, bytes]] = {
    "another model": V1,
    "another file": {**V2, "scorer.json": b"changed"},
    "nothing": {},
}


@pytest.mark.parametrize("files", LIES.values(), ids=LIES)
def test_a_pod_that_serves_other_bytes_makes_no_copy(
    api: Api, predictors: Predictors, files: Mapping[str, bytes]
) -> None:
    with serving(files) as server:
        key = predictors.create(minReplicas=1, **declared(V2))
        predictors.wait(key)
        lead_to(api, key, server)
        eventually(lambda: server.asked, within=60, what="the operator asks the pod")
        predictors.patch(key, minReplicas=2)
        body = predictors.wait(key)
    assert copy_of(api, key, V2) is None
    assert "copy" not in body["status"]["model"]


def test_pods_that_hang_hold_up_no_other_predictor(api: Api, predictors: Predictors) -> None:
    with serving(V2) as server:
        server.hangs.set()
        stuck = [predictors.create(f"stuck-{n}", minReplicas=1, **declared(V2)) for n in range(6)]
        for key in stuck:
            predictors.wait(key)
            lead_to(api, key, server)
        eventually(lambda: len(server.asked) >= 4, within=60, what="all slots are taken")
        other = predictors.create("other", minReplicas=1)
        predictors.wait(other)
        predictors.patch(stuck[0], minReplicas=2)
        predictors.wait(stuck[0])
        assert copy_of(api, stuck[0], V2) is None


def test_a_model_that_is_too_large_is_told_once_and_served(
    api: Api, predictors: Predictors
) -> None:
    large = model("v2", model_joblib=b"x" * SIZE_LIMIT)
    with serving(large) as server:
        key = predictors.create(minReplicas=1, **declared(large))
        predictors.wait(key)
        lead_to(api, key, server)
        until(api, key, "TooLarge")
        predictors.patch(key, minReplicas=2)
        predictors.wait(key)
    assert "more than 900 KiB" in the_event(api, key, "ModelNotCopied")["message"]
    assert copy_of(api, key, large) is None


def test_the_largest_copy_fits_into_a_config_map(api: Api, predictors: Predictors) -> None:
    room = SIZE_LIMIT - sum(map(len, model("v2", model_joblib=b"").values()))
    large = model("v2", model_joblib=os.urandom(room))
    with serving(large) as server:
        key = predictors.create(minReplicas=1, **declared(large))
        predictors.wait(key)
        lead_to(api, key, server)
        until(api, key, "Kept")


def test_a_foreign_config_map_of_that_name_is_left_alone(api: Api, predictors: Predictors) -> None:
    digest = digest_of(V2)
    name = Key(predictors.namespace, f"risk-model-{digest[7:19]}")
    theirs = {"metadata": {"name": name.name, "namespace": name.namespace}, "data": {"a": "b"}}
    before = api.create(CONFIG_MAP, theirs)
    with serving(V2) as server:
        key = predictors.create(minReplicas=1, **declared(V2))
        predictors.wait(key)
        lead_to(api, key, server)
        until(api, key, "Refused")
    assert api.need(CONFIG_MAP, name) == before
    message = the_event(api, key, "ModelNotCopied")["message"]
    assert f"ConfigMap {name.name} exists and belongs to somebody else" in message
