"""Specification of errors of the API server in mid-pass: retried, reported or dropped."""

from __future__ import annotations

import asyncio
import datetime

import pytest
from unit.operator.builders import KEY
from unit.operator.eventually import eventually
from unit.operator.fake_cluster import Call, conflict
from unit.operator.world import World

from kstatus import health, violations
from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.core.api import Key, Resource
from riskpredictor_operator.core.errors import SLOW_RETRY_SECONDS, ApiError, LeadershipLostError
from riskpredictor_operator.reconcile import PATIENCE_SECONDS
from riskpredictor_operator.runtime.workers import Workers
from riskpredictor_operator.runtime.workqueue import Backoff, WorkQueue

FORBIDDEN = ApiError(403, "Forbidden", 'User "operator" cannot patch resource')
GUARDED = ApiError(
    403, "Forbidden", "cannot set blockOwnerDeletion if an ownerReference refers to a resource you "
    "can't set finalizers on",
)  # fmt: skip
QUOTA = ApiError(403, "Forbidden", "exceeded quota: pods")
INVALID = ApiError(422, "Invalid", "spec.ports[0].nodePort: not in the valid range")
GOING = ApiError(403, "Forbidden", "being terminated", causes=("NamespaceTerminating",))
BUSY = ApiError(429, "TooManyRequests", "later", retry_after=7.0)
DOWN = ApiError(0, "Unreachable", "connection refused")

STATUS = "patch_status RiskPredictor"

each_child = pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)


@pytest.fixture
async def world() -> World:
    fresh = World()
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
    ],
)
async def test_what_a_person_must_mend_becomes_a_condition_and_a_slow_retry(
    world: World, resource: Resource, error: ApiError, reason: str
) -> None:
    world.cluster.fail("apply", resource, error)
    assert await world.reconcile() == 30.0
    assert world.reason() == reason
    others = {r for r in api.CHILDREN if KEY in world.cluster.objects[r]}
    assert others == set(api.CHILDREN) - {resource}, "the other children are made all the same"


class TestFailingWrites:
    """What passes by itself is retried, but Ready must not stay True meanwhile."""

    WEBHOOK = ApiError(500, "InternalError", "failed calling webhook: connection refused")

    async def fails(self, world: World, error: ApiError, after: float) -> None:
        world.time += datetime.timedelta(seconds=after)
        world.cluster.fail("apply", api.DEPLOYMENT, error)
        with pytest.raises(ApiError):
            await world.reconcile()

    async def lose_deployment(self, world: World) -> None:
        await world.settle()
        assert world.reason() == reasons.READY
        world.cluster.remove(api.DEPLOYMENT, KEY)
        await world.sync()

    async def test_one_that_goes_on_is_told(self, world: World) -> None:
        await self.lose_deployment(world)
        await self.fails(world, self.WEBHOOK, after=0.0)
        await self.fails(world, self.WEBHOOK, after=PATIENCE_SECONDS)
        assert world.reason() == reasons.APPLY_FAILED
        ready = conditions.find(world.status["conditions"], conditions.READY)
        assert ready is not None
        assert ready["status"] == "False"
        assert "failed calling webhook" in ready["message"]
        body = world.live(api.RISKPREDICTOR)
        assert (health(body), violations(body)) == ("InProgress", [])
        await world.settle()
        assert world.reason() == reasons.READY

    @pytest.mark.parametrize(
        ("error", "after"),
        [
            pytest.param(WEBHOOK, PATIENCE_SECONDS - 1, id="a short one"),
            pytest.param(BUSY, PATIENCE_SECONDS, id="a server that asks for fewer writes"),
        ],
    )
    async def test_these_cost_no_further_write(
        self, world: World, error: ApiError, after: float
    ) -> None:
        await self.lose_deployment(world)
        await self.fails(world, error, after=0.0)
        await self.fails(world, error, after=after)
        assert STATUS not in world.take_writes()

    async def test_a_webhook_that_hangs_is_told_too(self, world: World) -> None:
        """Then the operator's own time limit is the shorter one, and nothing is answered."""
        await self.lose_deployment(world)
        await self.fails(world, DOWN, after=0.0)
        await self.fails(world, DOWN, after=PATIENCE_SECONDS)
        assert world.reason() == reasons.APPLY_FAILED

    async def test_where_the_status_cannot_be_written_either_the_first_error_counts(
        self, world: World
    ) -> None:
        await self.lose_deployment(world)
        await self.fails(world, DOWN, after=0.0)
        world.cluster.fail("patch_status", api.RISKPREDICTOR, BUSY)
        world.time += datetime.timedelta(seconds=PATIENCE_SECONDS)
        world.cluster.fail("apply", api.DEPLOYMENT, DOWN)
        with pytest.raises(ApiError) as raised:
            await world.reconcile()
        assert raised.value is DOWN

    async def test_success_in_between_starts_the_patience_anew(self, world: World) -> None:
        await self.lose_deployment(world)
        await self.fails(world, self.WEBHOOK, after=0.0)
        await world.reconcile()
        await self.lose_deployment_again(world)
        await self.fails(world, self.WEBHOOK, after=PATIENCE_SECONDS)
        assert world.reason() != reasons.APPLY_FAILED

    async def lose_deployment_again(self, world: World) -> None:
        world.cluster.remove(api.DEPLOYMENT, KEY)
        await world.sync()


