"""A server that gives out the tokens a registry asks for, as large registries have one."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from support.stores.oci import PASSWORD, USERNAME
from support.stores.server import Authority, host

ISSUER, SERVICE = "hospital", "the hospital's registry"


class TokenServer:
    """Gives those who have the account, and others if ``public``, the scope they ask for."""

    def __init__(self, address: str, home: Path) -> None:
        authority = Authority(home / "authority")
        certificate, key = authority.certificate("tokens")
        private = load_pem_private_key(key.read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        self._key, self._certificate = private, _pem_body(certificate)
        self.public = False
        self.requests: list[tuple[Mapping[str, list[str]], str]] = []
        """Query and Authorization of each."""
        handler = type("TokenHandler", (_Handler,), {"tokens": self})
        self._server = ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{host(address)}:{self._server.server_port}/token"
        self.auth = {
            "token": {
                "realm": self.url, "service": SERVICE, "issuer": ISSUER,
                "rootcertbundle": str(authority.file),
            }
        }  # fmt: skip
        """For the registry's configuration."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def token(self, scopes: list[str]) -> str:
        """A token for scopes such as ``repository:NAME:pull,push``."""
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": USERNAME, "aud": SERVICE, "jti": str(time.monotonic_ns()),
            "nbf": now - 60, "iat": now, "exp": now + 300, "access": access,
        }  # fmt: skip
        header = {"typ": "JWT", "alg": "ES256", "x5c": [self._certificate]}
        signed = f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    tokens: TokenServer

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        authorization = self.headers.get("Authorization", "")
        self.tokens.requests.append((query, authorization))
        account = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if authorization not in ("", account):
            error = {"code": "UNAUTHORIZED", "message": "no such account here"}
            self._answer(401, {"errors": [error]})
        else:
            allowed = self.tokens.public or authorization == account
            self._answer(200, {"token": self.tokens.token(query["scope"] if allowed else [])})

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _pem_body(file: Path) -> str:
    lines = file.read_text().splitlines()
    return "".join(line for line in lines if not line.startswith("-----"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
