"""A live table of a RiskPredictor under load; without a terminal, a line now and then."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from riskdemo.load import Sums
from riskdemo.state import State

COLUMNS = (
    "time", "model", "serving", "ready", "CPU %", "desired", "pods", "req/s", "p50 ms", "p99 ms",
    "errors",
)  # fmt: skip
ROWS = 12
PLAIN_SECONDS = 5.0
"""Time between two lines without a terminal."""


class Screen:
    """A table of the newest rows; a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._rows: list[list[str]] = []
        self._started = time.monotonic()
        self._last_line = -PLAIN_SECONDS
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, state: State | None, sums: Sums, *, last: bool = False) -> None:
        """Add a row; without a terminal, print it only now and then, or if it is the ``last``."""
        elapsed = time.monotonic() - self._started
        self._rows.append(_row(elapsed, state, sums))
        if self._console.is_terminal:
            self._live.update(_table(self._title, self._rows[-ROWS:]))
        elif last or elapsed - self._last_line >= PLAIN_SECONDS:
            self._console.print(_line(self._rows[-1]), highlight=False)
            self._last_line = elapsed


def _row(elapsed: float, state: State | None, sums: Sums) -> list[str]:
    cluster = ["-"] * 6
    if state is not None:
        cluster = [
            state.model,
            state.serving or "-",
            state.ready if state.ready == "True" else state.reason,
            "?" if state.cpu_percent is None else str(state.cpu_percent),
            str(state.wanted_pods),
            f"{state.ready_pods}/{state.running}",
        ]
    return [
        f"{elapsed:.0f} s",
        *cluster,
        f"{sums.per_second:,.0f}",
        f"{sums.p50:.1f}",
        f"{sums.p99:.1f}",
        str(sums.failed),
    ]


def _line(row: list[str]) -> str:
    return "  " + "  ".join(f"{name} {value}" for name, value in zip(COLUMNS, row, strict=True))


def _table(goal: str, rows: list[list[str]]) -> Table:
    table = Table(title=goal, title_justify="left", expand=False)
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
