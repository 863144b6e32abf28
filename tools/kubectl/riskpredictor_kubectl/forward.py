"""Port-forwarding to the Service of a RiskPredictor, by ``kubectl port-forward``.

kubectl forwards many connections at once, and speaks the API server's streaming protocols.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.resources import serving

STOP_SECONDS = 5.0
POD_SECONDS = 15
"""How long kubectl waits for a pod that starts."""


@dataclass
class Forwarding:
    """A running port-forward."""

    host: str
    """Address of this machine that kubectl listens on, as a URL has it."""
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """The local address of the predictor."""
        return f"http://{self.host}:{self.port}"

    def wait(self) -> None:
        """Wait until it ends: its pod went away, or the connection broke."""
        for _ in self.process.stdout or ():
            pass
        self.process.wait()


@contextmanager
def forwarding(
    client: Client, name: str, port: int = 0, *, seconds: float | None = None
) -> Iterator[Forwarding]:
    """Forward a local port, a free one if it is 0, until the end of the block.

    Args:
        client: of the cluster, with the namespace.
        name: of the RiskPredictor.
        port: of this machine.
        seconds: how long kubectl may take to begin, if there is a limit.

    Raises:
        PluginError: no pod answers, or kubectl failed.
    """
    serving(client, name)
    command = [
        client.target.kubectl, *client.target.kubectl_flags, "--namespace", client.namespace,
        # On both families of addresses, or the one that there is.
        "port-forward", "--address=localhost", f"--pod-running-timeout={POD_SECONDS}s",
        f"service/{name}", f"{port or ''}:http",
    ]  # fmt: skip
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
    except FileNotFoundError:
        raise PluginError("kubectl is not on the PATH; it does the port-forward") from None
    limit = threading.Timer(seconds, process.kill) if seconds else None
    if limit:
        limit.start()
    try:
        address = _address(process, name)
        if limit:
            limit.cancel()
        yield Forwarding(*address, process)
    finally:
        if limit:
            limit.cancel()
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen[str], name: str) -> tuple[str, int]:
    output = []
    for line in process.stdout or ():
        if match := re.match(r"Forwarding from (\S+):(\d+) ", line):
            return match[1], int(match[2])
        output.append(line.strip().removeprefix("error: "))
    why = " ".join(output)
    if "pod is not running" in why or "no pods" in why or "timed out" in why:
        raise PluginError(
            f"no pod of {name} can be reached ({why}); see: kubectl riskpredictor status {name}"
        )
    raise PluginError(f"kubectl port-forward: {why or 'it ended without a message'}")
