"""Specification of watching and resync: what is queued, what is forgotten, what asks for a list."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest
from kopf._cogs.clients import api as kopf_api
from kopf._cogs.clients import watching as kopf_watching
from kopf._core.reactor import queueing as kopf_queueing
from unit.operator.builders import KEY, Object, changed, manifests, predictor
from unit.operator.eventually import eventually
from unit.operator.live import live
from unit.operator.world import World

from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Key
from riskpredictor_operator.core.errors import ApiError, ClusterRestoredError
from riskpredictor_operator.runtime import watch
from riskpredictor_operator.runtime.kopf_patches import Backoffs
from riskpredictor_operator.runtime.watch import Watcher, configure

DOWN = ApiError(0, "Unreachable", "connection refused")


class Watched(World):
    """A world whose operator also hears events."""

    def restart(self) -> None:
        super().restart()
        self.watcher = Watcher(self.cache, self.queue, self.resync)

    def queued(self) -> list[Key]:
        return sorted(self.queue._ready)


@pytest.fixture
def world() -> Watched:
    return Watched()


def service(version: int = 5) -> Object:
    return live(api.SERVICE, manifests(predictor())[api.SERVICE], version=version)


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", None], ids=str)
def test_a_change_is_kept_and_handled(world: Watched, kind: str | None) -> None:
    assert world.watcher.hear("riskpredictors", kind, predictor())
    assert world.cache.get(api.RISKPREDICTOR, KEY) is not None


def test_a_childs_change_is_handled(world: Watched) -> None:
    assert world.watcher.hear("services", "MODIFIED", service())


def test_the_echo_of_an_own_write_is_not(world: Watched) -> None:
    world.cache.put(api.SERVICE, service(5))
    assert not world.watcher.hear("services", "MODIFIED", service(5))
    assert not world.watcher.hear("services", "MODIFIED", service(4))


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_deletion_is_kept_and_handled(world: Watched, known: bool) -> None:
    if known:
        world.cache.put(api.SERVICE, service())
    assert world.watcher.hear("services", "DELETED", service(6))
    assert world.cache.get(api.SERVICE, KEY) is None


async def test_what_is_handled_is_queued(world: Watched) -> None:
    registry = kopf.OperatorRegistry()
    world.watcher.register(registry)
    for handler in registry._watching.get_all_handlers():
        world.queue._dirty.clear()
        world.queue._ready.clear()
        await cast(Any, handler.fn)(event={"type": "ADDED", "object": service()})
        assert world.queued() == [KEY]


class TestPace:
    """Of the watches, the autoscalers' rests after what tells nothing."""

    class Connection:
        """Counts the pauses."""

        def __init__(self) -> None:
            self.transport = self
            self.pauses = 0

        def is_closing(self) -> bool:
            return False

        def pause_reading(self) -> None:
            self.pauses += 1

        def resume_reading(self) -> None:
            """Nothing is read."""

    async def pauses(
        self, world: Watched, monkeypatch: pytest.MonkeyPatch, plural: str, connection: Any
    ) -> None:
        async def request(*_: Any, **__: Any) -> Any:
            return SimpleNamespace(connection=connection)

        async def infinite_watch(**_: Any) -> AsyncIterator[Any]:
            await cast(Any, kopf_api).request("get", f"/apis/any/v1/{plural}?watch=true")
            for _repeated in range(3):
                yield {"type": "MODIFIED", "object": service()}

        monkeypatch.setattr(kopf_api, "request", request)
        monkeypatch.setattr(kopf_watching, "infinite_watch", infinite_watch)
        with world.watcher.listening():
            stream = cast(Any, kopf_watching.infinite_watch)
            seen = [event async for event in stream(resource=SimpleNamespace(plural=plural))]
        assert len(seen) == 1

    @pytest.mark.parametrize(
        ("plural", "wanted"), [("horizontalpodautoscalers", 1), ("services", 0)]
    )
    async def test_only_that_of_autoscalers(
        self, world: Watched, monkeypatch: pytest.MonkeyPatch, plural: str, wanted: int
    ) -> None:
        connection = self.Connection()
        await self.pauses(world, monkeypatch, plural, connection)
        assert connection.pauses == wanted

    async def test_an_answer_that_is_complete_at_once_has_no_connection_any_more(
        self, world: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.pauses(world, monkeypatch, "horizontalpodautoscalers", None)


class TestWhatKopfSees:
    """Of the events of a watch, kopf gets those that tell something new."""

    @pytest.fixture
    def told(self, world: Watched, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        async def infinite_watch(*, events: list[Any], **_: Any) -> AsyncIterator[Any]:
            for event in events:
                yield event

        monkeypatch.setattr(kopf_watching, "infinite_watch", infinite_watch)

        async def told(plural: str, events: list[Any]) -> list[Any]:
            with world.watcher.listening():
                stream = cast(Any, kopf_watching.infinite_watch)
                resource = SimpleNamespace(plural=plural)
                return [event async for event in stream(resource=resource, events=events)]

        return told

    async def test_news_only(self, told: Callable[..., Any]) -> None:
        listed, same, other = (
            {"type": kind, "object": body}
            for kind, body in (
                (None, service(5)),
                ("MODIFIED", service(6)),
                ("MODIFIED", changed(service(7), "NodePort", "spec", "type")),
            )
        )
        assert await told("services", [listed, same, other]) == [listed, other]

    async def test_marks_pass(self, told: Callable[..., Any]) -> None:
        bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
        marks = [kopf_watching.Bookmark.LISTED, bookmark]
        assert await told("services", marks) == marks

    async def test_what_kopf_watches_for_itself_passes(self, told: Callable[..., Any]) -> None:
        event = {"type": "MODIFIED", "object": service()}
        assert await told("namespaces", [event, event]) == [event, event]

    def test_kopf_still_asks_for_its_events_there(self) -> None:
        """queueing.watcher looks the function up in its module, each time anew."""
        assert vars(kopf_queueing)["watching"] is kopf_watching
        assert "watching.infinite_watch(" in inspect.getsource(kopf_queueing.watcher)


class TestSignsOfLife:
    """A dead watch is told from a quiet one, and from an API server that is away."""

    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        by_hand = [1000.0]
        fake = SimpleNamespace(monotonic=lambda: by_hand[0], time=time.time)
        monkeypatch.setattr(watch, "time", fake)
        return by_hand

    def test_a_watch_that_stays_silent_is_named(self, world: Watched, now: list[float]) -> None:
        with world.watcher.listening():
            now[0] += watch.SILENCE_SECONDS / 2
            for plural in ("riskpredictors", "deployments", "horizontalpodautoscalers"):
                world.watcher.on_sign(plural, listed=False)
            assert world.watcher.silent(answered=now[0]) is None
            now[0] += watch.SILENCE_SECONDS / 2 + 1
            told = world.watcher.silent(answered=now[0])
            assert told == "the API server answers, but not the watch of services: 601 s"
            world.watcher.on_sign("services", listed=False)
            assert world.watcher.silent(answered=now[0]) is None

    def test_one_that_never_began_is_named(self, world: Watched, now: list[float]) -> None:
        with world.watcher.listening():
            now[0] += watch.SILENCE_SECONDS + 1
            assert "riskpredictors" in (world.watcher.silent(answered=now[0]) or "")

    def test_a_restart_does_not_mend_an_api_server_that_is_away(
        self, world: Watched, now: list[float]
    ) -> None:
        with world.watcher.listening():
            answered = now[0]
            now[0] += watch.SILENCE_SECONDS * 10
            assert world.watcher.silent(answered) is None

    def test_a_standby_watches_nothing(self, world: Watched, now: list[float]) -> None:
        with world.watcher.listening():
            pass
        now[0] += watch.SILENCE_SECONDS + 1
        assert world.watcher.silent(answered=now[0]) is None

    def test_a_watch_that_begins_anew_has_everything_listed(self, world: Watched) -> None:
        """What was deleted before is in no event, and an empty list brings no object either."""
        with world.watcher.listening():
            world.watcher.on_sign("services", listed=False)
            assert not world.resync._asked.is_set()
            world.watcher.on_sign("services", listed=True)
            assert world.resync._asked.is_set()

    def test_an_event_is_a_sign(self, world: Watched, now: list[float]) -> None:
        with world.watcher.listening():
            now[0] += watch.SILENCE_SECONDS + 1
            for resource in (api.RISKPREDICTOR, api.DEPLOYMENT, api.AUTOSCALER):
                world.watcher.on_sign(resource.plural, listed=False)
            assert "services" in (world.watcher.silent(answered=now[0]) or "")
            world.watcher.hear("services", "MODIFIED", service())
            assert world.watcher.silent(answered=now[0]) is None


def test_only_events_are_handled_so_no_finalizer_and_no_annotation_is_ever_written(
    world: Watched,
) -> None:
    registry = kopf.OperatorRegistry()
    world.watcher.register(registry)
    assert len(registry._watching.get_all_handlers()) == 4
    assert registry._changing.get_all_handlers() == []
    assert registry._spawning.get_all_handlers() == []


def test_the_watches_outlive_an_api_server_that_is_away_for_hours() -> None:
    settings = kopf.OperatorSettings()
    configure(settings, 10.0)
    pauses = list(itertools.islice(Backoffs(), 500))
    assert max(pauses) <= 30.0
    assert sum(pauses) > 2 * 3600
    assert next(iter(Backoffs())) <= 0.2, "each request starts anew"
    assert settings.peering.standalone
    assert not settings.posting.enabled
    selected = {str(selector.any_name) for selector in settings.watching.label_selectors}
    assert selected == {resource.plural for resource in api.CHILDREN}


class TestResync:
    async def test_everything_declared_is_queued(self, world: Watched) -> None:
        world.declare()
        world.cluster.store(api.RISKPREDICTOR, predictor("other", uid="other"))
        await world.resync.once()
        assert world.queued() == [Key("shop", "other"), KEY]

    async def test_on_the_side_only_what_changed_is_queued(self, world: Watched) -> None:
        world.declare()
        await world.settle()
        world.queue._ready.clear()
        world.queue._dirty.clear()
        await world.resync.once(everything=False)
        assert world.queued() == []
        world.cluster.edit(api.SERVICE, KEY, lambda body: body["spec"].update(type="NodePort"))
        await world.resync.once(everything=False)
        assert world.queued() == [KEY]

    async def test_a_change_that_was_missed_is_queued_although_the_next_list_fails(
        self, world: Watched
    ) -> None:
        world.declare()
        world.cluster.fail("list", api.SERVICE, DOWN)
        with pytest.raises(ApiError):
            await world.resync.once(everything=False)
        assert world.queued() == [KEY]

    async def test_a_deletion_that_was_missed_is_noticed(self, world: Watched) -> None:
        world.declare()
        await world.settle()
        world.cluster.remove(api.SERVICE, KEY)
        world.cluster.remove(api.RISKPREDICTOR, KEY)
        world.queue._ready.clear()
        world.queue._dirty.clear()
        await world.resync.once()
        assert world.cache.get(api.SERVICE, KEY) is None
        assert world.cache.get(api.RISKPREDICTOR, KEY) is None
        assert world.queued() == [KEY]

    @pytest.mark.parametrize("since", ["changed", "deleted"])
    async def test_a_state_older_than_the_known_one_ends_the_process(
        self, world: Watched, since: str
    ) -> None:
        world.declare()
        await world.settle()
        before = world.cluster.objects[api.SERVICE][KEY]
        if since == "changed":
            world.cluster.edit(api.SERVICE, KEY, lambda body: body["spec"].update(type="NodePort"))
            await world.resync.once()
        else:
            world.watcher.hear("services", "DELETED", world.cluster.remove(api.SERVICE, KEY))
        world.cluster.objects[api.SERVICE][KEY] = {
            **before, "metadata": {**before["metadata"], "resourceVersion": "2"}
        }  # fmt: skip
        with pytest.raises(ClusterRestoredError, match="services are older"):
            await world.resync.once()

    async def test_strangers_are_not_listed(self, world: Watched) -> None:
        stranger = service()
        stranger["metadata"]["labels"] = {}
        world.cluster.store(api.SERVICE, stranger)
        await world.resync.once()
        assert world.cache.count(api.SERVICE) == 0

    async def test_only_the_own_namespace_is_listed(self, world: Watched) -> None:
        world.declare()
        world.resync.namespace = "elsewhere"
        await world.resync.once()
        assert world.queued() == []

    async def test_asked_for_it_runs_soon_and_once(
        self, world: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("riskpredictor_operator.runtime.relist.SETTLE_SECONDS", 0.01)
        task = asyncio.create_task(world.resync.run())
        await asyncio.sleep(0)
        for _ in range(5):
            world.resync.ask()

        def lists() -> int:
            return [call.kind for call in world.cluster.calls].count("RiskPredictor")

        await eventually(lists)
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert lists() == 1

    async def test_being_asked_again_and_again_does_not_put_off_the_look_at_everything(
        self, world: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("riskpredictor_operator.runtime.relist.SETTLE_SECONDS", 0.001)
        world.declare()
        await world.resync.once()
        assert await world.queue.get() == KEY
        world.queue.done(KEY)
        world.resync.every = 0.2
        task = asyncio.create_task(world.resync.run())

        def queued() -> list[Key]:
            world.resync.ask()
            return world.queued()

        await eventually(queued)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def test_a_failure_is_tried_again(
        self, world: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("riskpredictor_operator.runtime.relist.SETTLE_SECONDS", 0.001)
        monkeypatch.setattr("riskpredictor_operator.runtime.relist.RETRY_SECONDS", 0.001)
        world.declare()
        world.cluster.fail("list", api.SERVICE, DOWN, times=2)
        task = asyncio.create_task(world.resync.run())
        world.resync.ask()
        await eventually(world.queued)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