MALFORMED = ApiError(
    500, "InternalError",
    "failed to create typed patch object (shop/risk; apps/v1, Kind=Deployment): "
    ".spec.template.spec.affinity.nodeAfinity: field not declared in schema",
)  # fmt: skip


async def test_a_manifest_that_fits_no_schema_is_not_tried_for_ever(world: World) -> None:
    """The API server calls that its own failure, but only a change of the spec mends it."""
    world.cluster.fail("apply", api.DEPLOYMENT, MALFORMED)
    assert await world.reconcile() == 30.0
    assert world.reason() == reasons.APPLY_REFUSED
    assert "field not declared" in str(world.status["conditions"])


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("get", api.SERVICE), ("get", api.RISKPREDICTOR), ("list", api.POD)],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
async def test_a_read_that_is_refused_is_told(world: World, verb: str, resource: Resource) -> None:
    refusal = 'services is forbidden: User "operator" cannot get resource'
    world.cluster.fail(verb, resource, ApiError(403, "Forbidden", refusal))
    assert await world.reconcile() == 30.0
    assert world.reason() == reasons.FORBIDDEN
    await world.settle()
    assert world.reason() == reasons.READY


async def test_an_object_that_appears_after_the_look_is_not_taken_over(world: World) -> None:
    theirs = {
        "apiVersion": "v1", "kind": "Service", "metadata": {
            "name": KEY.name, "namespace": KEY.namespace, "uid": "theirs", "generation": 1,
        }, "spec": {"selector": {"mine": "yes"}},
    }  # fmt: skip

    def appear(call: Call) -> None:
        if call.verb == "apply" and KEY not in world.cluster.objects[api.SERVICE]:
            world.cluster.store(api.SERVICE, theirs)

    world.cluster.on_call = appear
    with pytest.raises(ApiError, match="409"):
        await world.reconcile()
    assert world.live(api.SERVICE)["spec"] == {"selector": {"mine": "yes"}}
    world.cluster.on_call = lambda _: None
    await world.reconcile()
    assert world.reason() == reasons.NOT_OWNED
    world.cluster.remove(api.SERVICE, KEY)  # of which no watch tells, for it has no label of ours
    await world.reconcile()
    assert world.live(api.SERVICE)["metadata"]["uid"] != "theirs"


async def test_once_mended_it_goes_on(world: World) -> None:
    world.cluster.fail("apply", api.SERVICE, INVALID)
    await world.reconcile()
    await world.settle()
    assert world.reason() == reasons.READY


@each_child
@pytest.mark.parametrize("error", [BUSY, DOWN, conflict(), GOING], ids=str)
async def test_what_passes_is_raised_for_the_worker(
    world: World, resource: Resource, error: ApiError
) -> None:
    world.cluster.fail("apply", resource, error)
    with pytest.raises(ApiError) as caught:
        await world.reconcile()
    assert caught.value is error


