"""HTTP requests to the API server: credentials, time limits, errors.

Bodies are plain JSON: the client library's typed models cost more than the request, and server-side
apply wants exactly the fields that are meant.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import kopf
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from riskpredictor_operator.kube import ApiError, Body, Resource
from riskpredictor_operator.runtime import metrics, write_guard
from riskpredictor_operator.runtime.login import Login, load_cluster
from riskpredictor_operator.runtime.logs import without_passwords
from riskpredictor_operator.runtime.write_guard import (
    Guard,
    LeadershipLostError,
    guarded_request,
    no_guard,
)

SHORTEST_USE = timedelta(seconds=5)
"""How long kopf uses credentials at least; a plug-in may repeat one until, or after, its end."""
LONGEST_RETRY_AFTER = 60.0
"""The longest Retry-After that is honoured: clocks differ, and a proxy may ask for a day."""


@dataclass
class Transport:
    """One API server and the credentials for it."""

    client: ApiClient
    request_seconds: float
    login: Login
    make: Callable[[Configuration], ApiClient]
    """Makes another client, for another certificate."""
    _certificate: tuple[bytes, bytes] = field(init=False)
    _told: tuple[str, tuple[bytes, bytes]] | None = field(default=None, init=False)
    _former: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._certificate = self.login.certificate

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self.login.now.configuration.host)

    @property
    def proxy(self) -> str:
        """The proxy on the way to it, without user and password; or nothing."""
        parts = urlsplit(self.login.now.configuration.proxy or "")
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""

    async def call(
        self,
        method: str,
        path: str,
        resource: Resource | None,
        query: Mapping[str, str] | None = None,
        body: Body | Sequence[Body] | None = None,
        content_type: str = "application/json",
        *,
        verb: str = "get",
        guard: Guard = no_guard,
    ) -> dict[str, Any]:
        """The answer to one request, which is counted by verb and resource.

        ``guard`` is asked now, and again when the connection is there and the bytes leave. If the
        credentials are refused (401), the request is sent again with the next ones.

        Raises:
            ApiError: refused, or no usable answer in time (status 0).
            LeadershipLostError: the guard forbids it.
        """
        guard()
        write_guard.guard.set(guard)
        kind = resource.plural if resource else "-"
        status: int | None = 0
        try:
            response = await self._send_with_fresh_credentials(
                method, path, query, body, content_type, self.request_seconds
            )
            status, data = response.status, await response.read()
        except _UNREACHABLE as error:
            raise ApiError(0, "Unreachable", self._why(error)) from error
        except LeadershipLostError:
            status = None
            raise
        finally:
            if status is not None:
                metrics.API_REQUESTS.labels(verb, kind, str(status)).inc()
        if status >= 400:
            raise _error(status, data, response.headers.get("Retry-After"))
        return _parsed(data)

    async def lines(
        self, path: str, query: Mapping[str, str], seconds: float
    ) -> AsyncGenerator[bytes]:
        """Lines of a streaming answer, for at most so many seconds.

        Raises:
            ApiError: the stream broke.
        """
        try:
            response = await self._send_with_fresh_credentials(
                "GET", path, query, None, "", seconds
            )
            async with response:
                if response.status >= 400:
                    raise _error(response.status, await response.read(), None)
                async for line in response.content:
                    yield line
        except (*_UNREACHABLE, ValueError) as error:
            # ValueError: a line longer than the client reads.
            raise ApiError(0, "Unreachable", self._why(error)) from error

    async def connection(self) -> kopf.ConnectionInfo:
        """The same server and credentials for kopf's watches.

        kopf asks at its start, and again when the credentials have ended or were refused.
        """
        if self._told == (self.login.token, self.login.certificate):
            await self.login.renew()
        self._told = self.login.token, self.login.certificate
        expires, soonest = self.login.now.expires, datetime.now(UTC) + SHORTEST_USE
        settings = self.login.now.configuration
        scheme, _, token = self.login.token.rpartition(" ")
        certificate, key = (pem[pem.find(b"-----BEGIN") :] for pem in self.login.certificate)
        return kopf.ConnectionInfo(
            server=settings.host,
            ca_path=settings.ssl_ca_cert,
            insecure=not settings.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=token or None,
            certificate_data=certificate or None,
            private_key_data=key or None,
            proxy_url=settings.proxy,
            expiration=expires and max(expires, soonest),
        )

    async def close(self) -> None:
        """Close the connections."""
        self.login.close()
        for task in self._former:
            task.cancel()
        await asyncio.gather(self.client.close(), *self._former, return_exceptions=True)

    def _why(self, error: Exception) -> str:
        """Why there was no answer, without the proxy's password."""
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return f"the proxy {self.proxy} answers {error.status} {error.message}"
        return without_passwords(str(error)) or type(error).__name__

    async def _send_with_fresh_credentials(self, *request: Any) -> aiohttp.ClientResponse:
        self.login.renew_in_time()
        used = self.login.token, self.login.certificate
        response = await self._send(*request)
        if response.status == 401:
            await self.login.renew(refused=used)
            if (self.login.token, self.login.certificate) != used:
                response.release()
                response = await self._send(*request)
        return response

    def _take_over_certificate(self) -> None:
        """Connect anew where the certificate has changed: a connection keeps its own."""
        if self._certificate == self.login.certificate:
            return
        former, self.client = self.client, self.make(self.login.now.configuration)
        self._certificate = self.login.certificate

        async def close_when_idle() -> None:
            try:
                await asyncio.sleep(2 * self.request_seconds)
            finally:
                await former.close()

        closing = asyncio.create_task(close_when_idle(), name="former connections")
        self._former.add(closing)
        closing.add_done_callback(self._former.discard)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Body | Sequence[Body] | None,
        content_type: str,
        seconds: float,
    ) -> aiohttp.ClientResponse:
        headers = {
            "Accept": "application/json",
            "Content-Type": content_type,
            "User-Agent": self.client.user_agent,
        }
        if self.login.token:
            headers["Authorization"] = self.login.token
        self._take_over_certificate()
        url = f"{self.client.configuration.host}{path}"
        if query:
            url += "?" + urlencode(query)
        answer = await self.client.call_api(
            method,
            url,
            header_params=headers,
            body=body,
            _request_timeout=aiohttp.ClientTimeout(total=seconds),
        )
        response: aiohttp.ClientResponse = answer.response
        return response


