"""The rights to the Lease are taken away from a leader, and given back.

It must not write on without them: another replica could lead by then. So it ends, says what it
lacks each time that it is started, and goes on where it was once it has the right again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from riskpredictor_operator.program import EXIT_FAILED, EXIT_PREFLIGHT
from support.api import Api, eventually
from support.cluster import LocalCluster
from support.endstate import disorder
from support.operator import Supervisor
from support.predictors import Predictors
from support.roles import LEASE_ROLE, Role


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_leader_that_may_not_renew_ends_and_says_what_it_lacks(
    cluster: LocalCluster,
    api: Api,
    operator_config: Path,
    tmp_path: Path,
    predictors: Predictors,
    verb: str,
) -> None:
    with Supervisor(operator_config, tmp_path / "operator.log") as operator:
        key = predictors.create(minReplicas=1)
        predictors.wait(key)
        with Role.of(cluster, LEASE_ROLE).lacking([(verb, "coordination.k8s.io", "leases")]):
            eventually(lambda: EXIT_PREFLIGHT in operator.exits, within=60, every=0.1)
            assert operator.exits[0] == EXIT_FAILED
            assert f"the operator's account may not {verb} leases" in operator.says()
            predictors.patch(key, modelVersion="v2")
        predictors.wait(key, within=60)
        assert disorder(api, key.namespace, {key.name: {"modelVersion": "v2"}}) == []
    assert "Traceback" not in operator.says()
