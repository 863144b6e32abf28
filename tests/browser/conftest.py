"""A real server, and a real headless Chromium that may talk to nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from browser.chromium import chromium
from playwright.sync_api import Browser, Page
from unit.serving.support import ServerProcess

# Chromium writes a console error for each 4xx answer, which invalid input is meant to get, and
# when an interface of the machine comes or goes, as those of a test cluster do.
EXPECTED = re.compile("status of 422|ERR_NETWORK_CHANGED")


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    """The page, opened. A console message, a page error or a foreign request fails the test."""
    complaints: list[str] = []
    context = browser.new_context()
    tab = context.new_page()
    tab.on(
        "console",
        lambda m: None if EXPECTED.search(m.text) else complaints.append(f"{m.type}: {m.text}"),
    )
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "request",
        lambda r: None if r.url.startswith(server.url) else complaints.append(f"asked {r.url}"),
    )
    tab.goto(server.url)
    yield tab
    context.close()
    assert complaints == []
