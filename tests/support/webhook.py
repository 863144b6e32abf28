"""A mutating admission webhook on this machine."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from riskpredictor_operator.kube import Key, Resource
from support.api import Api, Body

CONFIGURATION = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
)  # fmt: skip

Mutation = Callable[[int, Body], list[Body]]
"""JSON patch for the request of this number and its object."""


@contextmanager
def mutating(
    api: Api, folder: Path, namespace: str, resource: Resource, mutation: Mutation
) -> Iterator[None]:
    """Have every write of a kind in a namespace changed, for the length of the block."""
    certificate, key = _certificate(folder)
    count = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal count
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            count += 1
            patch = json.dumps(mutation(count, review["request"]["object"]))
            answer = {
                "uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch",
                "patch": base64.b64encode(patch.encode()).decode(),
            }  # fmt: skip
            data = json.dumps({**review, "response": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        name = f"mutating-{namespace}"
        api.create(CONFIGURATION, _configuration(
            name, namespace, resource, f"https://127.0.0.1:{server.server_port}/",
            certificate.read_bytes(),
        ))  # fmt: skip
        try:
            yield
        finally:
            api.delete(CONFIGURATION, Key("", name))
            server.shutdown()


def _configuration(
    name: str, namespace: str, resource: Resource, url: str, authority: bytes
) -> Body:
    return {
        "metadata": {"name": name},
        "webhooks": [{
            # If it cannot be asked, for it is shutting down, it changes nothing.
            "name": "mutating.example.com", "failurePolicy": "Ignore", "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{
                "apiGroups": [resource.group], "apiVersions": [resource.version],
                "resources": [resource.plural], "operations": ["CREATE", "UPDATE"],
            }],
        }],
    }  # fmt: skip


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "webhook.crt", folder / "webhook.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=webhook", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
