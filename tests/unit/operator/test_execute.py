"""Specification of errors of the API server in mid-pass: retried, reported or dropped."""

from __future__ import annotations

import datetime
from contextlib import suppress

import pytest
from unit.operator.builders import KEY
from unit.operator.fake_cluster import Call, conflict
from unit.operator.harness import Harness

from kstatus import health, violations
from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.kube import ApiError, Resource
from riskpredictor_operator.reconcile import REPORT_FAILURE_AFTER_SECONDS

FORBIDDEN = ApiError(403, "Forbidden", 'User "operator" cannot patch resource')
GUARDED = ApiError(
    403, "Forbidden", "cannot set blockOwnerDeletion if an ownerReference refers to a resource you "
    "can't set finalizers on",
)  # fmt: skip
QUOTA = ApiError(403, "Forbidden", "exceeded quota: pods")
INVALID = ApiError(422, "Invalid", "spec.ports[0].nodePort: not in the valid range")
MALFORMED = ApiError(  # the API server calls it its own failure, but only a new spec helps
    500, "InternalError",
    "failed to create typed patch object (shop/risk; apps/v1, Kind=Deployment): "
    ".spec.template.spec.affinity.nodeAfinity: field not declared in schema",
)  # fmt: skip
GOING = ApiError(403, "Forbidden", "being terminated", causes=("NamespaceTerminating",))
BUSY = ApiError(429, "TooManyRequests", "later", retry_after=7.0)
DOWN = ApiError(0, "Unreachable", "connection refused")

STATUS = "patch_status RiskPredictor"

each_child = pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)


@pytest.fixture
async def harness() -> Harness:
    fresh = Harness()
    fresh.declare()
    await fresh.sync()
    return fresh


@each_child
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(FORBIDDEN, reasons.FORBIDDEN, id="role lacks a right"),
        pytest.param(GUARDED, reasons.FORBIDDEN, id="guarded owner references"),
        pytest.param(QUOTA, reasons.QUOTA_EXCEEDED, id="quota"),
        pytest.param(INVALID, reasons.APPLY_REFUSED, id="invalid"),
        pytest.param(MALFORMED, reasons.APPLY_REFUSED, id="fits no schema"),
    ],
)
async def test_what_a_person_must_mend_becomes_a_condition_and_a_slow_retry(
    harness: Harness, resource: Resource, error: ApiError, reason: str
) -> None:
    harness.cluster.fail("apply", resource, error)
    assert await harness.reconcile() == 30.0
    assert harness.reason() == reason
    assert error.message in str(harness.status["conditions"])
    others = {r for r in api.CHILDREN if KEY in harness.cluster.objects[r]}
    assert others == set(api.CHILDREN) - {resource}, "the other children are made all the same"
    await harness.settle()
    assert harness.reason() == reasons.READY