async def test_a_later_stage_waits_for_the_one_before(world: World) -> None:
    await world.settle()
    world.declare(replicas=3)
    await world.sync()
    world.cluster.fail("delete", api.AUTOSCALER, FORBIDDEN)
    await world.reconcile()
    assert world.take_writes() == ["delete HorizontalPodAutoscaler", "patch_status RiskPredictor"]
    assert world.reason() == reasons.FORBIDDEN


async def test_after_a_conflict_the_child_is_read_again(world: World) -> None:
    await world.settle()
    stale = world.live(api.SERVICE)
    world.edit(api.SERVICE, lambda body: body["spec"].update(selector={}))
    await world.sync()
    world.cluster.remove(api.SERVICE, KEY)
    world.cluster.store(api.SERVICE, {**stale, "metadata": {**stale["metadata"], "uid": "new"}})
    with pytest.raises(ApiError, match="Conflict"):
        await world.reconcile()
    seen = world.cache.get(api.SERVICE, KEY)
    assert seen is not None
    assert seen["metadata"]["uid"] == "new"


async def test_after_a_conflict_a_child_that_is_gone_is_forgotten(world: World) -> None:
    await world.settle()
    world.edit(api.SERVICE, lambda body: body["spec"].update(selector={}))
    await world.sync()
    world.cluster.remove(api.SERVICE, KEY)
    with pytest.raises(ApiError, match="Conflict"):
        await world.reconcile()
    assert world.cache.get(api.SERVICE, KEY) is None
    await world.reconcile()
    assert KEY in world.cluster.objects[api.SERVICE]


async def test_an_object_of_the_same_name_that_is_another_is_not_deleted(world: World) -> None:
    await world.settle()
    world.declare(replicas=3)
    await world.sync()
    stranger = world.live(api.AUTOSCALER)
    world.cluster.remove(api.AUTOSCALER, KEY)
    world.cluster.store(
        api.AUTOSCALER, {**stranger, "metadata": {**stranger["metadata"], "uid": "new"}}
    )
    with pytest.raises(ApiError, match="Conflict"):
        await world.reconcile()
    assert world.live(api.AUTOSCALER)["metadata"]["uid"] == "new"


async def test_a_status_for_a_predictor_that_was_replaced_is_not_written(world: World) -> None:
    await world.settle()
    world.pods_up(1)
    await world.sync()

    def replace(call: Call) -> None:
        if call.verb == "patch_status":
            world.cluster.on_call = lambda _: None
            world.edit(api.RISKPREDICTOR, lambda body: body["metadata"].update(uid="new"))

    world.cluster.on_call = replace
    before = world.status
    with pytest.raises(ApiError, match="Conflict"):
        await world.reconcile()
    assert world.status == before


async def test_a_lost_event_does_not_fail_a_pass(world: World) -> None:
    world.cluster.fail("create", api.EVENT, FORBIDDEN)
    assert await world.reconcile() is not None
    assert world.reason() == reasons.ROLLING_OUT


async def test_without_the_lease_nothing_is_written(world: World) -> None:
    def refuse() -> None:
        raise LeadershipLostError("not the leader")

    world.cluster.before_write = refuse
    with pytest.raises(LeadershipLostError):
        await world.reconcile()
    assert world.cluster.writes() == []
    assert not any(world.cluster.objects[resource] for resource in api.CHILDREN)


class Case:
    """A worker on a queue whose reconcile does as told."""

    def __init__(self, *outcomes: Exception | float | None) -> None:
        self.queue: WorkQueue[Key] = WorkQueue(Backoff(base=0.001, limit=0.002))
        self.outcomes = list(outcomes)
        self.seen: list[Key] = []
        self.delays: list[float] = []
        self.workers = Workers(self.queue, self.reconcile, 1)
        add_after = self.queue.add_after

        def spy(key: Key, seconds: float) -> None:
            self.delays.append(seconds)
            add_after(key, min(seconds, 0.001))

        self.queue.add_after = spy  # type: ignore[method-assign]

    async def reconcile(self, key: Key) -> float | None:
        self.seen.append(key)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run(self) -> None:
        """Work until every outcome was used and nothing is left to do."""
        self.workers.start()
        self.queue.add(KEY)
        await eventually(lambda: not (self.outcomes or self.queue.busy or len(self.queue)))
        await asyncio.sleep(0.01)
        await self.workers.drain(30.0)


