"""The report of a load test."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskdemo.report import page, write
from riskdemo.run import Run, figures
from riskdemo.shell import DemoError


def run(name: str = "now", *, p99: float = 20.0, failed: int = 0) -> Run:
    lines = [
        {"second": float(s), "per_second": 100.0, "p50_ms": 2.0, "p95_ms": 8.0, "p99_ms": p99,
         "failed": 0, "cpu_percent": 70 + s, "desired": 2 + s, "ready": 2}
        for s in range(3)
    ]  # fmt: skip
    total = {
        "ok": 300, "failed": failed, "failures": {"HTTP <503>": failed} if failed else {},
        "per_second": 100.0, "p50_ms": 2.0, "p95_ms": 8.0, "p99_ms": p99,
    }  # fmt: skip
    return Run(name, {"users": 10, "profile": "ramp", "cpu_target": 70}, lines, total)


def test_it_is_a_page_a_picture_and_data(tmp_path: Path) -> None:
    html, png, data = write(run(), tmp_path / "new folder")
    assert "<h1>now</h1>" in html.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")
    assert Run.load(data) == run()


def test_the_page_needs_no_other_file_and_trusts_no_text() -> None:
    text = page(run(failed=3), b"png")
    assert "HTTP &lt;503&gt;" in text
    assert 'src="data:image/png;base64,' in text
    assert "http://" not in text


def test_figures_tell_errors_and_the_most_pods() -> None:
    found = {name: value for name, value, _, _ in figures(run(failed=100))}
    assert found["requests failed"] == 25.0
    assert found["ready pods, most"] == 2
    assert found["CPU of the request, most"] == 72


def test_a_comparison_says_what_became_better_or_worse() -> None:
    text = page(run(p99=30.0), b"png", run("before", p99=20.0))
    assert "<th>before" in text
    assert "+50 % (worse)" in text
    assert "-33 % (better)" in page(run(p99=20.0), b"png", run("before", p99=30.0))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "x", "asked": {}, "format": 0}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(DemoError, match=r"report\.json"):
        Run.load(path)


def test_a_report_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no report"):
        Run.load(tmp_path / "none.json")
