"""Specification of watching: what an event changes, what is queued, and how kopf is set up."""

from __future__ import annotations

import itertools
from typing import Any, cast

import kopf
import pytest
from unit.operator.builders import KEY, Object, manifests, predictor
from unit.operator.harness import Harness
from unit.operator.live_objects import live

from riskpredictor_operator.core import api
from riskpredictor_operator.runtime.watch import Backoffs, Watcher


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture
def watcher(harness: Harness) -> Watcher:
    return Watcher(harness.cache, harness.queue, harness.relister, api.WATCHED)


def service(version: int = 5) -> Object:
    return live(api.SERVICE, manifests(predictor())[api.SERVICE], version=version)


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", None], ids=str)
def test_a_change_is_kept_and_handled(harness: Harness, watcher: Watcher, kind: str | None) -> None:
    assert watcher.on_event("riskpredictors", kind, predictor())
    assert harness.cache.get(api.RISKPREDICTOR, KEY) is not None
    assert watcher.on_event("services", kind, service())


def test_the_echo_of_an_own_write_is_not(harness: Harness, watcher: Watcher) -> None:
    harness.cache.put(api.SERVICE, service(5))
    assert not watcher.on_event("services", "MODIFIED", service(5))
    assert not watcher.on_event("services", "MODIFIED", service(4))


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_deletion_is_kept_and_handled(harness: Harness, watcher: Watcher, known: bool) -> None:
    if known:
        harness.cache.put(api.SERVICE, service())
    assert watcher.on_event("services", "DELETED", service(6))
    assert harness.cache.get(api.SERVICE, KEY) is None


def test_what_kopf_watches_for_itself_is_its_own(harness: Harness, watcher: Watcher) -> None:
    assert watcher.on_event("namespaces", "MODIFIED", service())
    watcher.on_listed("namespaces")
    assert not harness.relister._requested.is_set()


def test_a_watch_that_begins_anew_has_everything_listed(harness: Harness, watcher: Watcher) -> None:
    """What was deleted before is in no event, and an empty list brings no object either."""
    watcher.on_listed("services")
    assert harness.relister._requested.is_set()


async def test_what_is_handled_is_queued(harness: Harness, watcher: Watcher) -> None:
    registry = kopf.OperatorRegistry()
    watcher.register(registry)
    handlers = registry._watching.get_all_handlers()
    assert len(handlers) == len(api.WATCHED)
    for handler in handlers:
        await cast(Any, handler.fn)(event={"type": "ADDED", "object": service()})
        assert await harness.queue.get() == KEY
        harness.queue.done(KEY)


def test_only_events_are_handled_so_no_finalizer_and_no_annotation_is_ever_written(
    watcher: Watcher,
) -> None:
    registry = kopf.OperatorRegistry()
    watcher.register(registry)
    assert registry._changing.get_all_handlers() == []
    assert registry._spawning.get_all_handlers() == []


def test_the_watches_outlive_an_api_server_that_is_away_for_hours(watcher: Watcher) -> None:
    settings = watcher.settings(10.0)
    pauses = list(itertools.islice(cast(Backoffs, settings.networking.error_backoffs), 500))
    assert max(pauses) <= 30.0
    assert sum(pauses) > 2 * 3600
    assert next(iter(Backoffs())) <= 0.2, "each request starts anew"


def test_what_kopf_is_not_to_do(watcher: Watcher) -> None:
    settings = watcher.settings(10.0)
    assert settings.peering.standalone
    assert not settings.posting.enabled
    selected = {str(selector.any_name) for selector in settings.watching.label_selectors}
    assert selected == {resource.plural for resource in api.CHILDREN}
