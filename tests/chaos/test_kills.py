"""The operator is killed at any moment of its work."""

from __future__ import annotations

import random
import time
from pathlib import Path

from support.api import Api
from support.changes import Changes
from support.endstate import await_order
from support.operator import Supervisor


def test_killed_again_and_again_while_things_change(
    api: Api, operator_config: Path, namespace: str, tmp_path: Path, long: bool
) -> None:
    kills, predictors = (50, 100) if long else (6, 15)
    rng, changes = random.Random(50), Changes(api, namespace, seed=50)
    log = tmp_path / "operator.log"
    # Without the Lease, for which each restart would wait: leaders are killed in another test.
    with Supervisor(operator_config, log, "--leader-election=false") as operator:
        changes.create(predictors)
        for _ in range(kills):
            until = time.monotonic() + rng.uniform(0.3, 3.0)
            while time.monotonic() < until:
                changes.some()
                time.sleep(rng.uniform(0.02, 0.2))
            operator.kill()
        # Each change and each restart may tell something.
        await_order(api, namespace, changes.wanted, events=30 + kills, within=180)
    assert operator.exits.count(-9) >= kills - 2, "most kills met a living operator"
    assert changes.count >= 100 or not long
    assert "Traceback" not in operator.says()
