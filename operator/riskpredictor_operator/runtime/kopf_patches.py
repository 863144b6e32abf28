"""kopf's requests and watch streams, overheard and made to outlive what a server can do to them.

The one place that reaches into kopf: it has no hooks for this. It ends the process on an error
inside a stream, a line that is no JSON, a Retry-After that is a date, and a kind that is not served
for a while; and nothing else tells a quiet watch from a dead one. Its version is pinned, and tests
hold it to what is relied upon here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import kopf
from kopf._cogs.clients import api as kopf_api
from kopf._cogs.clients import watching as kopf_watching
from kopf._cogs.clients.errors import APIClientError, APIError

from riskpredictor_operator.core import api
from riskpredictor_operator.runtime.pace import Pace

logger = logging.getLogger(__name__)

PASSING = (APIError, kopf.LoginError, aiohttp.ClientError, OSError)
"""What the API server or the network did: a traceback would tell nothing more."""

_LIST_AGAIN = {"type": "ERROR", "object": {"code": 410}}
"""On which kopf starts a watch over with a new list."""


class Backoffs:
    """Endless, re-iterable pauses in seconds between tries to reach the API server."""

    def __iter__(self) -> Iterator[float]:
        for failures in itertools.count():
            yield min(30.0, 0.2 * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311


@contextmanager
def enduring(
    sign: Callable[..., None], hear: Callable[[str, str | None, Any], bool]
) -> Iterator[None]:
    """For the length of the block kopf's watches endure, and are overheard.

    Args:
        sign: called with the plural and ``listed`` for every watch, and every list that one begins
            with, that the API server accepts.
        hear: called with plural, kind and object of every event of what is watched; tells whether
            kopf gets to see it.
    """
    request, stream = kopf_api.request, kopf_api.stream
    watch = kopf_watching.infinite_watch
    paces: dict[str, Pace] = {}
    vars(kopf_api)["request"] = _enduring_request(request, sign, paces)
    vars(kopf_api)["stream"] = _enduring_stream(stream)
    vars(kopf_watching)["infinite_watch"] = _heard_watch(watch, hear, paces)
    try:
        yield
    finally:
        vars(kopf_api)["request"] = request
        vars(kopf_api)["stream"] = stream
        vars(kopf_watching)["infinite_watch"] = watch


def _heard_watch(
    original: Any, hear: Callable[[str, str | None, Any], bool], paces: Mapping[str, Pace]
) -> Any:
    async def infinite_watch(*, resource: Any, **rest: Any) -> AsyncIterator[Any]:
        plural = resource.plural
        async with aclosing(original(resource=resource, **rest)) as events:
            async for event in events:
                # Marks of kopf's own, and bookmarks of the API server, are no objects.
                mark = not isinstance(event, dict) or event["type"] == "BOOKMARK"
                if (
                    mark
                    or plural not in api.WATCHED
                    or hear(plural, event["type"], event["object"])
                ):
                    yield event
                elif plural in paces:
                    paces[plural].rest()

    return infinite_watch


def _enduring_request(original: Any, sign: Callable[..., None], paces: dict[str, Pace]) -> Any:
    async def request(method: str, url: str, **rest: Any) -> Any:
        asked = urlsplit(url)
        plural, watches = asked.path.rpartition("/")[2], "watch" in parse_qs(asked.query)
        for pause in Backoffs():
            try:
                response = await original(method, url, **rest)
            except APIClientError as error:
                if error.status == 404 and plural in api.WATCHED:
                    # What else kopf asks for and misses, it copes with itself.
                    logger.warning("%s are not served: kubectl apply -k crds", plural)
                elif error.status == 410 and not watches:
                    # A list took longer than its pages live: begin anew.
                    raise aiohttp.ClientPayloadError(str(error)) from error
                else:
                    raise
            except ValueError as error:
                # Retry-After may be a date (RFC 9110, section 10.2.3), which kopf cannot read.
                logger.warning("watching %s: unreadable answer, trying again: %s", plural, error)
            else:
                sign(plural, listed=not watches)
                paces.pop(plural, None)
                # Of an answer that is complete by now, the connection is given back already.
                if watches and plural == api.AUTOSCALER.plural and response.connection:
                    paces[plural] = Pace(response.connection.transport)
                return response
            await asyncio.sleep(pause)
        raise AssertionError("the pauses are endless")

    return request


def _enduring_stream(original: Any) -> Any:
    async def stream(url: str, **rest: Any) -> AsyncIterator[Any]:
        plural = urlsplit(url).path.rpartition("/")[2]
        # For pauses, which nobody asks for here; its callback fails when the process ends.
        rest["stopper"] = None
        try:
            async for event in original(url, **rest):
                if event["type"] == "ERROR" and event["object"].get("code") != 410:
                    logger.warning("watching %s: %s", plural, event["object"].get("message"))
                    await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
                    yield _LIST_AGAIN
                    return
                yield event
        except APIClientError as error:
            if error.status != 410:
                raise
            yield _LIST_AGAIN
        except ValueError as error:
            # A proxy in between broke off or spoke for itself. What was lost is asked for again.
            logger.warning("watching %s: a line that is no JSON: %s", plural, error)
            await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            raise aiohttp.ClientPayloadError("not JSON") from error

    return stream
