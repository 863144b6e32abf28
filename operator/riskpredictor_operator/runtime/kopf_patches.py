"""Patches of kopf 1.45.2 for what it has no setting for; applied by watch.py while it runs kopf.

Each public function below but ``patched`` is one patch: most wrap a function of kopf's.
tests/unit/operator/test_kopf_patches.py shows what each is for on kopf as it is, so that a test
fails when a new version no longer needs the patch. docs/decisions/0013 has the reasons and the
alternatives.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from types import ModuleType
from typing import Any

import aiohttp
import kopf
from kopf._cogs.clients import errors, watching

logger = logging.getLogger(__name__)

Watch = Callable[..., AsyncGenerator[Any]]
"""``kopf._cogs.clients.watching.continuous_watch``, or a wrapper of it."""
Check = Callable[[aiohttp.ClientResponse], Awaitable[None]]

CONNECTION_ERRORS = (errors.APIError, kopf.LoginError, aiohttp.ClientError, OSError)
"""Errors that kopf logs with a traceback although the message is enough. They are here for
``logs.configure``, because logs.py does not import kopf."""
RESTART_SECONDS = (0.5, 1.5)
"""Bounds of the pause before a watch starts over; random, so that all do not list at once."""
NOT_SERVED_SECONDS = 5.0
"""The same where the resource is not served: its CustomResourceDefinition was deleted."""


@contextmanager
def patched(
    on_event: Callable[[str, str | None, Any], bool], on_listed: Callable[[str], None]
) -> Iterator[None]:
    """All patches, for the length of the block; the callbacks are those of ``tap_events``."""

    def watch(original: Watch) -> Watch:
        return tap_events(restart_after_errors(hide_pauses(original)), on_event, on_listed)

    with (
        leave_signals_alone(),
        _replaced(errors, "check_response", ignore_retry_after_dates),
        _replaced(watching, "continuous_watch", watch),
    ):
        yield


@contextmanager
def _replaced(module: ModuleType, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    original = vars(module)[name]
    vars(module)[name] = wrap(original)
    try:
        yield
    finally:
        vars(module)[name] = original


@contextmanager
def leave_signals_alone() -> Iterator[None]:
    """Keeps kopf from handling signals, which stopping.py does from the first moment to the last.

    kopf 1.45.2 handles them through the event loop, where a second signal fails on a future that
    the first one has set, and a traceback is logged.
    """
    loop = vars(asyncio.get_running_loop())

    def leave_alone(*_: Any) -> None:
        return

    loop["add_signal_handler"] = leave_alone
    try:
        yield
    finally:
        del loop["add_signal_handler"]


def ignore_retry_after_dates(check_response: Check) -> Check:
    """Drops a Retry-After that is a date (RFC 9110, section 10.2.3) from an answer 429.

    kopf 1.45.2 takes it for a number and ends the operator, on any request; without it, kopf waits
    as long as its own back-off says. Wraps ``kopf._cogs.clients.errors.check_response``.
    """

    async def checking(response: aiohttp.ClientResponse) -> None:
        try:
            await check_response(response)
        except errors.APITooManyRequestsError as error:
            if not error.headers.get("Retry-After", "0").isdigit():
                del error.headers["Retry-After"]
            raise

    return checking


def restart_after_errors(watch: Watch) -> Watch:
    """Starts a watch over after errors on which kopf 1.45.2 ends the whole operator.

    Those are an ERROR event other than 410, a line or list that is no JSON, a page of a list that
    expired (410), and 404 while a CustomResourceDefinition is away. Wraps ``continuous_watch``,
    which lists and then watches one resource; kopf calls it again when it returns.
    """

    async def restarting(*, resource: Any, **rest: Any) -> AsyncGenerator[Any]:
        pause = random.uniform(*RESTART_SECONDS)  # noqa: S311 - spreads load
        try:
            async with aclosing(watch(resource=resource, **rest)) as events:
                async for event in events:
                    yield event
        except errors.APIClientError as error:
            if error.status not in (404, 410):
                raise
            if error.status == 404:
                logger.warning("%s are not served: apply their CRD again", resource.plural)
                pause = NOT_SERVED_SECONDS
        except (watching.WatchingError, aiohttp.ContentTypeError, ValueError) as error:
            logger.warning("watching %s: %s; starting over", resource.plural, error)
        else:
            return
        await asyncio.sleep(pause)

    return restarting


def hide_pauses(watch: Watch) -> Watch:
    """Keeps the future of kopf's pauses from a watch: without peering nothing ever pauses.

    When kopf 1.45.2 ends, it cancels that future. If a request of the watch is pending then, a
    callback of the future fails on an assertion, and a traceback is logged.
    """

    def watching(*, operator_pause_waiter: Any, **rest: Any) -> AsyncGenerator[Any]:
        del operator_pause_waiter
        return watch(operator_pause_waiter=asyncio.get_running_loop().create_future(), **rest)

    return watching


def tap_events(
    watch: Watch,
    on_event: Callable[[str, str | None, Any], bool],
    on_listed: Callable[[str], None],
) -> Watch:
    """Hands events to ``on_event`` before kopf 1.45.2 starts a task per object for each of them.

    Most events change nothing (echoes of own writes, an autoscaler's metrics, objects of a repeated
    list), and an event that goes through kopf costs ten times as much as the callback.

    Args:
        watch: the watch to wrap.
        on_event: gets the plural, ADDED, MODIFIED, DELETED or None (from a list), and the object;
            returns whether kopf gets the event too.
        on_listed: gets the plural after each list that a watch begins with.
    """

    async def tapped(*, resource: Any, **rest: Any) -> AsyncGenerator[Any]:
        plural = resource.plural
        async with aclosing(watch(resource=resource, **rest)) as events:
            async for event in events:
                if event is watching.Bookmark.LISTED:
                    on_listed(plural)
                elif event["type"] != "BOOKMARK" and not on_event(
                    plural, event["type"], event["object"]
                ):
                    continue
                yield event

    return tapped
