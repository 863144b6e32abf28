"""The operator as a process with its own, least-privilege service account."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

import yaml

from riskpredictor_operator.kube import Key
from riskpredictor_operator.settings import Settings
from support.cluster import ROOT, LocalCluster

SYSTEM = "riskpredictor-system"
ACCOUNT = "riskpredictor-operator"
USER = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
LEASE = Key(SYSTEM, Settings().lease_name)
LEASE_SECONDS = 5.0
"""How long a leader that is gone is waited for, in tests."""
ALONE = "--lease-seconds=30"
"""Flag of an operator for whose Lease nobody else waits: a machine that stalls for seconds must not
cost it."""


def install(cluster: LocalCluster, overlay: str = "deploy/operator") -> None:
    """CRD, account and rights as users install them; the pods are left out, a process stands in."""
    cluster.install_crd()
    cluster.kubectl("apply", "-k", overlay)
    cluster.kubectl("-n", SYSTEM, "delete", "deployment", "riskpredictor-operator")


def kubeconfig(
    cluster: LocalCluster, folder: Path, account: str = ACCOUNT, token_flags: Sequence[str] = ()
) -> Path:
    """A kubeconfig with a token of the operator's service account."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("-n", SYSTEM, "create", "token", account, "--duration=4h", *token_flags)
    config["users"][0]["user"] = {"token": token.strip()}
    path = folder / f"{account}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


class OperatorProcess:
    """One running operator."""

    def __init__(
        self,
        config: Path,
        log: Path,
        *flags: str,
        path: Path = ROOT / "operator",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``path`` is the folder that holds the package; ``environment`` is added to ours."""
        self.log = log
        own = {"KUBECONFIG": str(config), "PYTHONPATH": str(path)}
        # The client writes certificates to files, which a killed process leaves behind.
        own["TMPDIR"] = str(log.parent)
        with log.open("a") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "riskpredictor_operator", "--http-port=0",
                 f"--operator-namespace={SYSTEM}", f"--lease-seconds={LEASE_SECONDS}", *flags],
                env={**os.environ, **own, **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The operator's process id."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, within: float = 30.0) -> int:
        """Wait for its end; its exit status."""
        return self._process.wait(timeout=within)

    def says(self) -> str:
        """The log so far."""
        return self.log.read_text()

    def wait_for(self, text: str, within: float = 60.0) -> None:
        """Wait until the log has a text."""
        deadline = time.monotonic() + within
        while text not in self.says():
            assert self._process.poll() is None, f"the operator ended:\n{self.says()}"
            assert time.monotonic() < deadline, f"no {text!r} within {within} s:\n{self.says()}"
            time.sleep(0.02)

    def stop(self) -> None:
        """Orderly stop; a process that does not obey is killed and fails the test."""
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.wait()
            raise AssertionError(f"the operator did not stop:\n{self.says()}") from None


@contextmanager
def running(config: Path, log: Path, *flags: str) -> Iterator[OperatorProcess]:
    """An operator that leads, for the length of the block."""
    operator = OperatorProcess(config, log, ALONE, *flags)
    try:
        operator.wait_for("listed ")
        yield operator
    finally:
        operator.stop()


class Supervisor:
    """Starts the operator again whenever it ends, as Kubernetes does; a context manager."""

    def __init__(self, config: Path, log: Path, *flags: str, ready: str = "listed ") -> None:
        """``ready`` is what the log says once it may be used."""
        self._ready = ready
        self._start = partial(OperatorProcess, config, log, *flags)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.exits: list[int] = []
        """Exit statuses, those of signals negative."""
        self.current = self._start()

    def __enter__(self) -> Self:
        try:
            self.current.wait_for(self._ready)
        except AssertionError:
            self.current.stop()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=30)
        self.current.stop()

    def kill(self) -> None:
        """SIGKILL the one that runs now."""
        with suppress(ProcessLookupError):
            self.current.send(signal.SIGKILL)

    def says(self) -> str:
        """The log of all of them."""
        return self.current.says()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            with suppress(subprocess.TimeoutExpired):
                self.exits.append(self.current.wait(within=0.1))
                self.current = self._start()
