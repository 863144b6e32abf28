"""Specification of what a live Deployment should be where the model comes from a store."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from unit.operator.builders import Object, declared, manifests, predictor, sources
from unit.operator.live_objects import live
from unit.operator.test_candidate_manifests import from_store, trial

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import Comparison, compare, recorded
from riskpredictor_operator.core.manifests import render
from riskpredictor_operator.core.release import Candidate, Serving

DIGEST = "sha256:" + "0a" * 32
IMAGE = {"image": {"reference": "r.example/risk:v2"}}


def deployment(source: Object | None) -> Object:
    """The Deployment as it is rendered."""
    model = None if source is None else {
        "digest": DIGEST, "source": source, "credentialsSecret": {"name": "model-store"},
    }  # fmt: skip
    return recorded(manifests(predictor(model=model))[api.DEPLOYMENT])


def pod_of(body: Mapping[str, Any]) -> Any:
    return body["spec"]["template"]["spec"]


def compared(before: Object, wanted: Object) -> Comparison:
    """An applied Deployment beside another one that is wanted."""
    return compare(api.DEPLOYMENT, wanted, before)


@pytest.mark.parametrize(
    "before", [*sources(), None], ids=lambda s: "no store" if s is None else next(iter(s))
)
@pytest.mark.parametrize("after", [IMAGE, None], ids=["image", "no store"])
def test_init_containers_come_in_their_order_and_leave_nothing_behind(
    before: Object | None, after: Object | None
) -> None:
    wanted = deployment(after)
    found = compared(live(api.DEPLOYMENT, deployment(before)), wanted).wanted
    for part in ("initContainers", "volumes"):
        names = [item["name"] for item in pod_of(found).get(part, ())]
        assert names == [item["name"] for item in pod_of(wanted).get(part, ())]


def test_init_containers_in_another_order_are_a_difference() -> None:
    body = live(api.DEPLOYMENT, deployment(IMAGE))
    pod_of(body)["initContainers"].reverse()
    (difference,) = compared(body, deployment(IMAGE)).differences
    assert difference.path == "spec.template.spec.initContainers"
    assert difference.wanted == ["copy-model", "fetch-model"]
    assert difference.found == ["fetch-model", "copy-model"]


def test_those_of_others_stay_where_they_are() -> None:
    body = live(api.DEPLOYMENT, deployment(IMAGE))
    theirs = {"name": "mesh", "image": "mesh:7"}
    pod_of(body)["initContainers"].insert(1, theirs)
    assert compared(body, deployment(IMAGE)).differences == ()


def test_a_volume_of_another_kind_is_a_difference_that_an_apply_cannot_mend() -> None:
    """An empty emptyDir is a kind of volume, and two kinds are refused."""
    body = live(api.DEPLOYMENT, deployment(IMAGE))
    volumes = pod_of(body)["volumes"]
    volumes[1] = {"name": volumes[1]["name"], "emptyDir": {}}
    found = compared(body, deployment(IMAGE))
    assert not found.apply_suffices
    assert pod_of(found.wanted)["volumes"] == pod_of(deployment(IMAGE))["volumes"]


@pytest.mark.parametrize(
    ("container", "field", "value"),
    [
        ("fetch-model", "command", ["true"]),
        ("fetch-model", "restartPolicy", "Always"),
        ("copy-model", "args", ["--help"]),
        ("fetch-model", "env", {"name": "RISKPREDICTOR_MODEL_CA", "value": "/x"}),
    ],
    ids=["a command", "a sidecar", "arguments", "a variable of the fetch step"],
)
def test_what_overrides_the_fetch_step_goes(container: str, field: str, value: Any) -> None:
    body = live(api.DEPLOYMENT, deployment(IMAGE))
    before = copy.deepcopy(pod_of(body)["initContainers"])
    (init,) = [c for c in pod_of(body)["initContainers"] if c["name"] == container]
    if field == "env":
        init["env"].append(value)
    else:
        init[field] = value
    found = compared(body, deployment(IMAGE))
    assert found.differences
    assert pod_of(found.wanted)["initContainers"] == before


def test_what_does_not_override_it_stays() -> None:
    body = live(api.DEPLOYMENT, deployment(IMAGE))
    for init in pod_of(body)["initContainers"]:
        init.setdefault("env", []).append({"name": "HTTPS_PROXY", "value": "http://proxy:3128"})
        init["volumeMounts"].append({"name": "theirs", "mountPath": "/theirs"})
    pod_of(body)["volumes"].append({"name": "theirs", "emptyDir": {}})
    assert compared(body, deployment(IMAGE)).differences == ()


TRIAL = trial(from_store("v2", DIGEST, IMAGE, credentialsSecret={"name": "x"}), cases="ward-cases")


def with_candidate(candidate: Candidate | None) -> Object:
    """The Deployment of a predictor that has its model from an image in a store."""
    stable = from_store("v1", DIGEST, IMAGE)
    return recorded(render(declared(), Serving(stable, candidate)).deployment)


@pytest.mark.parametrize("before", [None, TRIAL], ids=["it comes", "it stays"])
def test_a_candidate_is_repaired_as_a_whole_and_ours_come_in_their_order(
    before: Candidate | None,
) -> None:
    body = live(api.DEPLOYMENT, with_candidate(before))
    pod = pod_of(body)
    pod["initContainers"].reverse()
    pod["containers"][0]["env"] += [{"name": "RISKPREDICTOR_CASES", "value": "/theirs"}]
    found = compared(body, with_candidate(TRIAL)).wanted
    for part in ("initContainers", "volumes"):
        assert pod_of(found)[part] == pod_of(with_candidate(TRIAL))[part]
    (server,) = pod_of(found)["containers"]
    (wanted,) = pod_of(with_candidate(TRIAL))["containers"]
    assert sorted(map(repr, server["env"])) == sorted(map(repr, wanted["env"]))
    assert server["volumeMounts"] == wanted["volumeMounts"]


@pytest.mark.parametrize("record", [True, False], ids=["with a record", "without"])
def test_a_candidate_leaves_nothing_behind(record: bool) -> None:
    body = live(api.DEPLOYMENT, with_candidate(TRIAL))
    if not record:
        del body["metadata"]["annotations"][api.ANNOTATION_LAST_APPLIED]
        body["metadata"].pop("managedFields", None)
    found, plain = pod_of(compared(body, with_candidate(None)).wanted), with_candidate(None)
    for part in ("initContainers", "volumes"):
        assert found[part] == pod_of(plain)[part]
    for part in ("env", "volumeMounts"):
        assert found["containers"][0][part] == pod_of(plain)["containers"][0][part]


def test_without_a_record_what_a_store_had_leaves() -> None:
    """A Deployment that was restored without the operator's annotation."""
    body = live(api.DEPLOYMENT, deployment(IMAGE))
    del body["metadata"]["annotations"][api.ANNOTATION_LAST_APPLIED]
    body["metadata"].pop("managedFields", None)
    pod = pod_of(compared(body, deployment(None)).wanted)
    assert not pod.get("initContainers")
    assert not pod.get("volumes")
    assert not pod["containers"][0].get("volumeMounts")
    assert [v["name"] for v in pod["containers"][0]["env"]] == ["POD_NAME"]
