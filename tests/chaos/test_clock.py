"""A leader whose clock jumps."""

from __future__ import annotations

import datetime
import time
from functools import partial
from pathlib import Path

from riskpredictor_operator.runtime.client import LEASE as LEASES
from support import debian
from support.api import Api, eventually
from support.endstate import await_order
from support.operator import LEASE, LEASE_SECONDS, OperatorProcess
from support.predictors import Predictors


def _holder(api: Api) -> str:
    holder: str = api.need(LEASES, LEASE)["spec"]["holderIdentity"]
    return holder


def _is_ahead(api: Api, seconds: float) -> bool:
    """Whether the leader's clock is so far ahead of ours, as its renewals tell."""
    renewed = datetime.datetime.fromisoformat(api.need(LEASES, LEASE)["spec"]["renewTime"])
    ahead = (renewed - datetime.datetime.now(datetime.UTC)).total_seconds()
    return abs(ahead - seconds) < 10.0


def test_a_leader_whose_clock_jumps_goes_on(
    api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    """As when a time server steps it: the wall clock jumps, the monotonic one does not."""
    offset = tmp_path / "offset"
    offset.write_text("+0")
    environment = {
        "LD_PRELOAD": debian.file_of("libfaketime", "libfaketimeMT.so.1"),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    leader = OperatorProcess(operator_config, tmp_path / "leader.log", environment=environment)
    standby = None
    try:
        leader.wait_for("listed ")
        standby = OperatorProcess(operator_config, tmp_path / "standby.log")
        standby.wait_for("standing by")
        holder = _holder(api)
        key = predictors.create(minReplicas=1)
        for n, jump in enumerate((3600, -3600, 400 * 86400), start=2):
            offset.write_text(f"{jump:+}")
            eventually(partial(_is_ahead, api, jump), what="its clock jumps")
            # Longer than the lease, which a wrong comparison of times would find expired.
            time.sleep(LEASE_SECONDS * 1.2)
            predictors.patch(key, modelVersion=f"v{n}")
            predictors.wait(key)
            assert _holder(api) == holder, f"after a jump to {jump} s"
    finally:
        leader.stop()
        if standby is not None:
            standby.stop()
    await_order(api, key.namespace, {key.name: {"modelVersion": "v4"}}, events=20)
    assert "Traceback" not in leader.says()
