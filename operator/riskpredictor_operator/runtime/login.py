"""Finds the API server, the way to it and the credentials for it; reads the credentials again.

Tokens and certificates end: those of a credential plug-in (``exec``) after 15 minutes or an hour,
those in files when they are rotated. Server and context are the first ones for good: a process that
holds the lease of one cluster must never write into another.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.client.rest import should_bypass_proxies

from riskpredictor_operator.runtime.credential_plugin import plugins_that_end

logger = logging.getLogger(__name__)

FILES_SECONDS = 60.0
"""How often tokens and certificates in files are read."""
MARGIN_SECONDS = 30.0
"""How long before its end a plug-in is asked for the next credential."""
PAUSE_SECONDS = 5.0
"""Least time between two readings, however often the API server refuses what was read."""
PLUGIN_SECONDS = 30.0
"""Time limit of one reading."""

_USABLE = (config.ConfigException, yaml.YAMLError, AttributeError, TypeError, UnicodeDecodeError)
"""What the client library raises for a kubeconfig of the wrong form."""


class NoClusterError(Exception):
    """There is no API server to ask; the message says why and what to do."""


@dataclass(frozen=True)
class Loaded:
    """What one reading found."""

    configuration: Configuration
    context: str = ""
    """The context of the kubeconfig; empty in a pod."""
    plugin: str = ""
    """The command of the credential plug-in, if there is one."""
    expires: datetime.datetime | None = None
    """When the plug-in says that the credential ends."""
    in_pod: bool = False
    """Whether the cluster is the one that the process runs in."""

    @property
    def token(self) -> str:
        """The header of requests, or nothing."""
        return str(self.configuration.api_key.get("BearerToken") or "").strip()

    @property
    def certificate(self) -> tuple[bytes, bytes]:
        """Client certificate and key, or nothing."""
        files = self.configuration.cert_file, self.configuration.key_file
        certificate, key = (Path(name).read_bytes() if name else b"" for name in files)
        return certificate, key


Load = Callable[[str], Awaitable[Loaded]]
"""Reads server and credentials; the argument is the context, or empty for the current one."""


@dataclass
class Login:
    """The credentials that are in use, and when to read them again."""

    now: Loaded
    load: Load
    certificate: tuple[bytes, bytes] = field(init=False)
    token: str = field(init=False)
    _read: float = field(init=False)
    _reading: asyncio.Task[None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._read = time.monotonic()
        self.token, self.certificate = self.now.token, self.now.certificate

    def renew_in_time(self) -> None:
        """Start to read them again if they are about to end or may have been rotated."""
        passed = time.monotonic() - self._read
        if self.now.plugin:
            soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=MARGIN_SECONDS)
            due = (
                self.now.expires is not None and self.now.expires < soon and passed > PAUSE_SECONDS
            )
        else:
            due = passed > FILES_SECONDS
        if due:
            self._start()

    async def renew(self, *, refused: tuple[str, tuple[bytes, bytes]] | None = None) -> None:
        """Read them again, unless what the API server refused is no longer in use."""
        if refused not in (None, (self.token, self.certificate)):
            return
        if self._reading is None and time.monotonic() - self._read < PAUSE_SECONDS:
            return
        self._start()
        assert self._reading is not None  # noqa: S101
        await asyncio.shield(self._reading)

    def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()

    def _start(self) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._renew(), name="credentials")

    async def _renew(self) -> None:
        try:
            loaded = await self.load(self.now.context)
            token, certificate = loaded.token, loaded.certificate
        except (NoClusterError, OSError, ValueError, LookupError) as error:
            logger.warning("credentials could not be read again: %s", error)
        else:
            if loaded.configuration.host != self.now.configuration.host:
                logger.warning(
                    "the kubeconfig names another server, %s: restart the operator to use it",
                    loaded.configuration.host,
                )
            else:
                self.now, self.token, self.certificate = loaded, token, certificate
        finally:
            self._read = time.monotonic()
            self._reading = None


async def load_cluster(context: str = "") -> Loaded:
    """The cluster that the pod runs in, else a context of the kubeconfig.

    Raises:
        NoClusterError: neither is usable.
    """
    named = _named_kubeconfig()
    if "KUBERNETES_SERVICE_HOST" in os.environ and not named:
        return _load_pod()
    return await _load_kubeconfig(context, named)


def _load_pod() -> Loaded:
    configuration = Configuration()
    try:
        config.load_incluster_config(configuration, try_refresh_token=False)
    except (config.ConfigException, OSError) as error:
        raise NoClusterError(
            f"no cluster: {error} Does the pod have its service account's token "
            "(automountServiceAccountToken)?"
        ) from error
    # The API server of a pod's own cluster is beside it: no proxy of the environment is asked.
    return Loaded(configuration, in_pod=True)


async def _load_kubeconfig(context: str, named: str) -> Loaded:
    configuration = Configuration()
    try:
        with plugins_that_end() as commands:
            async with asyncio.timeout(PLUGIN_SECONDS):
                loader = await config.load_kube_config(
                    context=context or None, client_configuration=configuration
                )
        current = loader.current_context["name"]
        # The library's own refresh_token() looks at the same attribute.
        user = loader._user.value if loader._user else {}
    except TimeoutError as error:
        whom = commands[-1] if commands else "the identity provider"
        raise NoClusterError(
            f"no credentials: {whom} did not answer in {PLUGIN_SECONDS:.0f} s"
        ) from error
    except config.ConfigException as error:
        raise NoClusterError(f"no cluster: {error}; set KUBECONFIG or run in a pod") from error
    except _USABLE as error:
        raise NoClusterError(
            f"no cluster: {named or 'the kubeconfig'} is no kubeconfig: {error}"
        ) from error
    plugin = str((user.get("exec") or {}).get("command") or "")
    if plugin and not (configuration.api_key.get("BearerToken") or configuration.cert_file):
        raise NoClusterError(
            f"no credentials: {plugin}, the credential plug-in of context {current}, gave none; "
            "the line above says why"
        )
    own = configuration.proxy
    configuration.proxy = _usable_proxy(own, "proxy-url of the kubeconfig") or proxy_for(
        configuration.host, os.environ
    )
    expires = getattr(loader, "exec_plugin_expiry", None)
    return Loaded(configuration, current, plugin, expires)


def _named_kubeconfig() -> str:
    """What KUBECONFIG names. Where that is no file, the client library would silently ignore it."""
    named = os.environ.get("KUBECONFIG", "")
    if named and not any(Path(part).is_file() for part in named.split(os.pathsep)):
        raise NoClusterError(
            f"no cluster: KUBECONFIG names {named}, which does not exist; set KUBECONFIG or run "
            "in a pod"
        )
    return named


def proxy_for(server: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for a URL, by the rules of Go and curl.

    ``HTTPS_PROXY`` (or ``HTTP_PROXY``), else ``ALL_PROXY``; of two spellings the upper-case one.
    None for a loopback address, and for what ``NO_PROXY`` excludes: ``*``, networks as CIDR,
    addresses, and domains with all below them; each with a port or for all.

    Raises:
        NoClusterError: the server or the proxy is no usable URL.
    """
    try:
        parts = urlsplit(server)
        host, own_port = parts.hostname or "", parts.port
    except ValueError as error:
        raise NoClusterError(
            f"no cluster: {server}, the server of the kubeconfig, is no URL of a server ({error}); "
            "correct clusters[].cluster.server"
        ) from error
    if not host or _is_loopback(host):
        return None
    names = [f"{parts.scheme}_proxy", "all_proxy"]
    spellings = [spelling for name in names for spelling in (name.upper(), name)]
    chosen = next((name for name in spellings if environ.get(name)), "")
    port = own_port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    excluded = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    entries = (_excluded_host(entry, port) for entry in re.split(r"[,\s]+", excluded))
    if _address(host):
        # An address has no domain that an entry could be the end of.
        entries = (entry for entry in entries if entry == "*" or _network(entry))
    bare = f"{parts.scheme}://[{host}]" if ":" in host else f"{parts.scheme}://{host}"
    if not chosen or should_bypass_proxies(bare, ",".join(filter(None, entries))):
        return None
    return _usable_proxy(environ[chosen].strip(), chosen)


