"""``kubectl riskpredictor load``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from riskpredictor_kubectl import loadpod, names
from riskpredictor_kubectl.autoscalers import UNKNOWN, cpu_percent
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadgen import PROFILES, Demand
from riskpredictor_kubectl.loadpod import Report
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.options import name_argument, output_flag, with_client
from riskpredictor_kubectl.output import NONE, align, emit, notice, table

MOST_USERS = 1000
ROWS = 30
"""Rows of a load, about, however long it is."""

HEADER = ("SECOND", "REQ/S", "P50 MS", "P99 MS", "FAILED", "PODS", "CPU")
WIDTHS = (*map(len, HEADER[:-1]), len(UNKNOWN))


class Duration(click.ParamType[float]):
    """Seconds: 90, 90s or 2m."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return loadpod.parse_seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@name_argument()
@click.option("--users", type=click.IntRange(1, MOST_USERS), default=20, show_default=True,
              help="Users that send at a time.")  # fmt: skip
@click.option("--duration", type=Duration(), default="30s", show_default=True, help="1s to 15m.")
@click.option("--rate", type=click.FloatRange(0, 10_000), default=0.0, metavar="PER_SECOND",
              help="Requests per second, answered or not, on USERS connections.")  # fmt: skip
@click.option("--think", type=click.FloatRange(0, 60), default=0.0, metavar="SECONDS",
              help="Mean pause of a user between two requests.")  # fmt: skip
@click.option("--profile", type=click.Choice(list(PROFILES)), default="constant",
              show_default=True, help="How the load changes over time.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the made-up patients: the same seed makes the same ones.")  # fmt: skip
@click.option("--image", default="", help="Image of the sending pod; by default the predictor's.")
@output_flag("json", "yaml")
@with_client
def load(
    client: Client,
    name: str,
    users: int,
    duration: float,
    rate: float,
    think: float,
    profile: str,
    seed: int,
    image: str,
    form: str | None,
) -> None:
    """Load a RiskPredictor for a while, and report how it answered.

    The load comes from a pod in the same namespace, with the predictor's own image. The pod is
    removed at the end; if the command cannot do so, Kubernetes stops it. The patients are made up
    from what the model's card says of the training data.
    """
    demand = Demand(users, duration, think, profile, rate, seed=seed)
    how = f"{rate:g} requests/s" if rate else f"{users} user{'s' if users > 1 else ''}"
    with loadpod.load(client, name, demand, image) as reports:
        notice(f"{how} for {duration:g} s, {PROFILES[profile]}")
        total = _last(reports) if form else _follow(client, name, reports, demand)
    if form:
        emit(total, form)
    else:
        click.echo(_summary(total))
    if not total["ok"]:
        raise PluginError(f"no request was answered: {total['failures'] or 'none was sent'}")


def _last(reports: Iterator[Report]) -> Report:
    *_, total = reports
    del total["done"]
    return total


def _follow(client: Client, name: str, reports: Iterator[Report], demand: Demand) -> Report:
    """Print a row now and then; returns the last report."""
    every = max(1, round(demand.seconds / ROWS))
    click.echo(align([HEADER], widths=WIDTHS))
    for report in reports:
        if "done" in report:
            break
        if round(report["second"]) % every == 0:
            click.echo(align([_row(report, _autoscaler(client, name))], widths=WIDTHS))
    return report


def _autoscaler(client: Client, name: str) -> Body:
    # A load goes on if the autoscaler cannot be read; the row lacks pods and CPU then.
    with suppress(PluginError):
        return client.get(path(names.AUTOSCALERS, client.namespace, name))
    return {}


def _row(report: Report, autoscaler: Body) -> list[str]:
    percent = cpu_percent(autoscaler)
    size = (autoscaler.get("status") or {}).get("currentReplicas")
    return [
        f"{report['second']:.0f}", f"{report['per_second']:.0f}", f"{report['p50_ms']:.1f}",
        f"{report['p99_ms']:.1f}", str(report["failed"]), NONE if size is None else str(size),
        UNKNOWN if percent is None else f"{percent}%",
    ]  # fmt: skip


def _summary(total: Report) -> str:
    failures = ", ".join(f"{count} {kind}" for kind, count in total["failures"].items())
    latency = ", ".join(f"{p} {total[f'{p}_ms']} ms" for p in ("p50", "p95", "p99"))
    rows = [
        ("answered", f"{total['ok']}"),
        ("failed", f"{total['failed']}" + (f" ({failures})" if failures else "")),
        ("requests/s", f"{total['per_second']:.1f}"),
        ("latency", latency),
    ]
    rows += [(f"pod {pod}", str(count)) for pod, count in sorted(total["pods"].items())]
    rows += [(f"model {model}", str(count)) for model, count in sorted(total["versions"].items())]
    return "\n" + table(("TOTAL", ""), rows)
