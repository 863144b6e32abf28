"""Load a predictor as users would, watch the autoscaler, and write a report.

    python tools/demo/load_test.py --users 100 --duration 2m --profile spike
    python tools/demo/load_test.py --rate 400 --duration 90s              open loop
    python tools/demo/load_test.py --url http://127.0.0.1:5000            no cluster
    python tools/demo/load_test.py --compare build/load-test/report.json  beside an earlier run

The load comes from a pod in the cluster and goes to the Service of the RiskPredictor. CLUSTER and
CONTEXT choose the cluster, see tools/cluster/README.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from riskdemo.install import DEMO_NAMESPACE
from riskdemo.live import Screen
from riskdemo.load import Sums, from_here
from riskdemo.report import write
from riskdemo.run import Run, figures
from riskdemo.shell import DemoCluster, DemoError, show_error
from riskdemo.stage import PREDICTOR
from riskdemo.state import State, read
from riskpredictor_kubectl import loadpod
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadgen import PROFILES, Demand
from riskpredictor_kubectl.loadpod import parse_seconds


def perform(console: Console, options: argparse.Namespace) -> Run:
    """Run the load test.

    Raises:
        PluginError: it could not start, or no request was answered.
    """
    demand = Demand(
        options.users, options.duration, options.think, options.profile, options.rate,
        options.warmup, options.seed,
    )  # fmt: skip
    run, sums = Run(options.title, asdict(demand)), Sums()
    client = None
    if options.url:
        load = from_here(options.url, demand)
        run.asked["url"] = options.url
    else:
        client = DemoCluster(options.name).kubectl(options.namespace).client()
        load = loadpod.load(client, options.predictor, demand, options.image)
        run.asked["predictor"] = f"{options.namespace}/{options.predictor}"
    goal = f"{run.name}: {demand.profile}, {demand.seconds:.0f} s"
    with load as reports, Screen(console, goal) as screen:
        for report in reports:
            if report.pop("done", False):
                run.total = report
                continue
            state = read(client, options.predictor) if client else None
            run.seconds.append(report | _figures(state))
            sums.add(report)
            screen.show(state, sums)
            if state:
                run.asked["cpu_target"] = state.cpu_target
    if not run.total.get("ok"):
        why = dict(sums.failures) or "the load generator did not report"
        raise DemoError(f"no request was answered: {why}")
    return run


def _figures(state: State | None) -> dict[str, Any]:
    if state is None:
        return {}
    return {
        "cpu_percent": state.cpu_percent, "desired": state.wanted_pods, "ready": state.ready_pods,
    }  # fmt: skip


def main() -> int:
    """Command line; returns the exit status."""
    options = _options()
    console = Console(soft_wrap=True, highlight=False)
    try:
        other = Run.load(options.compare) if options.compare else None
        run = perform(console, options)
        paths = write(run, options.out, other)
    except PluginError as error:
        show_error(console, error)
        return 1
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        return 130
    table = Table(show_header=False)
    for name, value, unit, _ in figures(run):
        table.add_row(name, f"{value:,.10g} {unit}")
    console.print(table)
    console.print("report: " + ", ".join(map(str, paths)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("--users", type=_within(1, 1000), default=100, help="simulated users (100)")
    add("--duration", type=_duration, default=120.0, metavar="2m", help="1s to 15m (2m)")
    profiles = "\n".join(f"{name}: {text}" for name, text in PROFILES.items())
    add("--profile", choices=PROFILES, default="ramp", help=profiles)
    add("--rate", type=_within(0, 10_000), default=0, help="requests/s: an open loop (closed)")
    add("--think", type=float, default=0.0, help="mean pause of a user, in seconds (0)")
    add("--warmup", type=_duration, default=0.0, help="left out of the sums")
    add("--seed", type=_within(0, 2**31), default=0, help="of the made-up patients (0)")
    add("--out", type=Path, default=Path("build/load-test"), help="folder of the report")
    add("--title", default="Load test", help="title of the report")
    add("--compare", type=Path, metavar="report.json", help="an earlier report")
    add("--name", default="demo", help="name of the local cluster")
    add("-n", "--namespace", default=DEMO_NAMESPACE)
    add("--predictor", default=PREDICTOR, help=f"name of the RiskPredictor ({PREDICTOR})")
    add("--image", default="", help="image of the load generator's pod; the predictor's")
    add("--url", default="", help="load this address from this machine, not a cluster")
    return parser.parse_args()


def _within(least: int, most: int) -> Any:
    def whole_number(text: str) -> int:
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return int(text)

    return whole_number


def _duration(text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
