"""Waiting for something to become true, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def eventually(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Return once ``holds()`` is true.

    Raises:
        TimeoutError: it did not become so in time.
    """
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - any state of the harness, not one event
            await asyncio.sleep(0.001)
