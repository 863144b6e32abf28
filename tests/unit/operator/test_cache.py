"""Specification of the cache: the newest state of an object wins, and deletions count."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import KEY, Object, manifests, predictor
from unit.operator.live_objects import live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.observed import trim
from riskpredictor_operator.runtime.cache import Cache


def service(version: int, *, uid: str = "one", **spec: Any) -> Object:
    body = live(api.SERVICE, manifests(predictor())[api.SERVICE], uid=uid, version=version)
    return {**body, "spec": {**body["spec"], **spec}}


@pytest.fixture
def cache() -> Cache:
    return Cache(api.WATCHED, trim)


def version(cache: Cache) -> str:
    known = cache.get(api.SERVICE, KEY)
    return "" if known is None else str(known["metadata"]["resourceVersion"])


def test_a_new_object_is_a_change(cache: Cache) -> None:
    assert cache.put(api.SERVICE, service(5))
    assert (version(cache), cache.count(api.SERVICE)) == ("5", 1)
    assert list(cache.keys(api.SERVICE)) == [KEY]
    assert set(cache.versions(api.SERVICE)) == {"one"}


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param(5, 9, "9", id="newer"),
        pytest.param(9, 10, "10", id="newer by number, not by text"),
        pytest.param(9, 5, "9", id="older"),
        pytest.param(9, 9, "9", id="the same"),
    ],
)
def test_the_newest_state_wins(cache: Cache, first: int, second: int, kept: str) -> None:
    cache.put(api.SERVICE, service(first))
    assert cache.put(api.SERVICE, service(second, type="NodePort")) == (second > first)
    assert version(cache) == kept


def test_a_newer_state_without_a_difference_is_no_change(cache: Cache) -> None:
    cache.put(api.SERVICE, service(5))
    assert not cache.put(api.SERVICE, service(6))
    assert version(cache) == "6"


def test_a_deleted_object_is_forgotten(cache: Cache) -> None:
    assert not cache.drop(api.SERVICE, service(5)), "unknown"
    cache.put(api.SERVICE, service(9, uid="two"))
    assert cache.get(api.DEPLOYMENT, KEY) is None
    assert not cache.drop(api.SERVICE, service(7, uid="one")), "an earlier one of that name"
    assert version(cache) == "9"
    assert cache.drop(api.SERVICE, service(10, uid="two"))
    assert cache.get(api.SERVICE, KEY) is None


@pytest.mark.parametrize(
    ("listed", "known_before", "gone"),
    [
        pytest.param([], {"one"}, True, id="a list does not show it"),
        pytest.param(["one"], {"one"}, False, id="it does"),
        pytest.param([], set(), False, id="it came after the list was requested"),
    ],
)
def test_what_a_list_does_not_show_is_forgotten(
    cache: Cache, listed: list[str], known_before: set[str], gone: bool
) -> None:
    cache.put(api.SERVICE, service(5))
    assert cache.prune(api.SERVICE, listed, known_before) == ([KEY] if gone else [])
    assert version(cache) == ("" if gone else "5")


class TestDeletion:
    @pytest.mark.parametrize("known", [True, False])
    def test_a_late_answer_does_not_bring_the_object_back(self, cache: Cache, known: bool) -> None:
        """A write was answered, then the object deleted; the watch was quicker than the answer."""
        if known:
            cache.put(api.SERVICE, service(5))
        cache.drop(api.SERVICE, service(7))
        assert not cache.put(api.SERVICE, service(6))
        assert version(cache) == ""

    @pytest.mark.parametrize("version_then", [7, 8], ids=["read as it left", "given back"])
    def test_one_that_only_lost_its_label_can_come_back(
        self, cache: Cache, version_then: int
    ) -> None:
        cache.put(api.SERVICE, service(5))
        cache.drop(api.SERVICE, service(7))
        assert cache.put(api.SERVICE, service(version_then))

    def test_a_new_object_of_the_name_is_another(self, cache: Cache) -> None:
        cache.drop(api.SERVICE, service(7))
        assert cache.put(api.SERVICE, service(6, uid="two"))

    def test_what_is_remembered_of_deletions_is_bounded(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("riskpredictor_operator.runtime.cache.REMEMBERED_DELETIONS", 3)
        for number in range(10):
            cache.drop(api.SERVICE, service(7, uid=str(number)))
        assert list(cache._gone) == ["7", "8", "9"]
