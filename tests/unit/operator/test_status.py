"""Specification of the status: what is said for what was seen, and the rules it always keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.operator.builders import (
    KEY,
    LATER,
    NOW,
    OPTIONS,
    Object,
    crd,
    manifests,
    predictor,
    schema,
)
from unit.operator.live_objects import (
    CANNOT_SCALE,
    COMPLETE,
    DEADLINE,
    NO_METRICS,
    PROGRESSING,
    SCALING_ACTIVE,
    condition,
    container,
    deployment,
    deployment_status,
    live,
    pod,
    replica_failure,
    terminated,
    unschedulable,
    waiting,
)
from unit.operator.strategies import bounded

from kstatus import health, violations
from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.model_copy import Outcome
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.core.status import (
    Observation,
    build_status,
    invalid_status,
    is_progress,
)


def autoscaler(status: Object) -> Object:
    return {**live(api.AUTOSCALER, manifests(predictor())[api.AUTOSCALER]), "status": status}


SETTLED = deployment(deployment_status(2))
SERVICE = live(api.SERVICE, manifests(predictor())[api.SERVICE])
WORKING = autoscaler(SCALING_ACTIVE)
FOREIGN = Explanation(reasons.NOT_OWNED, "Service shop/risk belongs to somebody else")
INVALID = Explanation(reasons.INVALID_SPEC, "spec.minReplicas: must be of type int, is str")
NO_QUOTA = Explanation(reasons.QUOTA_EXCEEDED, "Service shop/risk is refused by a ResourceQuota")
WAITING = Explanation(reasons.WAITING_FOR_DELETION, "Deployment shop/risk is still being deleted")


def said(
    seen: Observation, *, previous: Object | None = None, now: str = NOW, **spec: Any
) -> Object:
    """The predictor with the status that a pass writes which saw this."""
    body = predictor(generation=3, **spec)
    status = build_status(parse(body), OPTIONS, seen, previous or {}, now)
    return {**body, "status": status}


def states(body: Object) -> dict[str, str]:
    return {c["type"]: c["status"] for c in body["status"]["conditions"]}


def reason(body: Object, name: str = conditions.READY) -> str:
    found = conditions.find(body["status"]["conditions"], name)
    assert found is not None, f"no condition {name}"
    return str(found["reason"])


def test_the_whole_status_of_a_settled_predictor() -> None:
    def of(name: str, reason: str, message: str) -> Object:
        return {
            "type": name, "status": "True", "reason": reason, "message": message,
            "observedGeneration": 3, "lastTransitionTime": NOW,
        }  # fmt: skip

    seen = Observation(deployment=SETTLED, autoscaler=WORKING, service=SERVICE)
    assert said(seen)["status"] == {
        "observedGeneration": 3,
        "conditions": [
            of("Ready", "Ready", "v1 is served by 2 of 2 pods"),
            of("Available", "PodsAvailable", "predictions are answered"),
            of("Autoscaling", "ScalingActive", "between 2 and 5 pods at 70 % of the CPU request"),
        ],
        "replicas": 2,
        "readyReplicas": 2,
        "selector": "healthtech.dev/riskpredictor=risk",
        "image": "health-predictor:v1",
        "url": "http://risk.shop.svc",
        "servingVersion": "v1",
    }


def test_in_a_canary_both_versions_serve_also_while_nothing_is_decided() -> None:
    """As while spec.suspend is true."""
    seen = Observation(deployment=SETTLED, autoscaler=WORKING, service=SERVICE)
    canary = {"phase": "Canary", "percent": 10, "candidate": {"version": "v2"}}
    told = said(seen, previous={"rollout": canary}, suspend=True)["status"]
    assert (told["servingVersion"], told["rollout"]) == ("v1,v2", canary)


ROLLING = deployment(deployment_status(3, updated=1, available=2, conditions=(PROGRESSING,)))
GROWING = deployment(deployment_status(5, available=2), 5)
FULL = deployment(deployment_status(5, available=3), 5)
BELOW = deployment(deployment_status(5, available=1, conditions=(COMPLETE,)), 5)
LATE = deployment(deployment_status(5, available=1, conditions=(DEADLINE,)), 5)
PENDING = pod(conditions=(unschedulable(),))
STUCK = deployment(deployment_status(3, updated=1, available=2, conditions=(DEADLINE,)))


@pytest.mark.parametrize(
    ("look", "spec", "verdict", "ready"),
    [
        pytest.param(Observation(), {}, "InProgress", reasons.ROLLING_OUT, id="nothing there yet"),
        pytest.param(Observation(ROLLING), {}, "InProgress", reasons.ROLLING_OUT, id="rolling out"),
        pytest.param(
            Observation(STUCK), {}, "Failed", reasons.ROLLOUT_STALLED, id="deadline passed"
        ),
        pytest.param(Observation(SETTLED), {}, "Current", reasons.READY, id="settled"),
        pytest.param(
            Observation(SETTLED, autoscaler(NO_METRICS)), {}, "Current", reasons.READY,
            id="serving, but no metrics",
        ),
        pytest.param(
            Observation(SETTLED, autoscaler(CANNOT_SCALE)), {},
            "InProgress", reasons.AUTOSCALING_FAILED,
            id="serving, but the autoscaler cannot scale",
        ),
        pytest.param(
            Observation(SETTLED, problems=(FOREIGN,)), {},
            "Failed", reasons.NOT_OWNED, id="foreign child"
        ),
        pytest.param(
            Observation(SETTLED, problems=(NO_QUOTA,)), {},
            "InProgress", reasons.QUOTA_EXCEEDED, id="no quota for a child"
        ),
        pytest.param(
            Observation(SETTLED, problems=(NO_QUOTA, FOREIGN)), {},
            "Failed", reasons.QUOTA_EXCEEDED, id="no quota for a child, and a foreign one"
        ),
        pytest.param(
            Observation(waiting=WAITING), {},
            "InProgress", reasons.WAITING_FOR_DELETION, id="leftover"
        ),
        pytest.param(
            Observation(problems=(FOREIGN,), waiting=WAITING), {}, "Failed", reasons.NOT_OWNED,
            id="foreign and leftover",
        ),
        pytest.param(
            Observation(SETTLED), {"suspend": True}, "InProgress", reasons.SUSPENDED, id="suspended"
        ),
        pytest.param(
            Observation(SETTLED, problems=(FOREIGN,)), {"suspend": True},
            "InProgress", reasons.SUSPENDED,
            id="suspended with a foreign child",
        ),
        pytest.param(
            Observation(GROWING, WORKING), {}, "Current", reasons.READY, id="growing with the load"
        ),
        pytest.param(
            Observation(FULL, WORKING, (PENDING,)), {}, "Current", reasons.READY, id="at capacity"
        ),
        pytest.param(
            Observation(BELOW, WORKING, (PENDING,)), {}, "InProgress", reasons.UNSCHEDULABLE,
            id="at capacity, below the minimum",
        ),
        pytest.param(
            Observation(LATE, WORKING, (PENDING,)), {}, "InProgress", reasons.UNSCHEDULABLE,
            id="the deadline passed, for lack of room",
        ),
        pytest.param(
            Observation(deployment(deployment_status(0), 0)), {"replicas": 0},
            "Current", reasons.READY,
            id="no pods wanted",
        ),
    ],
)  # fmt: skip
def test_health(look: Observation, spec: Object, verdict: str, ready: str) -> None:
    body = said(look, **spec)
    assert (health(body), reason(body)) == (verdict, ready)


def test_an_autoscaler_that_goes_on_failing_needs_a_person() -> None:
    look = Observation(SETTLED, autoscaler(CANNOT_SCALE))
    first = said(look)
    soon, later = NOW.replace(":00:00", ":00:59"), NOW.replace(":00:00", ":01:00")
    assert health(said(look, previous=first["status"], now=soon)) == "InProgress"
    assert health(said(look, previous=first["status"], now=later)) == "Failed"


def test_minutes_without_metrics_do_not_count_as_failure() -> None:
    """Both have the condition False, so its transition time does not tell them apart."""
    before = said(Observation(SETTLED, autoscaler(NO_METRICS)))
    for second in range(3):
        now = LATER.replace(":00Z", f":0{second}Z")
        failing = Observation(SETTLED, autoscaler(CANNOT_SCALE))
        before = said(failing, previous=before["status"], now=now)
        assert health(before) == "InProgress", f"after {second} s"


ONE_READY = deployment(deployment_status(2, available=1))
NONE_READY = deployment(deployment_status(2, available=0))
AVAILABLE = {
    "no Deployment": (Observation(service=SERVICE), "False", reasons.NO_PODS_AVAILABLE),
    "all ready": (Observation(SETTLED, service=SERVICE), "True", reasons.PODS_AVAILABLE),
    "one ready": (Observation(ONE_READY, service=SERVICE), "True", reasons.PODS_AVAILABLE),
    "none ready": (Observation(NONE_READY, service=SERVICE), "False", reasons.NO_PODS_AVAILABLE),
    "no Service": (Observation(SETTLED), "False", reasons.NO_SERVICE),
    "the Service is somebody else's": (
        Observation(SETTLED, problems=(FOREIGN,)), "False", reasons.NO_SERVICE
    ),
    "serving with a problem": (
        Observation(SETTLED, problems=(INVALID,), service=SERVICE), "True", reasons.PODS_AVAILABLE
    ),
    "scaled to zero": (
        Observation(deployment(deployment_status(0), 0), service=SERVICE), "False",
        reasons.NO_PODS_AVAILABLE,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("look", "available", "why"), AVAILABLE.values(), ids=AVAILABLE)
def test_available(look: Observation, available: str, why: str) -> None:
    body = said(look)
    assert (states(body)["Available"], reason(body, "Available")) == (available, why)


def test_the_image_is_that_of_the_pods_also_while_another_one_waits_its_turn() -> None:
    body = said(Observation(SETTLED, WORKING), image={"repository": "elsewhere"})
    assert body["status"]["image"] == "health-predictor:v1"
    assert said(Observation())["status"]["image"] == "health-predictor:v1", "planned"


def test_the_reason_is_the_most_urgent_problems_and_the_message_has_all() -> None:
    second = Explanation(reasons.APPLY_REFUSED, "the API server refuses the Deployment")
    body = said(Observation(SETTLED, problems=(FOREIGN, second, second)))
    ready = conditions.find(body["status"]["conditions"], "Ready")
    assert ready is not None
    assert (ready["reason"], ready["message"]) == (
        reasons.NOT_OWNED,
        "Service shop/risk belongs to somebody else; also: the API server refuses the Deployment",
    )


def invalid(previous: Object) -> Object:
    body = predictor(generation=4)
    return {**body, "status": invalid_status(KEY, 4, INVALID, previous, LATER)}


def test_an_unusable_spec_is_told_and_what_serves_stays() -> None:
    before = said(Observation(SETTLED, WORKING, service=SERVICE))["status"]
    after = invalid(before)
    assert health(after) == "Failed"
    assert reason(after) == reasons.INVALID_SPEC
    assert states(after) == {
        "Ready": "False", "Stalled": "True", "Available": "True", "Autoscaling": "True",
    }  # fmt: skip
    assert after["status"]["servingVersion"] == "v1"
    assert after["status"]["observedGeneration"] == 4
    assert violations(after) == []


def test_an_unusable_spec_that_was_never_usable() -> None:
    after = invalid({"observedGeneration": -1})
    assert states(after) == {
        "Ready": "False", "Stalled": "True", "Available": "False", "Autoscaling": "Unknown",
    }  # fmt: skip
    assert violations(after) == []


INSIDE = condition("ContainersReady", "True")
_problems = st.sampled_from([(), (FOREIGN,), (FOREIGN, INVALID)])
_pods = st.lists(
    st.builds(
        pod,
        version=st.sampled_from(["v1", "v2", ""]),
        ready=st.booleans(),
        leaving=st.booleans(),
        started=st.booleans(),
        state=st.sampled_from([
            None, {}, {"running": {}}, waiting("ErrImagePull"), waiting("CrashLoopBackOff"),
            waiting("CreateContainerError"), terminated("OOMKilled", 137), terminated("Error", 1),
        ]),
        last=st.sampled_from([{}, terminated("Error", 1), terminated("OOMKilled", 137)]),
        conditions=st.sampled_from([(), (unschedulable(),), (INSIDE,)]),
        init=st.sampled_from([(), (container("a", state=waiting("ErrImagePull")),)]),
        beside=st.sampled_from([(), (container("b", state=terminated("Error", 1)),)]),
        phase=st.sampled_from(["Pending", "Running", "Failed"]),
    ),
    max_size=3,
)  # fmt: skip
_deployment_conditions = st.lists(
    st.sampled_from([
        COMPLETE, PROGRESSING, DEADLINE, replica_failure("exceeded quota"), replica_failure("no"),
    ]), max_size=2, unique_by=lambda c: c["type"],
).map(tuple)  # fmt: skip
_DIGESTS = ("sha256:" + "0a" * 32, "sha256:" + "0b" * 32)
_deployments = st.none() | st.builds(
    deployment,
    st.just({}) | st.builds(
        deployment_status, st.integers(0, 6), updated=st.integers(0, 6),
        available=st.integers(0, 6), observed=st.integers(0, 1), conditions=_deployment_conditions,
    ),
    st.integers(0, 6),
    model=st.none() | st.just({"digest": _DIGESTS[0], "source": {"pvc": {"claimName": "a"}}}),
)  # fmt: skip
_autoscalers = st.none() | st.sampled_from(
    [{}, SCALING_ACTIVE, NO_METRICS, CANNOT_SCALE,
     {"conditions": [condition("AbleToScale", "False", "BackoffBoth")]}]
).map(autoscaler)  # fmt: skip
_copies = st.none() | st.builds(
    Outcome,
    st.dictionaries(
        st.sampled_from(_DIGESTS), st.sampled_from(["", "Kept", "TooLarge", "Refused"])
    ),
    st.lists(st.sampled_from(_DIGESTS), unique=True).map(tuple),
)  # fmt: skip
_looks = st.builds(
    Observation, _deployments, _autoscalers, _pods, _problems, st.none() | st.just(WAITING),
    st.none() | st.just(SERVICE), st.booleans(), _copies,
)  # fmt: skip
_specs = st.fixed_dictionaries(
    {"suspend": st.booleans(), "autoscaler": st.sampled_from(["Managed", "External"])},
    optional={"replicas": st.integers(0, 5)},
)


@given(look=_looks, spec=_specs, before=_looks, spec_before=_specs)
@bounded
def test_every_status_keeps_the_rules_whatever_was_seen(
    look: Observation, spec: Object, before: Observation, spec_before: Object
) -> None:
    previous = said(before, **spec_before)["status"]
    body = said(look, previous=previous, now=LATER, **spec)
    assert violations(body) == []
    assert set(states(body)) >= {"Ready", "Available", "Autoscaling"}
    assert violations(invalid(previous)) == []
    settled = said(look, previous=body["status"], now="2027-01-01T00:00:00Z", **spec)
    assert settled["status"] == body["status"], "a second look at the same writes nothing new"


@given(look=_looks, spec=_specs)
@bounded
def test_the_api_server_stores_every_field_of_a_status(look: Observation, spec: Object) -> None:
    known = schema()["properties"]["status"]["properties"]
    status = said(look, **spec)["status"]
    assert set(status) <= set(known)
    for item in status["conditions"]:
        assert set(item) == set(known["conditions"]["items"]["properties"])
    assert set(status.get("model", ())) <= set(known["model"]["properties"])
    assert crd()["spec"]["versions"][0]["subresources"]["status"] == {}


def counted(ready: Object, available: str = "False", **fields: Any) -> Object:
    """A status as far as ``is_progress`` reads it."""
    of_available = {"type": "Available", "status": available, "reason": "x", "message": "m"}
    return {"observedGeneration": 1, "conditions": [ready, of_available], **fields}


def ready_is(status: str, reason: str, message: str = "words") -> Object:
    return {"type": "Ready", "status": status, "reason": reason, "message": message}


ROLLING_OUT = ready_is("False", "RollingOut")


@pytest.mark.parametrize(
    ("before", "after", "may_wait"),
    [
        pytest.param(
            counted(ROLLING_OUT, readyReplicas=0),
            counted(ready_is("False", "RollingOut", "other words"), "True", readyReplicas=1,
                    servingVersion="v1"),
            True, id="counts, words, the serving version and the first pod",
        ),
        pytest.param(
            counted(ROLLING_OUT), counted(ready_is("False", "ImagePullFailed")), False,
            id="another reason",
        ),
        pytest.param(counted(ROLLING_OUT), counted(ready_is("True", "Ready")), False, id="ready"),
        pytest.param(
            counted(ROLLING_OUT, "True"), counted(ROLLING_OUT), False, id="loss of the last pod"
        ),
        pytest.param(
            counted(ROLLING_OUT), counted(ROLLING_OUT, observedGeneration=2), False,
            id="another generation",
        ),
    ],
)  # fmt: skip
def test_only_progress_may_wait_a_moment(before: Object, after: Object, may_wait: bool) -> None:
    assert is_progress(before, after) is may_wait
