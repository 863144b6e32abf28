"""A store's program as a process, and certificates of an authority of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from support.api import eventually


class Server:
    """A program that listens on a port; ends with the block."""

    def __init__(
        self,
        command: Sequence[str | Path],
        address: str,
        port: int,
        home: Path,
        environment: Mapping[str, str] | None = None,
        within: float = 60.0,
    ) -> None:
        """Start it and wait until it accepts connections."""
        log = home / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )  # fmt: skip

        def listens() -> bool:
            assert self._process.poll() is None, log.read_text()
            with suppress(OSError):
                socket.create_connection((address, port), 1).close()
                return True
            return False

        try:
            eventually(listens, within=within, what=f"{command[0]} on port {port}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill it and what it started; it may have ended already."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port(address: str) -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def host(address: str) -> str:
    """An address as a URL has it."""
    return f"[{address}]" if ":" in address else address


class Authority:
    """Signs certificates, by openssl."""

    def __init__(self, folder: Path, name: str = "Hospital CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.file = folder, folder / "ca.crt"
        usage = "keyUsage=critical,keyCertSign,cRLSign"
        self._openssl("-subj", f"/CN={name}", "-addext", usage,
                      "-keyout", folder / "ca.key", "-out", self.file)  # fmt: skip

    def certificate(self, *names: str) -> tuple[Path, Path]:
        """Return the files of a server's certificate and key; ``names`` are addresses or hosts."""
        certificate, key = self._folder / "server.crt", self._folder / "server.key"
        kinds = [("IP" if name[-1].isdigit() or ":" in name else "DNS", name) for name in names]
        alternatives = ",".join(f"{kind}:{name}" for kind, name in kinds)
        self._openssl("-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}",
                      "-addext", "basicConstraints=critical,CA:FALSE",
                      "-CA", self.file, "-CAkey", self._folder / "ca.key",
                      "-keyout", key, "-out", certificate)  # fmt: skip
        return certificate, key

    def _openssl(self, *arguments: str | Path) -> None:
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30")
        done = subprocess.run(["openssl", "req", "-x509", *new, *arguments],
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
