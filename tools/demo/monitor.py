"""Watch predictors, autoscaler, pods and Events in the terminal.

    python tools/demo/monitor.py                 the demonstration's namespace, until Ctrl-C
    python tools/demo/monitor.py --once --json   one line for a script

CLUSTER and CONTEXT choose the cluster, see tools/cluster/README.md.
"""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console
from rich.live import Live

from riskdemo.dashboard import render
from riskdemo.install import DEMO_NAMESPACE
from riskdemo.shell import DemoCluster, show_error
from riskdemo.snapshot import Snapshot, take
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError


def show(console: Console, snapshot: Snapshot, *, as_json: bool) -> None:
    """Print it once."""
    if as_json:
        print(snapshot.json(), flush=True)
    else:
        console.print(render(snapshot))


def watch(console: Console, client: Client, options: argparse.Namespace) -> None:
    """Show it in place, again and again; without a terminal, one below the other."""
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            snapshot = take(client, options.namespace)
            if console.is_terminal and not options.json:
                live.update(render(snapshot), refresh=True)
            else:
                show(console, snapshot, as_json=options.json)
            time.sleep(options.every)


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--name", default="demo", help="name of the local cluster")
    parser.add_argument("-n", "--namespace", default=DEMO_NAMESPACE)
    parser.add_argument("-A", "--all-namespaces", action="store_const", dest="namespace", const="")
    parser.add_argument("--every", type=_seconds, default=2.0, metavar="SECONDS")
    parser.add_argument("--once", action="store_true", help="show it once and end")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    # A file has room for more than a default terminal.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        client = DemoCluster(options.name).kubectl(options.namespace).client()
        if options.once:
            show(console, take(client, options.namespace), as_json=options.json)
        else:
            watch(console, client, options)
    except PluginError as error:
        show_error(Console(stderr=True), error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 3600 seconds")
    return value


if __name__ == "__main__":
    sys.exit(main())