class TestWorker:
    @pytest.mark.parametrize(
        ("error", "least"),
        [
            pytest.param(DOWN, 0.0, id="no answer"),
            pytest.param(conflict(), 0.0, id="conflict"),
            pytest.param(BUSY, 7.0, id="as long as the server asks"),
            pytest.param(INVALID, SLOW_RETRY_SECONDS, id="slowly where a person must mend it"),
            pytest.param(RuntimeError("bug"), 0.0, id="a bug"),
        ],
    )
    async def test_it_is_tried_again(self, error: Exception, least: float) -> None:
        case = Case(error, None)
        await case.run()
        assert case.seen == [KEY, KEY]
        assert len(case.delays) == 1
        assert case.delays[0] >= least

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(GOING, id="namespace going"),
            pytest.param(ApiError(404, "NotFound", "gone"), id="predictor gone"),
            pytest.param(LeadershipLostError("lost"), id="another replica leads"),
        ],
    )
    async def test_it_is_dropped(self, error: Exception) -> None:
        case = Case(error)
        await case.run()
        assert (case.seen, case.delays) == ([KEY], [])

    @pytest.mark.parametrize(("again", "delays"), [(None, []), (2.0, [2.0]), (0.0, [0.0])])
    async def test_after_a_pass_it_comes_again_when_the_pass_says_so(
        self, again: float | None, delays: list[float]
    ) -> None:
        case = Case(again, *([None] * len(delays)))
        await case.run()
        assert case.delays == delays

    async def test_success_resets_the_back_off(self) -> None:
        case = Case(DOWN, DOWN, DOWN, 0.0, DOWN, None)
        case.queue._backoff = Backoff(base=1.0, limit=64.0)
        await case.run()
        assert case.delays[2] > 1.9
        assert case.delays[4] <= 1.0

    async def test_one_predictors_bug_does_not_stop_the_others(self) -> None:
        case = Case(RuntimeError("bug"), None, None)
        case.queue.add(Key("shop", "other"))
        await case.run()
        assert Key("shop", "other") in case.seen

    async def test_thousands_of_passes_without_a_wait_hold_up_nobody(self) -> None:
        """Or a restart on a large settled cluster would cost the lease that it just won."""
        done: list[Key] = []

        async def settled(key: Key) -> None:
            done.append(key)

        queue: WorkQueue[Key] = WorkQueue()
        for number in range(1000):
            queue.add(Key("shop", f"risk-{number}"))
        workers = Workers(queue, settled, 4)
        workers.start()
        turns = 0
        while len(done) < 1000:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        await workers.drain(0.1)

    async def test_drain_lets_a_pass_finish_within_its_time(self) -> None:
        finished = asyncio.Event()

        async def slow(_: Key) -> None:
            await asyncio.sleep(0.02)
            finished.set()

        queue: WorkQueue[Key] = WorkQueue()
        workers = Workers(queue, slow, 2)
        workers.start()
        queue.add(KEY)
        await asyncio.sleep(0.005)
        await workers.drain(30.0)
        assert finished.is_set()

    async def test_drain_ends_what_takes_longer(self) -> None:
        async def stuck(_: Key) -> None:
            await asyncio.Event().wait()

        queue: WorkQueue[Key] = WorkQueue()
        workers = Workers(queue, stuck, 1)
        workers.start()
        queue.add(KEY)
        await asyncio.sleep(0.005)
        async with asyncio.timeout(15):
            await workers.drain(0.01)

    async def test_a_dead_worker_is_noticed(self) -> None:
        async def fatal(_: Key) -> None:
            raise asyncio.CancelledError

        queue: WorkQueue[Key] = WorkQueue()
        workers = Workers(queue, fatal, 2)
        workers.start()
        queue.add(KEY)
        async with asyncio.timeout(15):
            await workers.died()
        await workers.drain(0.1)
