"""Tables and ages look as kubectl's do."""

from __future__ import annotations

from datetime import datetime

import pytest

from riskpredictor_kubectl import output

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0s"), (0, "0s"), (119, "119s"), (2 * MINUTE, "2m"), (3 * MINUTE + 5, "3m5s"),
        (10 * MINUTE + 59, "10m"), (179 * MINUTE, "179m"), (3 * HOUR, "3h"),
        (3 * HOUR + 20 * MINUTE, "3h20m"), (9 * HOUR + MINUTE, "9h"), (47 * HOUR, "47h"),
        (2 * DAY, "2d"), (3 * DAY + 4 * HOUR, "3d4h"), (8 * DAY + HOUR, "8d"), (729 * DAY, "729d"),
        (730 * DAY, "2y"), (800 * DAY, "2y70d"), (9 * 365 * DAY, "9y"),
    ],
)  # fmt: skip
def test_a_duration_is_as_kubectl_says_it(seconds: int, said: str) -> None:
    assert output.duration(seconds) == said


def test_an_age_counts_from_the_time_of_the_server() -> None:
    now = datetime.fromisoformat("2026-01-31T10:03:05Z")
    assert output.age("2026-01-31T10:00:00Z", now) == "3m5s"
    assert output.age(None) == "<unknown>"


def test_a_table_is_aligned_and_has_no_trailing_space() -> None:
    assert output.table(("NAME", "AGE"), [("a-long-name", "5s"), ("b", "")]) == (
        "NAME          AGE\n"
        "a-long-name   5s\n"
        "b             <none>"
    )  # fmt: skip


def test_text_is_folded_to_the_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "word " * 30
    assert "\n" not in output.fold(long, "  ")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = output.fold(long, "  ").splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("  word") for line in lines)
