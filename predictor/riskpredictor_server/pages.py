"""Flask behind the asynchronous front: imported when first needed, run in a few threads."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from riskpredictor_server.api.service import Service
from riskpredictor_server.http.request import Request

if TYPE_CHECKING:
    from flask import Flask

THREADS = 4

Page = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""


class Pages:
    """Every route that is not hot.

    Flask is a third of the memory and half of the cold start, and a pod that only predicts never
    needs it.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._flask: Flask | None = None
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, "page")

    async def answer(self, request: Request, body: bytes) -> Page:
        """Flask's answer."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._call, request, body)

    def _call(self, request: Request, body: bytes) -> Page:
        from riskpredictor_server.bridge import call_wsgi

        with self._lock:
            if self._flask is None:
                from riskpredictor_server.web.app import create_app

                self._flask = create_app(self._service)
        return call_wsgi(self._flask.wsgi_app, request, body)
