"""What the stories share: a cluster with the operator and a RiskPredictor, and the narration."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.table import Table

from riskdemo.install import DEMO_NAMESPACE, Installation, text
from riskdemo.live import Screen
from riskdemo.load import Load
from riskdemo.shell import DemoCluster, DemoError, Kubectl, run_python, show_error
from riskdemo.state import State, read
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.predictor import Record

PREDICTOR = "health-predictor"
PATIENTS: dict[str, Record] = {
    "a healthy adult": {
        "heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97,
    },
    "a very sick one": {
        "heart_rate": 132, "blood_pressure": 84, "temperature": 103.6, "oxygen_level": 85,
    },
}  # fmt: skip
SAMPLE = "deploy/samples/minimal.yaml"
_NO_SUCH_MODEL = json.dumps({"spec": {"modelVersion": "v9"}}, separators=(",", ":"))


class Stage:
    """Sets up the cluster, runs the steps of a story, and prints what they do and find."""

    def __init__(self, console: Console, cluster: DemoCluster, *, pause: bool = False) -> None:
        """With ``pause``, every step but the first waits for Enter."""
        self.console = console
        self.cluster = cluster
        self._pause = pause
        self._started = time.monotonic()
        self._facts: list[tuple[str, str]] = []
        self._told = 0
        self.installation = Installation.of(cluster)
        self.kubectl: Kubectl
        self.client: Client

    def set_up(self) -> None:
        """Set up cluster, images and operator; what exists already takes seconds."""
        self.step("A Kubernetes cluster")
        self.cluster.tool("up", "--profile", "node")
        self.step("Images: the operator, and the predictor with models v1 and v2, and without one")
        self.installation.images()
        self.kubectl = self.installation.kubectl(DEMO_NAMESPACE)
        self.step("The operator: kubectl apply -k deploy/operator")
        self.installation.operator(self.kubectl)
        self.client = self.kubectl.client()

    def declare(self) -> None:
        """Create the sample RiskPredictor; one of an earlier run is deleted first."""
        self.step(f"A RiskPredictor: kubectl apply -f {SAMPLE}")
        self.console.print(text(SAMPLE), style="dim", highlight=False)
        earlier = (f"riskpredictor/{PREDICTOR}", "--ignore-not-found", "--cascade=foreground")
        self.kubectl("delete", *earlier, "--timeout=120s")
        self.kubectl(
            "delete", "pods", "--selector=app=load-generator", "--grace-period=0", "--force"
        )
        started = time.monotonic()
        self.kubectl("apply", "-f", SAMPLE)
        self.until(lambda state: state.settled, seconds=120)
        self.fact("declared to Ready", f"{time.monotonic() - started:.1f} s")
        self.console.print(self.kubectl("get", "riskpredictors"), highlight=False)

    def run(self, *arguments: str) -> None:
        """Run a kubectl command, and print it and its output."""
        self.show_command(f"kubectl {shlex.join(arguments)}")
        self.show_output(self.kubectl(*arguments))

    def plugin(self, *arguments: str) -> None:
        """Run a command of the kubectl plug-in, and print it and its output."""
        self.show_command(f"kubectl riskpredictor {shlex.join(arguments)}")
        target = (f"--kubeconfig={self.kubectl.kubeconfig}", f"--namespace={DEMO_NAMESPACE}")
        self.show_output(run_python("-m", "riskpredictor_kubectl", *target, *arguments))

    def show_command(self, line: str) -> None:
        """Print a command line."""
        self.console.print(f"  $ {line}", style="bold", highlight=False, markup=False)

    def show_output(self, output: str) -> None:
        """Print what a command printed, if it printed something."""
        if output.strip():
            self.console.print(output.rstrip(), highlight=False, markup=False)

    def automatic(self) -> None:
        """Give the number of pods back to the autoscaler."""
        patch = json.dumps([{"op": "remove", "path": "/spec/replicas"}])
        self.run("patch", f"riskpredictor/{PREDICTOR}", "--type=json", f"--patch={patch}")

    def until(
        self,
        reached: Callable[[State], bool],
        *,
        seconds: float,
        load: Load | None = None,
        goal: str = "",
    ) -> State:
        """Poll until a state is reached; under load, show a live table meanwhile.

        Raises:
            DemoError: it was not reached in so many seconds; with the operator's reason.
        """
        deadline = time.monotonic() + seconds
        with Screen(self.console, goal) if load else nullcontext() as screen:
            while True:
                state = read(self.client, PREDICTOR)
                done = reached(state)
                if load and screen:
                    screen.show(state, load.sums, last=done)
                if done:
                    return state
                if time.monotonic() > deadline:
                    raise DemoError(
                        f"not reached in {seconds:.0f} s: {state.reason}: {state.message}\n"
                        f"  next: kubectl -n {DEMO_NAMESPACE} describe riskpredictor {PREDICTOR}"
                    )
                time.sleep(1.0 if load else 0.5)

    def step(self, title: str) -> None:
        """Print the heading of a step, with the elapsed time."""
        if self._pause and self._told:
            self.console.input("[dim]Enter goes on, Ctrl-C ends[/dim] ")
        self._told += 1
        elapsed = time.monotonic() - self._started
        self.console.rule(f"[bold]{title}[/bold]  ({elapsed:.0f} s)", align="left")

    def say(self, words: str) -> None:
        """Print an explanation."""
        self.console.print(f"  {words}", highlight=False)

    def fact(self, name: str, value: str) -> None:
        """Add a line to the summary."""
        self._facts.append((name, value))

    def summary(self, name: str = PREDICTOR) -> None:
        """Print the facts, and what to do next with a RiskPredictor."""
        self.step("Done")
        table = Table(show_header=False)
        for fact in self._facts:
            table.add_row(*fact)
        table.add_row("the whole demonstration", f"{time.monotonic() - self._started:.0f} s")
        self.console.print(table)
        kubectl = f"kubectl -n {DEMO_NAMESPACE}"
        self.console.print(
            f"The cluster is yours to look around:\n"
            f"  export KUBECONFIG={self.kubectl.kubeconfig}\n"
            f"  {kubectl} get riskpredictors -o wide\n"
            f"  {kubectl} describe riskpredictor {name}\n"
            f"  kubectl explain riskpredictor.spec\n"
            f"What to try next:\n"
            f"  {kubectl} port-forward svc/{name} 8080:80    # the page: http://localhost:8080\n"
            f"  {kubectl} delete deployment {name}           # it is back at once\n"
            f"  {kubectl} patch rp {name} --type=merge --patch='{_NO_SUCH_MODEL}'\n"
            f"                          # no such image: get rp says so, old pods serve on\n"
            f"  make demo-scaling       # by hand, and back to the autoscaler\n"
            f"  make demo-model-change  # a good model is promoted, a bad one stopped\n"
            f"  make demo-load          # as many users as you want, and a report\n"
            f"  make demo-monitor       # pods, CPU and Events, live\n"
            f"Remove it: make demo-down",
            highlight=False,
            markup=False,
        )


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The command line of every story, described by the first line of ``doc``."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--name", default="demo", help="name of the local cluster")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--pause", action="store_true", help="wait for Enter before every step")
    how.add_argument("--yes", action="store_true", help="run through; the default")
    return parser


def perform(story: Callable[[Stage], None], options: argparse.Namespace) -> int:
    """Set up the stage and run a story; returns the exit status."""
    console = Console(soft_wrap=True)
    if options.pause and not sys.stdin.isatty():
        show_error(console, DemoError("--pause needs a terminal; leave it out"))
        return 2
    try:
        stage = Stage(console, DemoCluster(options.name), pause=options.pause)
        stage.set_up()
        story(stage)
    except PluginError as error:
        show_error(console, error)
        return 1
    except KeyboardInterrupt:
        console.print(f"stopped; {Path(sys.argv[0]).name} can be run again at any time")
        return 130
    return 0
