"""Scale by hand, see what the autoscaler does meanwhile, and give the pods back to it.

    python tools/demo/manual_scaling.py            (``make demo-scaling`` does the set-up first)

CLUSTER and CONTEXT choose the cluster, see tools/cluster/README.md.
"""

from __future__ import annotations

import sys
import time

from riskdemo.stage import PREDICTOR, Stage, arguments, perform

CHILDREN = "riskpredictors,deployments,hpa"


def story(stage: Stage) -> None:
    """Up, down, and back to automatic."""
    stage.declare()
    stage.step("Automatic: the autoscaler holds between 2 and 5 pods")
    stage.run("get", CHILDREN)
    _scale(stage, 4, "Up by hand: four pods")
    stage.say("The size is in spec.replicas now, and the HorizontalPodAutoscaler is gone: two")
    stage.say("that both want to say how many pods there are would pull against each other.")
    stage.run("get", CHILDREN)
    _scale(stage, 1, "Down by hand: one pod, below the lower bound")
    stage.say("Bounds bind the autoscaler; a person may go below them.")
    _automatic(stage)
    stage.summary()


def _scale(stage: Stage, pods: int, title: str) -> None:
    stage.step(title)
    started = time.monotonic()
    stage.run("scale", f"riskpredictor/{PREDICTOR}", f"--replicas={pods}")
    stage.until(
        lambda state: state.settled and state.ready_pods == state.running == pods, seconds=120
    )
    stage.fact(f"to {pods} by hand", f"{time.monotonic() - started:.1f} s")


def _automatic(stage: Stage) -> None:
    stage.step("Back to automatic: remove spec.replicas")
    started = time.monotonic()
    stage.automatic()
    state = stage.until(lambda state: state.settled and state.ready_pods >= 2, seconds=120)
    stage.say("The autoscaler went on from the pod that ran, and went up to its lower bound.")
    stage.run("get", CHILDREN)
    stage.fact("automatic again", f"{state.ready_pods} pods, {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    sys.exit(perform(story, arguments(__doc__).parse_args()))