def _excluded_host(entry: str, port: int) -> str:
    """An entry of NO_PROXY as the client library reads it; empty if it is for another port."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d+))?", entry)
    if found is None:
        return entry
    host, own_port = found[1].strip("[]"), found[2]
    if own_port and int(own_port) != port:
        return ""
    return host.removeprefix("*") if host.startswith("*.") else host


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address else host == "localhost"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(text)
    return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    with suppress(ValueError):
        return ipaddress.ip_network(text, strict=False)
    return None


def _usable_proxy(proxy: str | None, name: str) -> str | None:
    if not proxy:
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(url)
        scheme, _ = parts.scheme, parts.port
    except ValueError:
        # Without the cause, which may have the password.
        raise NoClusterError(
            f"{name} names a proxy with an unusable address; it has to be http://HOST:PORT, with a "
            "port up to 65535 and IPv6 addresses in brackets"
        ) from None
    if scheme not in ("http", "https"):
        raise NoClusterError(
            f"{name} names a proxy of the kind {scheme}, which the operator cannot use; name an "
            "http:// proxy, or the API server in NO_PROXY"
        )
    return url


def _static(loaded: Loaded) -> Load:
    async def load(_: str) -> Any:
        return loaded

    return load


def fixed(configuration: Configuration) -> Login:
    """Credentials that are never read again."""
    loaded = Loaded(configuration)
    return Login(loaded, _static(loaded))
