"""``kubectl riskpredictor load``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from riskpredictor_kubectl import names
from riskpredictor_kubectl.cluster import Cluster
from riskpredictor_kubectl.errors import PluginError, ServerError
from riskpredictor_kubectl.facts import cpu_percent
from riskpredictor_kubectl.family import serving
from riskpredictor_kubectl.loadgen import PROFILES
from riskpredictor_kubectl.loadpod import Demand, manifest, url_of
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.options import name_argument, output_flag, to_screen, with_cluster
from riskpredictor_kubectl.output import emit
from riskpredictor_kubectl.text import NONE, align, table

MOST_USERS = 1000
MOST_SECONDS = 900.0
START_SECONDS = 60.0
ROWS = 30
"""About as many lines tell of a load, however long it is."""

HEADER = ("SECOND", "REQ/S", "P50 MS", "P99 MS", "FAILED", "PODS", "CPU")
WIDTHS = (*map(len, HEADER[:-1]), len("<unknown>"))


class Duration(click.ParamType[float]):
    """Seconds: 90, 90s or 2m."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|)", str(value))
        if match is None:
            self.fail(f"{value!r} is no duration; write 90s or 2m", param, ctx)
        seconds = float(match[1]) * (60 if match[2] == "m" else 1)
        if not 1 <= seconds <= MOST_SECONDS:
            self.fail(f"{value} is not between 1s and 15m", param, ctx)
        return seconds


@click.command()
@name_argument()
@click.option("--users", type=click.IntRange(1, MOST_USERS), default=20, show_default=True,
              help="How many send at a time.")  # fmt: skip
@click.option("--duration", type=Duration(), default="30s", show_default=True, help="1s to 15m.")
@click.option("--rate", type=click.FloatRange(0, 10_000), default=0.0, metavar="PER_SECOND",
              help="Requests a second, answered or not, on USERS connections.")  # fmt: skip
@click.option("--think", type=click.FloatRange(0, 60), default=0.0, metavar="SECONDS",
              help="Mean pause of a user between two requests.")  # fmt: skip
@click.option("--profile", type=click.Choice(list(PROFILES)), default="constant",
              show_default=True, help="How many of them are at work when.")  # fmt: skip
@click.option("--image", default="", help="Image of the pod that sends; a predictor's.")
@output_flag("json", "yaml")
@with_cluster
def load(
    cluster: Cluster,
    name: str,
    users: int,
    duration: float,
    rate: float,
    think: float,
    profile: str,
    image: str,
    form: str | None,
) -> None:
    """Load it for a while; say how it answered.

    The load comes from a pod in the same namespace, with the predictor's own image. The pod is
    removed at the end; should nobody be there to do so, Kubernetes stops it. Made-up patients only.
    """
    demand = Demand(users, duration, think, profile, rate)
    predictor, service = serving(cluster, name)
    image = image or predictor["status"]["image"]
    secrets = (predictor["spec"].get("image") or {}).get("pullSecrets") or ()
    pod = manifest(f"{name}-riskpredictor-load", image, url_of(service), demand, secrets)
    how = f"{rate:g} requests/s" if rate else f"{users} user{'s' if users > 1 else ''}"
    with _running(cluster, pod):
        to_screen(f"{how} for {duration:g} s, {PROFILES[profile]}")
        total = _follow(cluster, name, pod["metadata"]["name"], demand, quiet=form is not None)
    if form:
        emit(total, form)
    else:
        click.echo(_report(total))
    if not total["ok"]:
        raise PluginError(f"no request was answered: {total['failures'] or 'none was sent'}")


@contextmanager
def _running(cluster: Cluster, pod: dict[str, Any]) -> Iterator[None]:
    """The pod at work for the length of the block; gone afterwards."""
    name, where = pod["metadata"]["name"], path(names.PODS, cluster.namespace)
    left = cluster.find(f"{where}/{name}")
    if left is not None:
        if (left.get("status") or {}).get("phase") in ("Pending", "Running"):
            raise PluginError(
                f"pod/{name} is at work on another load; wait for its end, or: "
                f"kubectl delete pod {name} -n {cluster.namespace}"
            )
        _delete(cluster, f"{where}/{name}")
    cluster.request("POST", where, body=pod)
    try:
        _await_start(cluster, f"{where}/{name}")
        yield
    finally:
        _delete(cluster, f"{where}/{name}")


def _delete(cluster: Cluster, where: str) -> None:
    try:
        cluster.request("DELETE", where, {"gracePeriodSeconds": 0})
    except ServerError as error:
        if error.status != 404:
            raise


def _await_start(cluster: Cluster, where: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    why = ""
    while time.monotonic() < deadline:
        status = cluster.get(where).get("status") or {}
        if status.get("phase") not in (None, "Pending"):
            return
        states = [c.get("state") or {} for c in status.get("containerStatuses") or ()]
        waiting: Body = next((s["waiting"] for s in states if "waiting" in s), {})
        scheduled = names.condition({"status": status}, "PodScheduled")
        why = waiting.get("reason") or scheduled.get("message") or "Pending"
        if why in ("ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError",
                   "CreateContainerError", "InvalidImageName"):  # fmt: skip
            break
        time.sleep(0.3)
    raise PluginError(f"the pod that sends the load does not start: {why}")


def _follow(
    cluster: Cluster, name: str, pod: str, demand: Demand, *, quiet: bool
) -> dict[str, Any]:
    """The sums that the pod prints at its end; a row for a second now and then until there."""
    every = max(1, round(demand.seconds / ROWS))
    if not quiet:
        click.echo(align([HEADER], widths=WIDTHS))
    log = f"{path(names.PODS, cluster.namespace, pod)}/log"
    unread = ""
    for line in cluster.lines(log, demand.seconds + START_SECONDS, follow="true"):
        try:
            report: dict[str, Any] = json.loads(line)
        except ValueError:
            unread = line
            continue
        if report.pop("done", False):
            return report
        if not quiet and round(report["second"]) % every == 0:
            click.echo(align([_row(report, _state(cluster, name))], widths=WIDTHS))
    raise PluginError(f"the pod that sends the load ended too early: {unread or 'no word'}")


def _state(cluster: Cluster, name: str) -> Body:
    # Interesting, but no reason to end a load: pods and CPU are missing then.
    with suppress(PluginError):
        return cluster.get(path(names.AUTOSCALERS, cluster.namespace, name))
    return {}


def _row(report: dict[str, Any], autoscaler: Body) -> list[str]:
    percent = cpu_percent(autoscaler)
    size = (autoscaler.get("status") or {}).get("currentReplicas")
    return [
        f"{report['second']:.0f}", f"{report['per_second']:.0f}", f"{report['p50_ms']:.1f}",
        f"{report['p99_ms']:.1f}", str(report["failed"]), NONE if size is None else str(size),
        "<unknown>" if percent is None else f"{percent}%",
    ]  # fmt: skip


def _report(total: dict[str, Any]) -> str:
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
