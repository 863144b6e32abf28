"""The whole story on a real cluster: install, declare, predict, scale, roll out, try a model.

    python tools/demo/complete.py            (``make demo`` does the set-up first)

CLUSTER and CONTEXT choose the cluster, see tools/cluster/README.md. It stays up afterwards, to look
around; ``make demo-down`` removes it.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial

from riskdemo import model_change
from riskdemo.load import Load
from riskdemo.shell import DemoError
from riskdemo.stage import PATIENTS, PREDICTOR, Stage, arguments, perform
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_kubectl.predictor import Predictor

LOAD_SECONDS = 420


def story(users: int, stage: Stage) -> None:
    """Run the whole story with so many users."""
    stage.declare()
    stage.say("The operator made a Deployment, a Service and a HorizontalPodAutoscaler of it, and")
    stage.say("says Ready only when the declared version answers in as many pods as wanted.")
    stage.step("Predictions, through the Service")
    _predict(stage)
    with Load(stage.client, PREDICTOR, Demand(users, LOAD_SECONDS)) as load:
        stage.step(f"Load: {users} users, and the autoscaler answers")
        stage.say(
            "They are a pod in the cluster, and go through the Service as others do. Above 70 %"
        )
        stage.say("of the CPU that pods request, the autoscaler adds pods, up to maxReplicas.")
        _scale_out(stage, load)
        stage.step("A new model under load: modelVersion v1 to v2")
        stage.say(
            "One field changes, as it would in Git. An old pod goes only when a new one is ready,"
        )
        stage.say("and answers what it was asked before it leaves: no request may fail.")
        _roll_out(stage, load)
    _predict(stage)
    stage.step(f"Manual scaling: kubectl scale riskpredictor/{PREDICTOR} --replicas=3")
    stage.say("A fixed size is spec.replicas. While it is set there is no autoscaler.")
    _scale_by_hand(stage)
    model_change.tell(stage)
    stage.summary()


def _predict(stage: Stage) -> None:
    with forwarding(stage.client, PREDICTOR) as forward:
        for who, patient in PATIENTS.items():
            answer = Predictor(forward.url).predict(patient)
            stage.console.print(f"  POST /predict {json.dumps(patient)}", style="dim")
            said = (
                f"{answer['risk_level']} ({answer['confidence']:.0%}) "
                f"by model {answer['model_version']}"
            )
            stage.console.print(f"  {who}: {said}")
            stage.fact(f"prediction for {who}", said)


def _scale_out(stage: Stage, load: Load) -> None:
    started = time.monotonic()
    state = stage.until(
        lambda s: s.ready_pods >= 5 and s.settled, seconds=180,
        load=load, goal="from 2 to 5 pods, at 70 % of the CPU request",
    )  # fmt: skip
    stage.fact("scale-out 2 to 5 ready pods", f"{time.monotonic() - started:.0f} s")
    stage.fact(
        "CPU at 5 pods",
        "?" if state.cpu_percent is None else f"{state.cpu_percent} % of the request",
    )


def _roll_out(stage: Stage, load: Load) -> None:
    before = load.sums.failed
    started = time.monotonic()
    patch = json.dumps({"spec": {"modelVersion": "v2"}})
    stage.kubectl("patch", "riskpredictor", PREDICTOR, "--type=merge", f"--patch={patch}")
    stage.until(
        lambda s: s.model == s.serving == "v2" and s.settled, seconds=240,
        load=load, goal="every pod replaced, none missing",
    )  # fmt: skip
    sums = load.sums
    failed = sums.failed - before
    stage.fact("roll-out v1 to v2 under load", f"{time.monotonic() - started:.0f} s")
    stage.fact("failed requests during the roll-out", str(failed))
    served = ", ".join(f"{v}: {n:,}" for v, n in sorted(sums.versions.items()))
    stage.fact("requests answered under load", f"{sums.ok:,} ({served})")
    if sums.failed:
        raise DemoError(f"{sums.failed} requests failed: {dict(sums.failures)}")


def _scale_by_hand(stage: Stage) -> None:
    stage.kubectl("scale", f"riskpredictor/{PREDICTOR}", "--replicas=3")
    stage.until(lambda s: s.settled and s.ready_pods == 3, seconds=90)
    stage.run("get", "riskpredictor,deployment,hpa")
    stage.automatic()
    # Until the autoscaler has read the CPU: it decides from then on.
    state = stage.until(lambda s: s.settled and s.cpu_percent is not None, seconds=90)
    stage.say("back to automatic: the autoscaler goes on from the 3 that ran")
    stage.fact("manual scaling", f"3 pods by hand; automatic again, {state.ready_pods} pods")


def main() -> int:
    """Command line; returns the exit status."""
    parser = arguments(__doc__)
    parser.add_argument("--users", type=int, default=40, help="simulated users")
    options = parser.parse_args()
    return perform(partial(story, options.users), options)


if __name__ == "__main__":
    sys.exit(main())
