"""HTTP requests to the API server: credentials, time limits, errors.

The only module that uses the Kubernetes client library. Bodies are plain JSON: the library's typed
models cost more than the request, and server-side apply wants exactly the fields that are meant.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import kopf
import yaml
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from riskpredictor_operator.kube import ApiError, Body, Resource
from riskpredictor_operator.runtime import metrics, write_guard
from riskpredictor_operator.runtime.write_guard import (
    Guard,
    LeadershipLostError,
    guarded_request,
    no_guard,
)

LONGEST_RETRY_AFTER = 60.0
"""The longest Retry-After that is honoured: clocks differ, and a proxy may ask for a day."""


class NoClusterError(Exception):
    """Neither a pod's service account nor a usable kubeconfig is there; the message says why."""


@dataclass
class Transport:
    """One API server and the credentials for it."""

    client: ApiClient
    request_seconds: float

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

        ``guard`` is asked now, and again when the connection is there and the bytes leave.

        Raises:
            ApiError: refused, or no usable answer in time (status 0).
            LeadershipLostError: the guard forbids it.
        """
        guard()
        write_guard.guard.set(guard)
        kind = resource.plural if resource else "-"
        status: int | None = 0
        try:
            response = await self._send(
                method, path, query, body, content_type, self.request_seconds
            )
            status, data = response.status, await response.read()
        except _UNREACHABLE as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error
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
            response = await self._send("GET", path, query, None, "", seconds)
            async with response:
                async for line in response.content:
                    yield line
        except (*_UNREACHABLE, ValueError) as error:
            # ValueError: a line longer than the client reads.
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error

    async def connection(self) -> kopf.ConnectionInfo:
        """The same server and credentials for kopf's watches; tokens are read anew."""
        settings = self.client.configuration
        header = (await settings.get_api_key_with_prefix("BearerToken")) or ""
        scheme, _, token = header.rpartition(" ")
        return kopf.ConnectionInfo(
            server=settings.host,
            ca_path=settings.ssl_ca_cert,
            insecure=not settings.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=token or None,
            certificate_path=settings.cert_file,
            private_key_path=settings.key_file,
            proxy_url=settings.proxy,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

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
        # Puts the token in, read again from its file once a minute.
        await self.client.update_params_for_auth(
            headers, [], ["BearerToken"], path, method, body, request_auth=None
        )
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
    configuration = Configuration()
    named = _named_kubeconfig()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and not named:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise NoClusterError(str(error)) from error
    except (yaml.YAMLError, AttributeError, TypeError, UnicodeDecodeError) as error:
        # The client library expects a mapping of the right form.
        raise NoClusterError(f"{named or 'the kubeconfig'} is no kubeconfig: {error}") from error
    configuration.proxy = configuration.proxy or _proxy_for(configuration.host)
    return transport_to(configuration, user_agent, request_seconds, write_seconds)


def transport_to(
    configuration: Configuration, user_agent: str, request_seconds: float, write_seconds: float
) -> Transport:
    """The cluster that a configuration of the client library names."""
    configuration.connection_pool_maxsize = 100
    # aiohttp would look up the environment's proxy, and read ~/.netrc in a thread, for every
    # request: a fifth of what one costs. Credentials are the kubeconfig's, or the pod's.
    configuration.client_session_kwargs = {
        "trust_env": False,
        "request_class": guarded_request(write_seconds),
    }
    client = ApiClient(configuration)
    client.user_agent = user_agent
    return Transport(client, request_seconds)


def _proxy_for(server: str) -> str | None:
    """The proxy of the environment (HTTPS_PROXY ...) for a URL, unless NO_PROXY excludes it."""
    parts = urlsplit(server)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _named_kubeconfig() -> str:
    """What KUBECONFIG names. Where that is no file, the client library would silently ignore it."""
    named = os.environ.get("KUBECONFIG", "")
    if named and not any(Path(part).is_file() for part in named.split(os.pathsep)):
        raise NoClusterError(f"KUBECONFIG names no file: {named}")
    return named


_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError, config.ConfigException)
"""Errors that mean no answer. ConfigException: a token that cannot be read just now."""


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
