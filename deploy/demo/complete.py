"""The whole story on a real cluster: install, declare, predict, scale, roll out.

    python deploy/demo/complete.py            (``make demo`` does the set-up first)

CLUSTER and CONTEXT choose the cluster, see deploy/local/README.md. It stays up afterwards, to look
around; ``make demo-down`` removes it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from riskdemo.install import Installation, text
from riskdemo.live import watch
from riskdemo.load import Load
from riskdemo.predict import PATIENTS, forwarded, predict
from riskdemo.shell import Cluster, DemoError, Kubectl
from riskdemo.state import State, read

PREDICTOR = "health-predictor"
NAMESPACE = "riskpredictor-demo"
SAMPLE = "deploy/samples/minimal.yaml"
LOAD_SECONDS = 420


class Story:
    """The steps, in order, and what they found out."""

    def __init__(self, console: Console, cluster: Cluster, users: int) -> None:
        self._console = console
        self._cluster = cluster
        self._users = users
        self._started = time.monotonic()
        self._facts: list[tuple[str, str]] = []

    def run(self) -> None:
        """Tell the story."""
        installation = Installation.of(self._cluster)
        self._step("A Kubernetes cluster")
        self._cluster.tool("up", "--profile", "node")
        self._step("Images: the operator, and the predictor with the trained models v1 and v2")
        installation.images()
        kubectl = installation.kubectl(NAMESPACE)
        self._step("The operator: kubectl apply -k deploy/operator")
        installation.operator(kubectl)
        self._step(f"A RiskPredictor: kubectl apply -f {SAMPLE}")
        self._declare(kubectl)
        self._step("Predictions, through the Service")
        self._predict(kubectl)
        with Load(
            kubectl, image=installation.image("v1"), service=PREDICTOR, users=self._users,
            seconds=LOAD_SECONDS,
        ) as load:  # fmt: skip
            self._step(f"Load: {self._users} users, and the autoscaler answers")
            self._scale_out(kubectl, load)
            self._step("A new model under load: modelVersion v1 to v2")
            self._roll_out(kubectl, load)
        self._predict(kubectl)
        self._step("Manual scaling: kubectl scale riskpredictor/health-predictor --replicas=3")
        self._scale_by_hand(kubectl)
        self._summary(kubectl)

    def _declare(self, kubectl: Kubectl) -> None:
        self._console.print(text(SAMPLE), style="dim", highlight=False)
        # What an earlier run left would start with more than two pods.
        earlier = (f"riskpredictor/{PREDICTOR}", "--ignore-not-found", "--cascade=foreground")
        kubectl("delete", *earlier, "--timeout=120s")
        started = time.monotonic()
        kubectl("apply", "-f", SAMPLE)
        _wait_ready(kubectl, seconds=120)
        self._fact("declared to Ready", f"{time.monotonic() - started:.1f} s")
        self._console.print(kubectl("get", "riskpredictors"), highlight=False)

    def _predict(self, kubectl: Kubectl) -> None:
        with forwarded(kubectl, PREDICTOR) as url:
            for who, patient in PATIENTS.items():
                answer = predict(url, patient)
                self._console.print(f"  POST /predict {json.dumps(patient)}", style="dim")
                said = (
                    f"{answer['risk_level']} ({answer['confidence']:.0%}) "
                    f"by model {answer['model_version']}"
                )
                self._console.print(f"  {who}: {said}")
                self._fact(f"prediction for {who}", said)

    def _scale_out(self, kubectl: Kubectl, load: Load) -> None:
        started = time.monotonic()
        state = watch(
            self._console, kubectl, PREDICTOR, load, lambda s: s.ready_pods >= 5 and s.settled,
            seconds=180, goal="from 2 to 5 pods, at 70 % of the CPU request",
        )  # fmt: skip
        self._fact("scale-out 2 to 5 ready pods", f"{time.monotonic() - started:.0f} s")
        self._fact("CPU at 5 pods", "?" if state.cpu is None else f"{state.cpu} % of the request")

    def _roll_out(self, kubectl: Kubectl, load: Load) -> None:
        before = load.report.failed
        started = time.monotonic()
        patch = json.dumps({"spec": {"modelVersion": "v2"}})
        kubectl("patch", "riskpredictor", PREDICTOR, "--type=merge", f"--patch={patch}")
        watch(
            self._console, kubectl, PREDICTOR, load,
            lambda s: s.model == s.serving == "v2" and s.settled,
            seconds=240, goal="every pod replaced, none missing",
        )  # fmt: skip
        report = load.report
        failed = report.failed - before
        self._fact("roll-out v1 to v2 under load", f"{time.monotonic() - started:.0f} s")
        self._fact("failed requests during the roll-out", str(failed))
        served = ", ".join(f"{v}: {n:,}" for v, n in sorted(report.versions.items()))
        self._fact("requests answered under load", f"{report.ok:,} ({served})")
        if report.failed:
            raise DemoError(f"{report.failed} requests failed: {dict(report.failures)}")

    def _scale_by_hand(self, kubectl: Kubectl) -> None:
        kubectl("scale", f"riskpredictor/{PREDICTOR}", "--replicas=3")
        _until(kubectl, lambda s: s.settled and s.ready_pods == 3, seconds=90)
        self._console.print(kubectl("get", "riskpredictor,deployment,hpa"), highlight=False)
        patch = json.dumps([{"op": "remove", "path": "/spec/replicas"}])
        kubectl("patch", "riskpredictor", PREDICTOR, "--type=json", f"--patch={patch}")
        state = _until(kubectl, lambda s: s.settled and s.desired >= 2, seconds=90)
        self._console.print("  back to automatic: the autoscaler goes on from the 3 that ran")
        self._fact("manual scaling", f"3 pods by hand; automatic again, {state.ready_pods} pods")

    def _summary(self, kubectl: Kubectl) -> None:
        self._step("Done")
        table = Table(show_header=False)
        for name, value in self._facts:
            table.add_row(name, value)
        table.add_row("the whole demonstration", f"{time.monotonic() - self._started:.0f} s")
        self._console.print(table)
        self._console.print(
            f"The cluster is yours to look around:\n"
            f"  export KUBECONFIG={kubectl.kubeconfig}\n"
            f"  kubectl -n {NAMESPACE} get riskpredictors -o wide\n"
            f"  kubectl -n {NAMESPACE} describe riskpredictor {PREDICTOR}\n"
            f"  kubectl -n {NAMESPACE} port-forward svc/{PREDICTOR} 8080:80"
            "   # then open http://localhost:8080\n"
            f"  kubectl explain riskpredictor.spec\n"
            f"Remove it: make demo-down",
            highlight=False,
        )

    def _step(self, title: str) -> None:
        elapsed = time.monotonic() - self._started
        self._console.rule(f"[bold]{title}[/bold]  ({elapsed:.0f} s)", align="left")

    def _fact(self, name: str, value: str) -> None:
        self._facts.append((name, value))


def _wait_ready(kubectl: Kubectl, seconds: int) -> None:
    try:
        kubectl(
            "wait", "--for=condition=Ready", f"riskpredictor/{PREDICTOR}", f"--timeout={seconds}s"
        )
    except DemoError as error:
        state = read(kubectl, PREDICTOR)
        raise DemoError(f"{error}\n  {state.reason}: {state.message}") from None


def _until(kubectl: Kubectl, reached: Callable[[State], bool], *, seconds: float) -> State:
    """Poll until a state is reached."""
    deadline = time.monotonic() + seconds
    while True:
        state = read(kubectl, PREDICTOR)
        if reached(state):
            return state
        if time.monotonic() > deadline:
            raise DemoError(f"not reached in {seconds:.0f} s: {state.reason}: {state.message}")
        time.sleep(0.5)


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--name", default="demo", help="name of the local cluster")
    parser.add_argument("--users", type=int, default=40, help="simulated users")
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    try:
        Story(console, Cluster(options.name), options.users).run()
    except DemoError as error:
        console.print(f"[bold red]error:[/bold red] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"stopped; {Path(sys.argv[0]).name} can be run again at any time")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
