"""fake-gcs-server, built from source: Google's interface in memory; it asks for no tokens."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localcluster.gobuild import GoModule, ensure
from support.cluster import ROOT
from support.stores import Source
from support.stores.server import Server, free_port, host

PROGRAM = GoModule(
    "fake-gcs-server",
    "github.com/fsouza/fake-gcs-server",
    "github.com/fsouza/",
    tools=ROOT / "tests" / "tools",
)


class Gcs:
    """The server."""

    authority: Path | None = None

    def __init__(self, address: str, home: Path) -> None:
        account = {
            "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": "",
        }  # fmt: skip
        self.credentials: Mapping[str, str] = {"service-account.json": json.dumps(account)}
        (home / "data" / "models").mkdir(parents=True)
        port = free_port(address)
        self.endpoint = f"http://{host(address)}:{port}"
        program = ensure(PROGRAM, ["fake-gcs-server"]) / "fake-gcs-server"
        self._server = Server(
            [
                program,
                *("-scheme", "http", "-host", address, "-port", str(port)),
                *("-backend", "filesystem", "-filesystem-root", home / "data"),
                *("-public-host", f"{host(address)}:{port}", "-external-url", self.endpoint),
            ],
            address,
            port,
            home,
        )
        self.stop = self._server.stop

    def _source(self, prefix: str) -> Source:
        return {"gcs": {"bucket": "models", "prefix": prefix, "endpoint": self.endpoint}}

    def put(self, folder: Path) -> Source:
        """See ``Store``; by Google's JSON interface, for the server lacks a part of the other."""
        for path in folder.iterdir():
            query = urllib.parse.urlencode({"uploadType": "media", "name": f"risk/v2/{path.name}"})
            url = f"{self.endpoint}/upload/storage/v1/b/models/o?{query}"
            urllib.request.urlopen(url, path.read_bytes()).close()
        return self._source("risk/v2")

    def absent(self) -> Source:
        """See ``Store``."""
        return self._source("risk/nowhere")


@contextmanager
def serve(address: str, home: Path) -> Iterator[Gcs]:
    """Run the server with one bucket, ``models``."""
    store = Gcs(address, home)
    try:
        yield store
    finally:
        store.stop()
