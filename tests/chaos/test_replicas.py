"""Two and three replicas whose leader is killed, frozen or cut off: one writes, never two at once.

Each replica has a token of its own, so the audit log tells which of them wrote what.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from riskpredictor_operator.runtime.client import LEASE as LEASES
from support import operator as operators
from support.api import Api, eventually
from support.audit import WRITES, Mark, resource_of
from support.changes import Changes
from support.cluster import LocalCluster
from support.endstate import await_order
from support.operator import LEASE, LEASE_SECONDS, Supervisor
from support.proxy import Proxy


@dataclass(frozen=True)
class Replica:
    """One replica, and the line between it and the API server."""

    supervisor: Supervisor
    proxy: Proxy

    def leads_as(self, holder: str) -> bool:
        return f"leading as {holder}" in self.supervisor.says()

    def fail(self, fault: str) -> None:
        """From now on it cannot renew the Lease."""
        match fault:
            case "killed":
                self.supervisor.kill()
            case "frozen":
                self.supervisor.current.send(signal.SIGSTOP)
            case "cut off":
                self.proxy.hold()

    def recover(self, fault: str) -> None:
        """The fault is over; killed, it has been started again already."""
        if fault == "frozen":
            self.supervisor.current.send(signal.SIGCONT)
        elif fault == "cut off":
            self.proxy.release()


@pytest.fixture
def replicas(
    request: pytest.FixtureRequest, cluster: LocalCluster, tmp_path: Path
) -> Iterator[list[Replica]]:
    """As many as the test asks for; the first leads."""
    with ExitStack() as stack:
        found: list[Replica] = []
        for number in range(request.param):
            folder = tmp_path / str(number)
            folder.mkdir()
            proxy = stack.enter_context(Proxy(operators.kubeconfig(cluster, folder)))
            config = proxy.kubeconfig(folder / "proxied.kubeconfig")
            ready = "standing by" if found else "listed "
            supervisor = Supervisor(config, folder / "operator.log", ready=ready)
            found.append(Replica(stack.enter_context(supervisor), proxy))
        yield found
    assert not any("Traceback" in replica.supervisor.says() for replica in found)


def _holder(api: Api) -> str:
    holder: str = api.need(LEASES, LEASE)["spec"]["holderIdentity"]
    return holder


@pytest.mark.parametrize(
    ("replicas", "fault"), [(3, "killed"), (2, "frozen"), (3, "cut off")], indirect=["replicas"]
)
def test_another_takes_over_and_the_two_never_write_at_once(
    cluster: LocalCluster,
    api: Api,
    replicas: list[Replica],
    namespace: str,
    fault: str,
    long: bool,
) -> None:
    rounds = 4 if long else 1
    rng, mark = random.Random(len(replicas)), Mark(cluster)
    changes = Changes(api, namespace, seed=len(replicas), count=4)
    await_order(api, namespace, changes.wanted)
    for _ in range(rounds):
        time.sleep(rng.uniform(0.0, 1.0))
        changes.some(3)
        holder = _holder(api)
        (leader,) = (replica for replica in replicas if replica.leads_as(holder))
        failed = time.monotonic()
        leader.fail(fault)
        changes.some(3)
        try:
            eventually(lambda holder=holder: _holder(api) not in ("", holder), within=15)  # type: ignore[misc]
            # More than the lease: those who stand by look again in steps.
            assert time.monotonic() - failed < LEASE_SECONDS + 1.5
            changes.create()
            time.sleep(1.0)
        finally:
            leader.recover(fault)
        changes.some(3)
        time.sleep(1.0)
    await_order(api, namespace, changes.wanted, events=30, within=120)

    def exits() -> list[int]:
        return [code for replica in replicas for code in replica.supervisor.exits]

    status = -signal.SIGKILL if fault == "killed" else 1
    eventually(lambda: exits() == [status] * rounds, within=30, what="the failed ones ended")
    stretches = _stretches(mark, namespace)
    # Killed, it is started again at once, and may be the one that leads again.
    least = 1 if fault == "killed" else rounds + 1
    told = "\n".join(stretches)
    assert least <= len(stretches) <= rounds + 1, f"one after the other, never in turns:\n{told}"


def _stretches(mark: Mark, namespace: str) -> list[str]:
    """The writes that the API server took, in its order: a line for each stretch of one writer."""
    writes = sorted(
        (
            entry["requestReceivedTimestamp"],
            entry["user"]["extra"][_CREDENTIAL][0],
            f"{entry['verb']} {resource_of(entry)} {entry['objectRef'].get('name', '')}",
        )
        for entry in mark.requests()
        if entry["verb"] in WRITES
        and entry["objectRef"].get("namespace") == namespace
        and entry["responseStatus"]["code"] < 300
    )
    stretches = [list(stretch) for _, stretch in groupby(writes, key=lambda write: write[1])]
    return [
        f"{first[1]}: {first[0]} to {last[0]}, {len(stretch)} writes, the first: {first[2]}"
        for stretch in stretches
        for first, last in [(stretch[0], stretch[-1])]
    ]


_CREDENTIAL = "authentication.kubernetes.io/credential-id"
