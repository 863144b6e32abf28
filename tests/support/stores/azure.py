"""Azurite, Microsoft's emulator of Azure Blob Storage, from npm; it checks every signature."""

from __future__ import annotations

import base64
import email.utils
import hmac
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

from localcluster.paths import cache_root
from localcluster.run import file_lock
from support import debian
from support.cluster import ROOT
from support.fetch import push
from support.stores import Source
from support.stores.server import Server, free_port, host

ACCOUNT, KEY = "hospital", "YS1zZWNyZXQtb2YtYS10ZXN0"
_LOCK = ROOT / "tests" / "store" / "package-lock.json"


@cache
def program() -> Path:
    """The emulator's main file, installed once."""
    home = cache_root() / "npm" / f"azurite-{sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    main = home / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    with file_lock(cache_root() / "locks" / "azurite.lock", "the installation of Azurite"):
        if not main.exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            for name in ("package.json", _LOCK.name):
                shutil.copy(_LOCK.with_name(name), home)
            command = [debian.ensure("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return main


class Azure:
    """The emulator, with one account."""

    authority: Path | None = None

    def __init__(self, address: str, home: Path) -> None:
        self.credentials: Mapping[str, str] = {"AZURE_STORAGE_ACCOUNT_KEY": KEY}
        port = free_port(address)
        self.endpoint = f"http://{host(address)}:{port}/{ACCOUNT}"
        self._server = Server(
            [
                *("node", program(), "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
                *("--blobHost", address, "--blobPort", str(port), "--location", home / "data"),
            ],
            address,
            port,
            home,
            {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        )
        self.stop = self._server.stop
        self._make_container("models")

    def _make_container(self, name: str) -> None:
        """By a request of one's own, signed with the account's key (Shared Key authorization)."""
        now = email.utils.formatdate(usegmt=True)
        fields = f"x-ms-date:{now}\nx-ms-version:2021-12-02"
        resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        text = "PUT" + "\n" * 12 + f"{fields}\n{resource}"
        signature = base64.b64encode(
            hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")
        ).decode()
        request = urllib.request.Request(
            f"{self.endpoint}/{name}?restype=container",
            method="PUT",
            headers={
                "Authorization": f"SharedKey {ACCOUNT}:{signature}",
                **dict(line.split(":", 1) for line in fields.splitlines()),
            },
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201

    def _source(self, prefix: str) -> Source:
        fields = {"account": ACCOUNT, "container": "models", "prefix": prefix}
        return {"azure": {**fields, "endpoint": self.endpoint}}

    def put(self, folder: Path) -> Source:
        """See ``Store``; written by the project's own tool."""
        push(folder, self._source("risk/v2"), self)
        return self._source("risk/v2")

    def absent(self) -> Source:
        """See ``Store``."""
        return self._source("risk/nowhere")


@contextmanager
def serve(address: str, home: Path) -> Iterator[Azure]:
    """Run the emulator."""
    store = Azure(address, home)
    try:
        yield store
    finally:
        store.stop()
