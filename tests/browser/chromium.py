"""Headless Chromium for the tests and the screenshots; by itself it calls nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

from support import debian

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def program() -> str:
    """Where the browser is; installs Debian's where there is none."""
    others = (shutil.which(name) for name in ("chromium-browser", "google-chrome"))
    return next(filter(None, others), None) or debian.ensure("chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser."""
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=program(), args=ARGUMENTS, timeout=120_000
        )
        yield running
        running.close()
