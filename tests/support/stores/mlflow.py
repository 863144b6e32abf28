"""MLflow's own server with sqlite, which keeps artifacts for its clients, and asks who they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.stores import Source, environment
from support.stores.server import Authority, Server, free_port, host

USERNAME, PASSWORD = "predictor", "a-secret-of-a-test"
ACCOUNTS = """[mlflow]
default_permission = READ
database_uri = sqlite:///{home}/accounts.db
admin_username = {username}
admin_password = {password}
"""
CLIENT = Path(__file__).with_name("mlflow_client.py")
NAME = "risk"


class MLflow:
    """A server; ``options`` are of its command line."""

    def __init__(
        self, address: str, home: Path, *options: str, secure: bool = True, guarded: bool = True
    ) -> None:
        """Start it: by HTTPS with a certificate of its own authority, with user and password."""
        home.mkdir(parents=True, exist_ok=True)
        self._home, self._python = home, environment.python()
        port = free_port(address)
        self.url = f"{'https' if secure else 'http'}://{host(address)}:{port}"
        self.authority: Path | None = None
        self.credentials: Mapping[str, str] = {}
        variables = {
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        arguments = ["--allowed-hosts", "*", *options]
        if guarded:
            accounts = home / "accounts.ini"
            accounts.write_text(ACCOUNTS.format(home=home, username=USERNAME, password=PASSWORD))
            variables["MLFLOW_AUTH_CONFIG_PATH"] = str(accounts)
            arguments += ["--app-name", "basic-auth"]
            self.credentials = {"username": USERNAME, "password": PASSWORD}
        if secure:
            authority = Authority(home / "authority")
            self.authority = authority.file
            certificate, key = authority.certificate(address)
            arguments += ["--uvicorn-opts", f"--ssl-certfile={certificate} --ssl-keyfile={key}"]
        self.artifacts = home / "artifacts"
        self._server = Server(
            [
                self._python, "-m", "mlflow", "server",
                *("--host", address, "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{home}/mlflow.db"),
                *("--artifacts-destination", str(self.artifacts)),
                *arguments,
            ],
            address, port, home, variables, within=300,
        )  # fmt: skip
        self.stop = self._server.stop

    def source(self, uri: str, **more: str) -> Source:
        """A place in it."""
        return {"mlflow": {"server": self.url, "uri": uri, **more}}

    def put(self, folder: Path) -> Source:
        """See ``Store``."""
        [(number, _)] = self.register(folder, "run")
        return self.source(f"models:/{NAME}/{number}")

    def absent(self) -> Source:
        """See ``Store``."""
        return self.source("models:/nowhere/1")

    def register(self, folder: Path, *kinds: str) -> list[tuple[str, str]]:
        """Register a folder as a ``run`` or a ``model``; returns numbers and sources."""
        done = subprocess.run(
            # -P: the folder of the script is no place to import from; it has an http.py.
            [self._python, "-P", CLIENT, folder, NAME, *kinds],
            env={
                **os.environ,
                "MLFLOW_TRACKING_URI": self.url,
                "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.authority or ""),
                "MLFLOW_TRACKING_USERNAME": self.credentials.get("username", ""),
                "MLFLOW_TRACKING_PASSWORD": self.credentials.get("password", ""),
            },
            cwd=self._home, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [
            (str(number), source) for number, source in json.loads(done.stdout.splitlines()[-1])
        ]

    def forget(self) -> None:
        """Remove the files of all artifacts."""
        shutil.rmtree(self.artifacts)


@contextmanager
def serve(address: str, home: Path) -> Iterator[MLflow]:
    """Run a server by HTTPS that asks for user name and password."""
    server = MLflow(address, home)
    try:
        yield server
    finally:
        server.stop()
