"""Flux's kustomize-controller, built from source; an HTTP server is its source of manifests."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from localcluster.gobuild import GoModule, ensure
from riskpredictor_operator.kube import Key, Resource
from support import kinds
from support.api import Api, Body, eventually
from support.cluster import ROOT, LocalCluster

CONTROLLER = GoModule(
    "kustomize-controller",
    "github.com/fluxcd/kustomize-controller",
    "github.com/fluxcd/",
    tools=ROOT / "tests" / "tools",
)
GATES = "ExternalArtifact=true,CancelHealthCheckOnNewRevision=true"
"""The first is for the stand-in of the source; the second is what docs/GITOPS.md asks for."""

KUSTOMIZATION = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
ARTIFACT = Resource("source.toolkit.fluxcd.io", "v1", "externalartifacts", "ExternalArtifact")


def install_kinds(cluster: LocalCluster) -> None:
    """Flux's CRDs, as the two controllers ship them; a ``Source`` stands in for the second one."""
    for module, resource in ((kinds.FLUX_SOURCES, ARTIFACT), (kinds.of(CONTROLLER), KUSTOMIZATION)):
        bases = module.folder() / "config" / "crd" / "bases"
        kinds.install(cluster, bases, f"{resource.plural}.{resource.group}")


@contextmanager
def running(cluster: LocalCluster, log: Path) -> Iterator[None]:
    """The controller as a process, with an administrator's rights as Flux has them."""
    program = ensure(CONTROLLER, ["kustomize-controller"]) / "kustomize-controller"
    install_kinds(cluster)
    with log.open("a") as out:
        process = subprocess.Popen(
            [program, f"--feature-gates={GATES}", "--metrics-addr=0",
             "--health-addr=0", "--requeue-dependency=2s", "--http-retry=1"],
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "TMPDIR": str(log.parent)},
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        eventually(lambda: _works(process, log), within=60, what="Flux works")
        yield
        assert process.poll() is None, log.read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(timeout=60)


def _works(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-2000:]
    return "Starting workers" in log.read_text()


class Source:
    """A stand-in for a Git repository: every commit is an artifact that an address serves."""

    def __init__(self, api: Api, key: Key, folder: Path, address: str) -> None:
        self.name = key.name
        self._api = api
        self._key = key
        self._folder = folder
        self._address = address
        self._commits = 0
        metadata = {"name": key.name, "namespace": key.namespace}
        api.create(ARTIFACT, {"metadata": metadata, "spec": {}})

    def commit(self, files: Mapping[str, str]) -> str:
        """Publish these files and nothing else; returns the revision."""
        self._commits += 1
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        name = f"{self._commits}.tar.gz"
        (self._folder / name).write_bytes(packed.getvalue())
        revision = f"main@sha1:{self._commits:040x}"
        artifact = {
            "path": name,
            "url": f"{self._address}/{name}",
            "revision": revision,
            "digest": f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}",
            "lastUpdateTime": "2026-01-01T00:00:00Z",
            "size": len(packed.getvalue()),
        }
        self._api.patch(ARTIFACT, self._key, {"status": {"artifact": artifact}}, sub="status")
        return revision


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what matters."""


@contextmanager
def source(api: Api, key: Key, folder: Path) -> Iterator[Source]:
    """A source of this name, served on loopback for the length of the block."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Source(api, key, folder, f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join(timeout=5)


class Delivery:
    """A shipped Kustomization, at work in a namespace of the test's own."""

    def __init__(self, api: Api, namespace: str, shipped: Path, source: str, timeout: str) -> None:
        """Declare it, with another namespace, source and pace and otherwise as it is shipped.

        Args:
            api: the administrator's view.
            namespace: of the Kustomization and its source.
            shipped: the file.
            source: name of the source.
            timeout: how long the health check may take.
        """
        body = yaml.safe_load(shipped.read_text())
        body["metadata"]["namespace"] = namespace
        body["spec"] |= {
            "sourceRef": {"kind": ARTIFACT.kind, "name": source},
            "timeout": timeout,
            "retryInterval": "3s",
        }
        self._api = api
        self.key = Key(namespace, body["metadata"]["name"])
        api.create(KUSTOMIZATION, body)

    def body(self) -> Body:
        """The Kustomization as it is now."""
        return self._api.need(KUSTOMIZATION, self.key)

    def wait(self, revision: str, status: str = "True", reason: str = "") -> Body:
        """Wait until Flux has applied a revision and found this about its health."""

        def check() -> Body | None:
            body = self.body()
            found = ready(body)
            tried = body["status"].get("lastAttemptedRevision") == revision
            fits = found.get("status") == status and reason in ("", found.get("reason"))
            return found if tried and fits else None

        found = eventually(check, within=60, every=0.1, what=f"{revision}: {status} {reason}")
        assert found is not None
        return found

    def end(self) -> None:
        """Delete it if it is there, and wait until Flux has removed what it applied."""
        if self._api.get(KUSTOMIZATION, self.key) is not None:
            self._api.delete(KUSTOMIZATION, self.key)
        eventually(lambda: self._api.get(KUSTOMIZATION, self.key) is None, within=60, every=0.1)


def ready(body: Body) -> Body:
    """A Kustomization's Ready condition; empty if it has none yet."""
    conditions = body.get("status", {}).get("conditions", [])
    return next((dict(c) for c in conditions if c["type"] == "Ready"), {})
