"""When a store is asked again, and when no more; on a clock of the test's own."""

from __future__ import annotations

import pytest

from riskpredictor_server.store.errors import NOT_FOUND, StoreError, TransientError
from riskpredictor_server.store.http import seconds_to_wait
from riskpredictor_server.store.retry import ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE, Retries


class Clock:
    """Time that passes only in pauses and attempts."""

    def __init__(self) -> None:
        self.now, self.pauses = 100.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Store:
    """Fails with what it is given, then answers."""

    def __init__(self, clock: Clock, *failures: Exception, takes: float = 0.0) -> None:
        self._clock, self._failures, self._takes = clock, list(failures), takes
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        self._clock.now += self._takes
        if self._failures:
            raise self._failures.pop(0)
        return "answer"


def retries(clock: Clock, seconds: float = 60.0, jitter: float = 1.0) -> Retries:
    """``jitter``: where between its bounds each pause is, 0 to 1."""
    return Retries(
        seconds,
        clock=lambda: clock.now,
        sleep=clock.sleep,
        uniform=lambda low, high: low + jitter * (high - low),
    )


BUSY = TransientError("busy")


def test_an_answer_needs_one_attempt() -> None:
    clock = Clock()
    assert retries(clock).call("GET x", Store(clock)) == "answer"
    assert clock.pauses == []


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_pauses_are_between_nothing_and_a_bound_that_doubles(jitter: float) -> None:
    clock = Clock()
    store = Store(clock, *[BUSY] * (ATTEMPTS - 1))
    assert retries(clock, jitter=jitter).call("GET x", store) == "answer"
    assert clock.pauses == [jitter * FIRST_PAUSE * 2**n for n in range(ATTEMPTS - 1)]
    assert max(clock.pauses) <= LONGEST_PAUSE


def test_after_the_last_attempt_the_last_failure_is_told() -> None:
    clock = Clock()
    store = Store(clock, *[BUSY] * 4, TransientError("down"), BUSY)
    with pytest.raises(StoreError, match=r"^GET x: down; 5 attempts failed$") as raised:
        retries(clock).call("GET x", store)
    assert raised.value.reason == "ModelFetchFailed"
    assert store.asked == ATTEMPTS


def test_a_store_that_names_a_time_is_asked_then() -> None:
    clock = Clock()
    store = Store(clock, TransientError("busy", retry_after=7.0), TransientError("busy", 0.0))
    assert retries(clock).call("GET x", store) == "answer"
    assert clock.pauses == [7.0, 0.0]


def test_a_time_after_the_deadline_is_not_waited_for() -> None:
    clock = Clock()
    store = Store(clock, TransientError("busy", retry_after=60.0))
    with pytest.raises(StoreError, match=r"GET x: busy; the time for the whole fetch, 60 s"):
        retries(clock).call("GET x", store)
    assert clock.pauses == []


def test_a_pause_that_took_too_long_hides_no_failure() -> None:
    clock = Clock()
    store = Store(clock, BUSY)
    trying = Retries(10, clock=lambda: clock.now, sleep=lambda _: clock.sleep(11), uniform=max)
    with pytest.raises(StoreError, match=r"^GET x: busy; the time for the whole fetch, 10 s, is"):
        trying.call("GET x", store)
    assert store.asked == 1


def test_the_deadline_is_of_all_calls_together() -> None:
    clock = Clock()
    of_a_fetch = retries(clock, seconds=10)
    assert of_a_fetch.call("GET x", Store(clock, takes=9)) == "answer"
    assert of_a_fetch.left() == 1
    assert of_a_fetch.call("GET y", Store(clock, takes=1)) == "answer"
    last = Store(clock)
    with pytest.raises(StoreError, match="GET z; the time for the whole fetch, 10 s, is over"):
        of_a_fetch.call("GET z", last)
    assert last.asked == 0


@pytest.mark.parametrize(
    "error", [StoreError(NOT_FOUND, "nothing there"), KeyError("bug")], ids=["refusal", "fault"]
)
def test_what_does_not_pass_by_itself_is_not_tried_again(error: Exception) -> None:
    clock = Clock()
    store = Store(clock, error)
    with pytest.raises(type(error)):
        retries(clock).call("GET x", store)
    assert store.asked == 1


def test_each_further_attempt_is_reported() -> None:
    clock, told = Clock(), list[str]()
    trying = Retries(
        60, clock=lambda: clock.now, sleep=clock.sleep, uniform=max, report=told.append
    )
    trying.call("GET x", Store(clock, BUSY, BUSY))
    assert told == [
        "GET x: busy; attempt 1 of 5, next in 0.5 s",
        "GET x: busy; attempt 2 of 5, next in 1.0 s",
    ]


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("7", 7.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(field: str, seconds: float | None) -> None:
    assert seconds_to_wait(field, now=1_445_412_480.0) == seconds
