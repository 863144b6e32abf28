"""Takes the pictures of the guides: ``make screenshots`` writes docs/images/*.png.

The real server in headless Chromium. For the scaling demo three servers stand behind a balancer
of connections, as pods behind a Service. With ``--peak URL`` it takes one picture only: Peak Load
on the page of a predictor in a cluster, once five pods answer (``make recordings`` does so).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from browser.balancer import service
from browser.chromium import chromium
from browser.test_trial import candidate
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from unit.predictor.support import ServerProcess

from support.early_warning import train

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
COLOURS = 128
MOST_BYTES = 80_000
"""Pictures are in Git for ever."""

DESKTOP = {"width": 1080, "height": 720}
PHONE = {"width": 390, "height": 844}
LOAD_SECONDS = 6
LOAD_PART = "section:has(#load-title)"
_DOWN_TO = """to => {
  const end = document.querySelector(to).getBoundingClientRect().bottom + scrollY;
  return { x: 0, y: 0, width: innerWidth, height: end + 12 };
}"""


def example(name: str, level: str) -> Callable[[Page], None]:
    """Predict one of the page's example patients."""

    def act(page: Page) -> None:
        page.get_by_role("button", name=name).click()
        expect(page.locator("#level")).to_have_text(level)

    return act


def errors(page: Page) -> None:
    """One value is missing, one impossible."""
    for vital, value in (("heart_rate", "85"), ("temperature", "98.6"), ("oxygen_level", "140")):
        page.fill(f"#{vital}", value)
    page.get_by_role("button", name="Predict Risk Level").click()
    expect(page.locator("#oxygen_level-error")).to_be_visible()


def load(page: Page) -> None:
    """The scaling demo at work."""
    page.get_by_role("button", name="Medium").click()
    page.wait_for_timeout(LOAD_SECONDS * 1000)
    expect(page.locator("#load-pods .name")).to_have_count(3)


def peak_load(page: Page) -> None:
    """The scaling demo against a real autoscaler."""
    page.locator("#load-seconds").select_option("180")
    page.get_by_role("button", name="Peak Load").click()
    expect(page.locator("#load-pods .name")).to_have_count(5, timeout=150_000)
    page.wait_for_timeout(LOAD_SECONDS * 1000)


def operation(page: Page) -> None:
    """The API page with its first operation open."""
    page.locator("summary").first.click()


def picture(
    browser: Browser,
    url: str,
    name: str,
    act: Callable[[Page], None],
    *,
    part: str | None = None,
    to: str = ".columns",
    **options: Any,
) -> None:
    """Open the page, act, and take ``part`` of it, or all down to the end of ``to`` (selectors)."""
    context = browser.new_context(
        **{"viewport": DESKTOP, "reduced_motion": "reduce", "color_scheme": "light", **options}
    )
    page = context.new_page()
    page.goto(url)
    act(page)
    path = IMAGES / f"{name}.png"
    if part:
        page.locator(part).screenshot(path=path)
    else:
        page.screenshot(path=path, full_page=True, clip=page.evaluate(_DOWN_TO, to))
    context.close()
    # A palette does for flat colours, and more than halves the file.
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    size = path.stat().st_size
    print(f"{path.name}: {size / 1000:.0f} kB")
    if size > MOST_BYTES:
        raise ValueError(f"{path.name} has {size} bytes, more than {MOST_BYTES}")


def main() -> int:
    """Take all pictures, or the one of a cluster."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peak", metavar="URL", help="only Peak Load, on this predictor's page")
    peak = parser.parse_args().peak
    IMAGES.mkdir(exist_ok=True)
    if peak:
        with chromium() as browser:
            picture(browser, peak, "peak-load", peak_load, part=LOAD_PART)
        return 0
    low, high = example("Healthy adult", "Low"), example("Septic shock", "High")
    with service(pods=3) as url, chromium() as browser:
        picture(browser, url, "low-risk", low)
        picture(browser, url, "high-risk", high)
        picture(browser, url, "errors", errors)
        picture(browser, url, "dark", high, color_scheme="dark")
        picture(browser, url, "phone", high, viewport=PHONE, has_touch=True)
        picture(browser, url, "load-demo", load, part=LOAD_PART)
        picture(browser, f"{url}/docs", "api", operation, to="details.route:nth-of-type(6)")
        with candidate(100) as canary:
            picture(browser, canary.url, "trial", high, part="#result-panel")
        with TemporaryDirectory() as folder, ServerProcess(train(Path(folder), 4000)) as ward:
            picture(browser, ward.url, "own-model", example("Example of Medium", "Medium"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