class TestFailingWrites:
    """Transient errors are retried, but Ready must not stay True meanwhile."""

    WEBHOOK = ApiError(500, "InternalError", "failed calling webhook: connection refused")

    @pytest.fixture(autouse=True)
    async def _deployment_is_lost(self, harness: Harness) -> None:
        await harness.settle()
        assert harness.reason() == reasons.READY
        harness.cluster.remove(api.DEPLOYMENT, KEY)
        await harness.sync()

    async def fails(self, harness: Harness, error: ApiError, after: float = 0.0) -> None:
        harness.time += datetime.timedelta(seconds=after)
        harness.cluster.fail("apply", api.DEPLOYMENT, error)
        with pytest.raises(ApiError) as raised:
            await harness.reconcile()
        assert raised.value is error

    @pytest.mark.parametrize("error", [WEBHOOK, DOWN], ids=["a webhook fails", "one hangs"])
    async def test_one_that_goes_on_is_told(self, harness: Harness, error: ApiError) -> None:
        """Where a webhook hangs, the operator's own time limit ends the request: no answer."""
        await self.fails(harness, error)
        await self.fails(harness, error, after=REPORT_FAILURE_AFTER_SECONDS)
        assert harness.reason() == reasons.APPLY_FAILED
        ready = conditions.find(harness.status["conditions"], conditions.READY) or {}
        assert (ready["status"], error.message in ready["message"]) == ("False", True)
        body = harness.live(api.RISKPREDICTOR)
        assert (health(body), violations(body)) == ("InProgress", [])
        await harness.settle()
        assert harness.reason() == reasons.READY

    @pytest.mark.parametrize(
        ("error", "after"),
        [
            pytest.param(WEBHOOK, REPORT_FAILURE_AFTER_SECONDS - 1, id="a short one"),
            pytest.param(
                BUSY, REPORT_FAILURE_AFTER_SECONDS, id="a server that asks for fewer writes"
            ),
        ],
    )
    async def test_these_cost_no_further_write(
        self, harness: Harness, error: ApiError, after: float
    ) -> None:
        await self.fails(harness, error)
        await self.fails(harness, error, after)
        assert STATUS not in harness.take_writes()

    async def test_where_the_status_cannot_be_written_either_the_first_error_counts(
        self, harness: Harness
    ) -> None:
        await self.fails(harness, DOWN)
        harness.cluster.fail("patch_status", api.RISKPREDICTOR, BUSY)
        await self.fails(harness, DOWN, after=REPORT_FAILURE_AFTER_SECONDS)

    async def test_success_in_between_starts_the_patience_anew(self, harness: Harness) -> None:
        await self.fails(harness, self.WEBHOOK)
        await harness.reconcile()
        harness.cluster.remove(api.DEPLOYMENT, KEY)
        await harness.sync()
        await self.fails(harness, self.WEBHOOK, after=REPORT_FAILURE_AFTER_SECONDS)
        assert harness.reason() != reasons.APPLY_FAILED


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("get", api.SERVICE), ("get", api.RISKPREDICTOR), ("list", api.POD)],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
async def test_a_read_that_is_refused_is_told(
    harness: Harness, verb: str, resource: Resource
) -> None:
    refusal = 'services is forbidden: User "operator" cannot get resource'
    harness.cluster.fail(verb, resource, ApiError(403, "Forbidden", refusal))
    assert await harness.reconcile() == 30.0
    assert harness.reason() == reasons.FORBIDDEN
    await harness.settle()
    assert harness.reason() == reasons.READY


async def test_an_object_that_appears_after_the_look_is_not_taken_over(harness: Harness) -> None:
    theirs = {
        "apiVersion": "v1", "kind": "Service", "metadata": {
            "name": KEY.name, "namespace": KEY.namespace, "uid": "theirs", "generation": 1,
        }, "spec": {"selector": {"mine": "yes"}},
    }  # fmt: skip

    def appear(call: Call) -> None:
        if call.verb == "apply" and KEY not in harness.cluster.objects[api.SERVICE]:
            harness.cluster.store(api.SERVICE, theirs)

    harness.cluster.on_call = appear
    with pytest.raises(ApiError, match="409"):
        await harness.reconcile()
    assert harness.live(api.SERVICE)["spec"] == {"selector": {"mine": "yes"}}
    harness.cluster.on_call = lambda _: None
    await harness.reconcile()
    assert harness.reason() == reasons.NOT_OWNED
    harness.cluster.remove(api.SERVICE, KEY)  # of which no watch tells, for it has no label of ours
    await harness.reconcile()
    assert harness.live(api.SERVICE)["metadata"]["uid"] != "theirs"


@pytest.mark.parametrize(
    ("field", "deleted"),
    [
        pytest.param("spec.clusterIP", True, id="a field that a new one may have"),
        pytest.param("spec.ports[0].nodePort", False, id="one that is refused to a new one, too"),
    ],
)
async def test_a_service_that_serves_is_deleted_only_for_one_that_will_be_accepted(
    harness: Harness, field: str, deleted: bool
) -> None:
    await harness.settle()
    harness.declare(service={"type": "NodePort", "nodePort": 25000})
    await harness.sync()
    refusal = f"{field}: Invalid value: 25000: not in the valid range"
    invalid = ApiError(422, "Invalid", refusal, causes=("FieldValueInvalid",))
    harness.cluster.fail("apply", api.SERVICE, invalid)
    await harness.reconcile()
    assert (KEY not in harness.cluster.objects[api.SERVICE]) == deleted
    assert deleted or harness.reason() == reasons.APPLY_REFUSED


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [
        pytest.param(ApiError(409, "AlreadyExists", "exists"), True, id="it exists"),
        pytest.param(ApiError(409, "Conflict", "a webhook says so"), False, id="another conflict"),
        pytest.param(
            ApiError(403, "Forbidden", "exceeded quota: q, requested: count/services=1, "
                     "used: count/services=3, limited: count/services=3"),
            True, id="a full quota in which it is counted",
        ),
        pytest.param(
            ApiError(403, "Forbidden", "exceeded quota: q, requested: count/services=1,services=1, "
                     "used: count/services=3,services=3, limited: count/services=3,services=2"),
            False, id="a quota below what there is",
        ),
        pytest.param(
            ApiError(403, "Forbidden", "exceeded quota: q, requested: services.loadbalancers=1, "
                     "used: services.loadbalancers=0, limited: services.loadbalancers=0"),
            False, id="a quota in which it is not counted",
        ),
        pytest.param(
            ApiError(422, "Invalid", "spec.ports[0].nodePort: provided port is already allocated"),
            False, id="a port that another one holds",
        ),
    ],
)  # fmt: skip
async def test_what_no_update_restores_is_deleted_only_if_a_dry_run_says_that_there_is_room(
    harness: Harness, answer: ApiError, deleted: bool
) -> None:
    await harness.settle()
    harness.cluster.edit(api.SERVICE, KEY, lambda body: body["spec"].update(clusterIP="None"))
    await harness.sync()
    harness.cluster.fail("dry run of", api.SERVICE, answer)
    with suppress(ApiError):
        await harness.reconcile()
    assert (KEY not in harness.cluster.objects[api.SERVICE]) == deleted