async def connect(user_agent: str, request_seconds: float, write_seconds: float = 0.0) -> Transport:
    """The cluster that the pod runs in, else the current context of the kubeconfig.

    Args:
        user_agent: name and version of this program.
        request_seconds: time limit of one request.
        write_seconds: how long a write may be under way unacknowledged; 0: without limit.

    Raises:
        NoClusterError: neither is usable.
    """
    login = Login(await load_cluster(), load_cluster)
    return transport_to(login, user_agent, request_seconds, write_seconds)


def transport_to(
    login: Login, user_agent: str, request_seconds: float, write_seconds: float
) -> Transport:
    """The cluster and the credentials that were found."""
    request_class = guarded_request(write_seconds)

    def make(configuration: Configuration) -> ApiClient:
        configuration.connection_pool_maxsize = 100
        # aiohttp would look up the environment's proxy, and read ~/.netrc in a thread, for every
        # request: a fifth of what one costs. Credentials are the kubeconfig's, or the pod's.
        configuration.client_session_kwargs = {"trust_env": False, "request_class": request_class}
        client = ApiClient(configuration)
        client.user_agent = user_agent
        return client

    return Transport(make(login.now.configuration), request_seconds, login, make)


_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)
"""Errors that mean no answer."""


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        # Cut off, or from a proxy in between: treat it as no answer.
        raise ApiError(0, "Garbled", f"not a JSON object, {len(data)} bytes")
    return answer


def _error(status: int, data: bytes, retry_after: str | None) -> ApiError:
    try:
        answer = json.loads(data)
        details = answer.get("details") or {}
        causes = tuple(cause.get("reason", "") for cause in details.get("causes") or ())
        reason, message = answer.get("reason", ""), answer.get("message", "")
    except (ValueError, AttributeError):
        # The answer of a proxy in between.
        causes, reason, message = (), "", data[:200].decode(errors="replace")
    return ApiError(status, reason, message, _seconds(retry_after), causes)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After is a number of seconds or a date (RFC 9110, section 10.2.3)."""
    if not retry_after:
        return None
    if retry_after.isdigit():
        return min(float(retry_after), LONGEST_RETRY_AFTER)
    try:
        left = parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return None
    return min(max(0.0, left), LONGEST_RETRY_AFTER)
