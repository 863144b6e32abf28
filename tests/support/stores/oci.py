"""Debian's docker-registry over a folder, and oras, built from source, that pushes to it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from localcluster.gobuild import GoModule, ensure
from support import debian
from support.cluster import ROOT
from support.stores import Source
from support.stores.server import Authority, Server, free_port, host

ORAS = GoModule("oras", "oras.land/oras", "oras.land/oras/cmd/", tools=ROOT / "tests" / "tools")
USERNAME, PASSWORD = "predictor", "a-secret-of-a-test"
HTPASSWD = f"{USERNAME}:$2b$04$abcdefghijklmnopqrstuu.0J/slBeei6d1dwMZgs9u.48cdiQvx6\n"
"""User name and password as ``htpasswd -B`` writes them."""
REPOSITORY = "models/risk"


def registry_program() -> Path:
    """The registry's program."""
    return debian.unpacked("docker-registry") / "usr" / "bin" / "docker-registry"


def docker_config(registry: str, username: str = USERNAME, password: str = PASSWORD) -> str:
    """What ``kubectl create secret docker-registry`` makes."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {registry: {"auth": auth}}})


class Registry:
    """A registry; its blobs are files below ``data``."""

    def __init__(
        self,
        address: str,
        home: Path,
        *,
        secure: bool = True,
        auth: Mapping[str, Any] | None = None,
    ) -> None:
        """Start it, by HTTPS with a certificate of its own authority if ``secure``.

        ``auth`` is that part of its configuration; none: anybody may read and write.
        """
        home.mkdir(parents=True, exist_ok=True)
        self._home, self.data = home, home / "data"
        self.authority: Path | None = None
        self.host = f"{host(address)}:{free_port(address)}"
        # A reference says which only if it is not what a client takes for granted.
        loopback = ip_address(address).is_loopback
        self._scheme = "" if secure != loopback else f"http{'s' * secure}://"
        self.credentials: Mapping[str, str] = {}
        tls = {}
        if secure:
            authority = Authority(home / "authority")
            self.authority = authority.file
            certificate, key = authority.certificate(address)
            tls = {"tls": {"certificate": str(certificate), "key": str(key)}}
        config = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.data)},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, "secret": "of one process", **tls},
            **({"auth": dict(auth)} if auth else {}),
        }
        (home / "config.yml").write_text(yaml.safe_dump(config))
        self._server = Server(
            [registry_program(), "serve", home / "config.yml"],
            address,
            int(self.host.rpartition(":")[2]),
            home,
        )
        self.stop = self._server.stop

    def reference(self, ending: str, repository: str = REPOSITORY) -> str:
        """A reference in this registry: ``:TAG``, ``@DIGEST`` or both."""
        return f"{self._scheme}{self.host}/{repository}{ending}"

    def source(self, ending: str) -> Source:
        """A place in it."""
        return {"oci": {"reference": self.reference(ending)}}

    def put(self, folder: Path) -> Source:
        """See ``Store``; pushed by oras, file by file."""
        return self.source(
            f":v2@{self.oras(folder, ':v2', *sorted(each.name for each in folder.iterdir()))}"
        )

    def absent(self) -> Source:
        """See ``Store``."""
        return self.source(":nowhere")

    def oras(self, folder: Path, ending: str, *files: str, options: tuple[str, ...] = ()) -> str:
        """``oras push`` files of a folder, named as in it; returns the manifest's digest."""
        trust = ["--ca-file", str(self.authority)] if self.authority else ["--plain-http"]
        account = ["--username", USERNAME, "--password", PASSWORD] if self.credentials else []
        program = ensure(ORAS, ["oras"]) / "oras"
        done = subprocess.run(
            [program, "push", "--format", "json", *trust, *account, *options,
             f"{self.host}/{REPOSITORY}{ending}", *files],
            cwd=folder, env={**os.environ, "HOME": str(self._home)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["digest"])

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        value = digest.removeprefix("sha256:")
        return self.data / "docker/registry/v2/blobs/sha256" / value[:2] / value / "data"

    def forget(self) -> None:
        """Remove everything that was pushed."""
        shutil.rmtree(self.data, ignore_errors=True)


def guarded(address: str, home: Path, secure: bool = True) -> Registry:
    """A registry that asks for user name and password."""
    (home / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "hospital", "path": str(home / "htpasswd")}}
    registry = Registry(address, home, secure=secure, auth=auth)
    registry.credentials = {".dockerconfigjson": docker_config(registry.host)}
    return registry


@contextmanager
def serve(address: str, home: Path) -> Iterator[Registry]:
    """Run a registry by HTTPS that asks for user name and password."""
    registry = guarded(address, home)
    try:
        yield registry
    finally:
        registry.stop()