@each_child
@pytest.mark.parametrize("error", [BUSY, DOWN, conflict(), GOING], ids=str)
async def test_what_passes_is_raised_for_the_worker(
    harness: Harness, resource: Resource, error: ApiError
) -> None:
    harness.cluster.fail("apply", resource, error)
    with pytest.raises(ApiError) as caught:
        await harness.reconcile()
    assert caught.value is error


async def test_a_later_stage_waits_for_the_one_before(harness: Harness) -> None:
    await harness.settle()
    harness.declare(replicas=3)
    await harness.sync()
    harness.cluster.fail("delete", api.AUTOSCALER, FORBIDDEN)
    await harness.reconcile()
    assert harness.take_writes() == ["delete HorizontalPodAutoscaler", "patch_status RiskPredictor"]
    assert harness.reason() == reasons.FORBIDDEN


def replace_object(harness: Harness, resource: Resource) -> None:
    """Delete an object and create another of that name, both unseen by the operator."""
    body = harness.cluster.remove(resource, KEY)
    harness.cluster.store(resource, {**body, "metadata": {**body["metadata"], "uid": "new"}})


@pytest.mark.parametrize("uid", ["new", None], ids=["replaced", "gone"])
async def test_after_a_conflict_the_child_is_read_again(harness: Harness, uid: str | None) -> None:
    await harness.settle()
    harness.edit(api.SERVICE, lambda body: body["spec"].update(selector={}))
    await harness.sync()
    if uid is None:
        harness.cluster.remove(api.SERVICE, KEY)
    else:
        replace_object(harness, api.SERVICE)
    with pytest.raises(ApiError, match="Conflict"):
        await harness.reconcile()
    seen = harness.cache.get(api.SERVICE, KEY)
    assert (seen and seen["metadata"]["uid"]) == uid
    await harness.reconcile()
    assert KEY in harness.cluster.objects[api.SERVICE]


async def test_an_object_of_the_same_name_that_is_another_is_not_deleted(harness: Harness) -> None:
    await harness.settle()
    harness.declare(replicas=3)
    await harness.sync()
    replace_object(harness, api.AUTOSCALER)
    with pytest.raises(ApiError, match="Conflict"):
        await harness.reconcile()
    assert harness.live(api.AUTOSCALER)["metadata"]["uid"] == "new"


async def test_a_status_for_a_predictor_that_was_replaced_is_not_written(harness: Harness) -> None:
    await harness.settle()
    harness.pods_up(1)
    await harness.sync()

    def replace(call: Call) -> None:
        if call.verb == "patch_status":
            harness.cluster.on_call = lambda _: None
            harness.edit(api.RISKPREDICTOR, lambda body: body["metadata"].update(uid="new"))

    harness.cluster.on_call = replace
    before = harness.status
    with pytest.raises(ApiError, match="Conflict"):
        await harness.reconcile()
    assert harness.status == before


async def test_a_lost_event_does_not_fail_a_pass(harness: Harness) -> None:
    harness.cluster.fail("create", api.EVENT, FORBIDDEN)
    assert await harness.reconcile() is not None
    assert harness.reason() == reasons.ROLLING_OUT
