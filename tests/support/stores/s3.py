"""Versity's S3 gateway over a folder, built from source; it checks every signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcluster.gobuild import GoModule, ensure
from support.cluster import ROOT
from support.fetch import push
from support.stores import Source
from support.stores.server import Authority, Server, free_port, host

PROGRAM = GoModule(
    "versitygw",
    "github.com/versity/versitygw",
    "github.com/versity/versitygw/cmd/",
    tools=ROOT / "tests" / "tools",
)
REGION = "eu-central-1"
KEY, SECRET = "AKIAHOSPITAL", "a-secret-of-a-test"
DOMAIN = "s3.localhost"
"""Of virtual-host style: a bucket's host is BUCKET.s3.localhost, for which a resolver is needed."""


class S3:
    """The gateway; its buckets are folders."""

    def __init__(self, address: str, home: Path) -> None:
        self.authority: Path | None = None
        self.credentials: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        (home / "data" / "models").mkdir(parents=True)
        authority = Authority(home / "authority")
        certificate, key = authority.certificate(address, f"models.{DOMAIN}")
        self.authority = authority.file
        port = free_port(address)
        self.endpoint = f"https://{host(address)}:{port}"
        program = ensure(PROGRAM, ["versitygw"]) / "versitygw"
        self._server = Server(
            [
                program,
                *("--port", f"{host(address)}:{port}", "--region", REGION),
                *("--access", KEY, "--secret", SECRET),
                *("--cert", certificate, "--key", key, "--virtual-domain", DOMAIN),
                *("posix", home / "data"),
            ],
            address,
            port,
            home,
        )
        self.stop = self._server.stop

    def source(self, **changed: Any) -> Source:
        """The place where ``put`` puts; ``changed`` fields on top of it."""
        fields = {
            "bucket": "models", "prefix": "risk/v2", "endpoint": self.endpoint, "region": REGION,
        }  # fmt: skip
        return {"s3": {**fields, **changed}}

    def put(self, folder: Path) -> Source:
        """See ``Store``; written by the project's own tool."""
        push(folder, self.source(), self)
        return self.source()

    def absent(self) -> Source:
        """See ``Store``."""
        return self.source(prefix="risk/nowhere")


@contextmanager
def serve(address: str, home: Path) -> Iterator[S3]:
    """Run the gateway with one bucket, ``models``, by HTTPS."""
    store = S3(address, home)
    try:
        yield store
    finally:
        store.stop()
