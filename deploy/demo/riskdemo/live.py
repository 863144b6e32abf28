"""A live table while something happens; a line now and then where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from riskdemo.load import Load
from riskdemo.shell import DemoError, Kubectl
from riskdemo.state import State, read

COLUMNS = (
    "time", "model", "serving", "ready", "CPU %", "desired", "pods", "req/s", "p50 ms", "p99 ms",
    "errors",
)  # fmt: skip
ROWS = 12
PLAIN_SECONDS = 5.0
"""Between two lines without a terminal."""


def watch(
    console: Console,
    kubectl: Kubectl,
    name: str,
    load: Load,
    until: Callable[[State], bool],
    *,
    seconds: float,
    goal: str,
) -> State:
    """Show the predictor and the load until a state is reached.

    Raises:
        DemoError: it was not reached in so many seconds; with the last state.
    """
    started = time.monotonic()
    rows: list[list[str]] = []
    last_line = 0.0
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while True:
            state = read(kubectl, name)
            elapsed = time.monotonic() - started
            rows.append(_row(elapsed, state, load))
            reached = until(state)
            if console.is_terminal:
                live.update(_table(goal, rows[-ROWS:]))
            elif reached or elapsed - last_line >= PLAIN_SECONDS or len(rows) == 1:
                console.print(_line(rows[-1]), highlight=False)
                last_line = elapsed
            if reached:
                return state
            if elapsed > seconds:
                raise DemoError(
                    f"not reached within {seconds:.0f} s: {goal}. Last state: {state.reason}: "
                    f"{state.message}\n  next: kubectl describe riskpredictor {name}"
                )
            time.sleep(1.0)


def _row(elapsed: float, state: State, load: Load) -> list[str]:
    report = load.report
    return [
        f"{elapsed:.0f} s",
        state.model,
        state.serving or "-",
        state.ready if state.ready == "True" else state.reason,
        "?" if state.cpu is None else str(state.cpu),
        str(state.desired),
        f"{state.ready_pods}/{state.running}",
        f"{report.per_second:,.0f}",
        f"{report.p50:.1f}",
        f"{report.p99:.1f}",
        str(report.failed),
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
