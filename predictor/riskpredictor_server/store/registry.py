"""Talks to an OCI registry: references, blobs, manifests, and the ways to be let in.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from riskpredictor_server.store.docker_config import account_of
from riskpredictor_server.store.errors import DIGEST_MISMATCH, FETCH_FAILED, REJECTED, StoreError
from riskpredictor_server.store.http import Answer, basic
from riskpredictor_server.store.transport import FetchContext

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MANIFEST_LIMIT = 4 * 1024 * 1024
"""Most bytes of a manifest, and of a token's answer; registries have the same limit."""
FIELD = "spec.model.source.oci.reference"
_REFERENCE = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?P<host>\[[0-9a-fA-F:]+\](?::\d+)?|[A-Za-z0-9.-]+(?::\d+)?)"
    r"/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>\S+))?"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_ANSWER_IS_CHALLENGE = 401


@dataclass(frozen=True)
class Reference:
    """Where an artifact is: ``[SCHEME://]HOST/REPOSITORY[:TAG][@DIGEST]``."""

    scheme: str
    """``https``, unless the reference says ``http://`` or the host is this machine."""
    host: str
    repository: str
    tag: str
    digest: str
    """Empty, or ``sha256:`` and 64 hexadecimal digits; then it decides, and not the tag."""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises StoreError, naming the field."""
        found = _REFERENCE.fullmatch(text)
        host = found["host"] if found else ""
        if not found or not re.search(r"[.:]|^localhost$", host):
            raise _wrong(text, "must be HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:DIGEST")
        tag, digest = found["tag"] or "", found["digest"] or ""
        if digest and not DIGEST.fullmatch(digest):
            raise _wrong(text, "the digest must be sha256: and 64 hexadecimal digits")
        if not tag and not digest:
            raise _wrong(text, "has neither a tag nor a digest; add :TAG or @sha256:DIGEST")
        scheme = found["scheme"] or ("http" if _is_this_machine(host) else "https")
        return cls(scheme, host, found["repository"], tag, digest)

    @property
    def url(self) -> str:
        """What the API's paths of the repository begin with."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{self.scheme}://{host}/v2/{self.repository}"

    @property
    def name(self) -> str:
        """How messages name the repository."""
        return f"{self.host}/{self.repository}"


def _is_this_machine(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _wrong(text: str, what: str) -> StoreError:
    return StoreError(FETCH_FAILED, f"{FIELD}: {text[:200]!r}: {what}")


class Registry:
    """One repository, with the right that its registry gave us so far."""

    def __init__(self, reference: Reference, context: FetchContext) -> None:
        self.reference, self._context = reference, context
        self._authorization = ""

    def get(self, path: str, limit: int, **headers: str) -> Answer:
        """Get what is at ``path`` of the repository; raises StoreError."""
        return self.send("GET", f"{self.reference.url}/{path}", limit, headers=headers)

    def blob(self, digest: str, size: int) -> bytes:
        """Return a blob, verified; raises StoreError."""
        body = self.get(f"blobs/{digest}", size).body
        check_digest(body, digest, f"the blob {digest} of {self.reference.name}")
        return body

    def send(
        self,
        method: str,
        url: str,
        limit: int = MANIFEST_LIMIT,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        """Send a request, and once more if the registry wants to know who asks."""
        headers = dict(headers or {})
        # A registry may have its blobs put elsewhere, which must not see who we are.
        own = urlsplit(url).netloc == urlsplit(self.reference.url).netloc
        if own and self._authorization:
            headers["Authorization"] = self._authorization
        tried = (*accept, _ANSWER_IS_CHALLENGE) if own else accept
        http = self._context.http
        answer = http.request(url, limit, method=method, headers=headers, body=body, accept=tried)
        if not own or answer.status != _ANSWER_IS_CHALLENGE:
            return answer
        self._authorization = self._authorize(answer.headers.get("www-authenticate", ""))
        headers["Authorization"] = self._authorization
        return http.request(url, limit, method=method, headers=headers, body=body, accept=accept)

    def _authorize(self, challenge: str) -> str:
        """Return the header that a challenge asks for."""
        if token := self._context.credential("token"):
            return f"Bearer {token}"
        account = self._account()
        kind, _, rest = challenge.strip().partition(" ")
        if kind.lower() == "bearer":
            return f"Bearer {self._token(dict(_CHALLENGE.findall(rest)), account)}"
        if kind.lower() != "basic":
            raise StoreError(
                FETCH_FAILED,
                f"{self.reference.name}: the registry asks for {kind or 'nothing known'!r}; only"
                " Basic and Bearer are known",
            )
        if account is None:
            config = self._context.credential(".dockerconfigjson")
            lacks = f"; its .dockerconfigjson has none for {self.reference.name}" if config else ""
            raise StoreError(
                FETCH_FAILED,
                f"{self.reference.name}: the registry wants a user name and a password; put them"
                " into the Secret of spec.model.credentialsSecret, as .dockerconfigjson or as"
                f" username and password{lacks}",
            )
        return basic(*account)

    def _account(self) -> tuple[str, str] | None:
        """Return user name and password; None if there are none for this repository."""
        context = self._context
        if config := context.credential(".dockerconfigjson"):
            return account_of(config, self.reference.host, self.reference.repository)
        username, password = context.credential("username"), context.credential("password")
        return (username, password) if username and password else None

    def _token(self, challenge: Mapping[str, str], account: tuple[str, str] | None) -> str:
        """Ask for a token where the challenge says; without an account, for what is public."""
        realm = challenge.get("realm", "")
        if self.reference.scheme == "https" and not realm.startswith("https://"):
            raise StoreError(
                FETCH_FAILED,
                f"{self.reference.name}: the registry sends us to {realm[:200]!r} for a token,"
                " which is not encrypted: refused",
            )
        query = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        headers = {"Authorization": basic(*account)} if account else {}
        answer = self._context.http.request(url, MANIFEST_LIMIT, headers=headers)
        token = object_of(answer.body, f"the token of {self.reference.name}")
        found = token.get("token") or token.get("access_token")
        if not isinstance(found, str):
            raise StoreError(FETCH_FAILED, f"{self.reference.name}: got no token from {realm}")
        return found

    def upload(self, data: bytes) -> str:
        """Put a blob where it is not already; returns its digest."""
        digest = digest_of(data)
        here = self.reference.url
        if self.send("HEAD", f"{here}/blobs/{digest}", accept=(404,)).status != 404:
            return digest
        kind = {"Content-Type": "application/octet-stream"}
        begun = self.send("POST", f"{here}/blobs/uploads/", headers=kind, body=b"")
        place = urljoin(f"{here}/blobs/uploads/", begun.headers.get("location", ""))
        mark = "&" if urlsplit(place).query else "?"
        self.send("PUT", f"{place}{mark}digest={digest}", headers=kind, body=data)
        return digest


def digest_of(data: bytes) -> str:
    """Return the digest as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def check_digest(data: bytes, digest: str, what: str) -> None:
    """Raise StoreError unless ``data`` has the digest."""
    found = digest_of(data)
    if found != digest:
        raise StoreError(
            DIGEST_MISMATCH,
            f"{what} is damaged in the registry: its bytes have the digest {found}; push it again",
        )


def object_of(body: bytes, what: str) -> dict[str, Any]:
    """Parse an object; raises StoreError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise StoreError(REJECTED, f"{what}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise StoreError(REJECTED, f"{what}: not a JSON object")
    return value
