"""A real server, and a real headless Chromium that may talk to nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from browser.axe import source
from browser.chromium import chromium
from playwright.sync_api import Browser, BrowserContext, Page
from unit.predictor.support import ServerProcess

# Chromium writes a console error for each 4xx answer, which invalid input is meant to get, and
# when an interface of the machine comes or goes, as those of a test cluster do.
EXPECTED = "status of 422|ERR_NETWORK_CHANGED"


class Visit(Protocol):
    """Opens an address in a context of its own, with that context's options."""

    def __call__(self, url: str, *, expected: str = EXPECTED, **options: Any) -> Page: ...


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def axe() -> str:
    return source()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A console message that is not ``expected``, a page error or a foreign request fails."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def go(url: str, *, expected: str = EXPECTED, **options: Any) -> Page:
        def heard(kind: str, text: str) -> None:
            if not re.search(expected, text):
                complaints.append(f"{kind}: {text}")

        def asked(address: str) -> None:
            if urlsplit(address)[:2] != urlsplit(url)[:2]:
                complaints.append(f"asked {address}")

        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: heard(message.type, message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked(request.url))
        tab.goto(url)
        return tab

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(visit: Visit, server: ServerProcess) -> Page:
    """The predictor's page, opened."""
    return visit(server.url)
