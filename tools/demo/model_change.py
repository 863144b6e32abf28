"""A model has to prove itself: a good one is promoted, a bad one is stopped before it answers.

    python tools/demo/model_change.py            (``make demo-model-change`` does the set-up first)

CLUSTER and CONTEXT choose the cluster, see tools/cluster/README.md.
"""

from __future__ import annotations

import sys

from riskdemo.model_change import WARD, tell
from riskdemo.stage import Stage, arguments, perform


def story(stage: Stage) -> None:
    """The change of a model, and what came of it."""
    tell(stage)
    stage.summary(WARD)


if __name__ == "__main__":
    sys.exit(perform(story, arguments(__doc__).parse_args()))
