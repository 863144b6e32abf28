"""Specification of the way to the API server: the proxy, the cluster, credentials that end."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from kopf._cogs.clients import auth
from kubernetes.aio.config import incluster_config, kube_config
from unit.operator.eventually import eventually
from unit.operator.loopback import serving

from riskpredictor_operator import program
from riskpredictor_operator.kube import ApiError
from riskpredictor_operator.runtime import login
from riskpredictor_operator.runtime.login import NoClusterError, load_cluster, proxy_for
from riskpredictor_operator.runtime.stopping import SIGNALS, StopSignals
from riskpredictor_operator.runtime.transport import Transport, connect
from riskpredictor_operator.settings import Settings

PROXY = "http://proxy.example:3128"
ADDRESS, ADDRESS_6 = "https://10.96.0.1:443", "https://[fd00::1]:443"
NAME = "https://api.example.com:6443"

DIRECT = {
    ADDRESS: ["*", "a,*", "10.96.0.1", "10.96.0.0/12", " x , 10.0.0.0/8", "10.96.0.1:443",
              "10.96.0.1/32", "0.0.0.0/0", "x 10.96.0.1"],
    "https://10.96.0.1": ["10.96.0.1:443"],
    ADDRESS_6: ["*", "fd00::/8", "fd00::1", "fd00:0::1", "[fd00::1]", "[fd00::1]:443", "::/0"],
    NAME: ["*", "api.example.com", "example.com", ".example.com", "*.example.com", "EXAMPLE.com",
           "com", "api.example.com:6443", ".example.com:6443"],
    "https://API.Example.com": ["example.com", "api.example.com:443"],
    "https://example.com": ["example.com"],
    "https://127.0.0.1:6443": [""], "https://127.9.0.1:6443": [""], "https://[::1]:6443": [""],
    "https://localhost:6443": [""],
}  # fmt: skip
"""For each API server, values of NO_PROXY with which no proxy is asked.

Go's golang.org/x/net/http/httpproxy 0.57.0 answers the same of 495 combinations, but for an address
in brackets without a port and a domain with a leading dot, where this does what curl does.
"""
PROXIED = {
    ADDRESS: ["", "10.97.0.0/16", "10.96.0.2", "10.96.0.1:6443", "10.96.", "0.1", "fd00::/8",
              "10.96.0.1/33", "/8", "foo:bar"],
    ADDRESS_6: ["", "fd01::/16", "fd00::2", "[fd00::1]:6443", "10.0.0.0/8", "::"],
    NAME: ["", "other.com", "xample.com", "api.example.com:443", "10.0.0.0/8", "api"],
    "https://notexample.com": ["example.com", ".example.com", "*.example.com"],
    "https://[::2]:6443": [""],
}  # fmt: skip


def pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(server, excluded) for server, values in table.items() for excluded in values]


class TestProxy:
    @pytest.mark.parametrize(("server", "excluded"), pairs(DIRECT))
    @pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
    def test_none_where_it_is_excluded(self, server: str, excluded: str, name: str) -> None:
        assert proxy_for(server, {"HTTPS_PROXY": PROXY, name: excluded}) is None

    @pytest.mark.parametrize(("server", "excluded"), pairs(PROXIED))
    def test_the_environments_for_all_others(self, server: str, excluded: str) -> None:
        assert proxy_for(server, {"HTTPS_PROXY": PROXY, "NO_PROXY": excluded}) == PROXY

    @pytest.mark.parametrize(
        ("environ", "chosen"),
        [
            ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}, "http://a:1"),
            ({"https_proxy": "http://b:1", "ALL_PROXY": "http://c:1"}, "http://b:1"),
            ({"HTTPS_PROXY": "", "https_proxy": "http://b:1"}, "http://b:1"),
            ({"ALL_PROXY": "http://c:1", "all_proxy": "http://d:1"}, "http://c:1"),
            ({"all_proxy": "http://d:1"}, "http://d:1"),
            ({"HTTPS_PROXY": "a.example:3128"}, "http://a.example:3128"),
            ({"HTTPS_PROXY": " http://a:1 "}, "http://a:1"),
            ({"HTTPS_PROXY": "https://a:1"}, "https://a:1"),
            ({"HTTP_PROXY": "http://a:1"}, None),
            ({}, None),
        ],
    )
    def test_which_variable_counts(self, environ: dict[str, str], chosen: str | None) -> None:
        assert proxy_for(NAME, environ) == chosen

    def test_one_that_cannot_be_used_is_named_without_its_password(self) -> None:
        with pytest.raises(NoClusterError, match="ALL_PROXY names a proxy of the kind socks5") as e:
            proxy_for(NAME, {"ALL_PROXY": "socks5://me:secret@a:1080"})
        assert "secret" not in str(e.value)
        assert proxy_for(NAME, {"ALL_PROXY": "socks5://a:1", "NO_PROXY": "example.com"}) is None


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pod has of its service account; the folder."""
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_text("a certificate")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "server", ["https://api.example.com:70000", "https://api.example.com:x", "https://[fd00::1:443"]
)
def test_a_server_that_is_no_url_is_told(server: str) -> None:
    with pytest.raises(NoClusterError) as caught:
        proxy_for(server, {})
    assert f"{server}, the server of the kubeconfig, is no URL of a server (" in str(caught.value)
    assert str(caught.value).endswith("; correct clusters[].cluster.server")


@pytest.mark.parametrize("proxy", ["http://me:secret@a:70000", "a:secret", "http://[fd00::1:443"])
def test_a_proxy_that_is_no_url_is_told_without_its_password(proxy: str) -> None:
    with pytest.raises(NoClusterError, match="HTTPS_PROXY names a proxy with an unus") as caught:
        proxy_for(NAME, {"HTTPS_PROXY": proxy})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", ADDRESS), ("fd00::1", ADDRESS_6)], ids=["IPv4", "IPv6"]
)
async def test_a_pod_asks_its_own_clusters_server_directly(
    pod: Path, monkeypatch: pytest.MonkeyPatch, host: str, url: str
) -> None:
    """Although a policy has put HTTPS_PROXY into every pod, and nothing into NO_PROXY."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    loaded = await load_cluster()
    assert loaded.configuration.host == url
    assert loaded.configuration.proxy is None
    assert loaded.token == "bearer first"
    assert loaded.in_pod


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
async def test_requests_and_watches_reach_a_server_by_either_family(
    pod: Path, monkeypatch: pytest.MonkeyPatch, host: str, address: str
) -> None:
    """With TLS, whose certificate has the address without brackets."""
    secured = _secured(host, pod / "ca.crt", pod / "key")
    runner = web.ServerRunner(web.Server(_answer), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=secured).start()
    port = str(runner.addresses[0][1])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    transport = await connect("test", 5.0)
    assert transport.server == f"https://{address}:{port}"
    assert await ask(transport) == {"ok": True}
    watch = auth.APIContext(await transport.connection())
    async with watch.session.get(f"{watch.server}/version") as response:
        assert await response.json() == {"ok": True}
    await watch.close()
    await transport.close()
    await runner.cleanup()


def _secured(host: str, certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS with a new certificate of this address."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-noenc", "-days", "1", "-subj", "/CN=it", "-addext", f"subjectAltName=IP:{host}",
         "-addext", "keyUsage=critical,keyCertSign,digitalSignature",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secured.load_cert_chain(certificate, key)
    return secured


async def _answer(_: web.BaseRequest) -> web.Response:
    return web.json_response({"ok": True})


async def test_a_pod_without_a_service_account_is_told_so(
    pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    (pod / "token").unlink()
    with pytest.raises(NoClusterError, match=r"token file.*automountServiceAccountToken"):
        await load_cluster()


class Server:
    """Accepts the tokens of a set, and notes what it was asked with."""

    def __init__(self) -> None:
        self.url = ""
        self.accepts = {"Bearer 1"}
        self.seen: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        token = request.headers.get("Authorization", "")
        self.seen.append(token)
        if token in self.accepts:
            return web.json_response({"ok": True})
        return web.json_response({"reason": "Unauthorized", "message": "no"}, status=401)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    answering = Server()
    async with serving(answering) as url:
        answering.url = url
        yield answering


PLUGIN = """#!/bin/sh
echo x >> {folder}/calls
n=$(wc -l < {folder}/calls)
[ "$n" -le {works} ] || {{ echo "your session has ended" >&2; exit 1; }}
cat <<END
{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
  "status": {{"token": "$n", "expirationTimestamp": "$(cat {folder}/expires)"}}}}
END
"""


def alive(descriptors: Path) -> bool:
    """Whether the process is there, and not only its exit code."""
    try:
        return any(descriptors.iterdir())
    except OSError:
        return False


class Kubeconfig:
    """A kubeconfig whose credentials a plug-in hands out: the tokens 1, 2, 3 ..."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.path = folder, folder / "kubeconfig"
        self.plugin = folder / "login-plugin"
        self.works(1000)
        self.expires(datetime.timedelta(hours=1))
        self.user: dict[str, Any] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": str(self.plugin),
                "interactiveMode": "Never",
            }
        }  # fmt: skip
        self.write(server)

    def works(self, times: int) -> None:
        """How often the plug-in answers before it fails."""
        self.plugin.write_text(PLUGIN.format(folder=self.folder, works=times))
        self.plugin.chmod(0o755)

    def hangs(self) -> None:
        """The plug-in waits, in a child of its own, for something that does not come."""
        self.plugin.write_text(f"#!/bin/sh\nsleep 300 &\necho $$ $! >> {self.folder}/hung\nwait\n")

    def hung(self) -> list[Path]:
        """Processes of plug-ins that hang."""
        record = self.folder / "hung"
        ids = record.read_text().split() if record.exists() else []
        return [path for path in map(Path, (f"/proc/{number}/fd" for number in ids)) if alive(path)]

    def expires(self, after: datetime.timedelta) -> None:
        """When the tokens end, as the plug-in says."""
        end = datetime.datetime.now(datetime.UTC) + after
        (self.folder / "expires").write_text(end.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def calls(self) -> int:
        """How often the plug-in was asked."""
        return len((self.folder / "calls").read_text().split())

    def write(self, server: str, current: str = "it") -> None:
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": current,
            "contexts": [
                {"name": "it", "context": {"cluster": "it", "user": "it"}},
                {"name": "other", "context": {"cluster": "other", "user": "it"}},
                {"name": "somebody", "context": {"cluster": "it", "user": "somebody"}},
            ],
            "clusters": [
                {"name": "it", "cluster": {"server": server}},
                {"name": "other", "cluster": {"server": "http://other.invalid"}},
            ],
            "users": [
                {"name": "it", "user": self.user},
                {"name": "somebody", "user": {"token": "of somebody"}},
            ],
        }  # fmt: skip
        self.path.write_text(yaml.safe_dump(config))


@pytest.fixture
def kubeconfig(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Kubeconfig:
    made = Kubeconfig(tmp_path, server.url)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(made.path))
    # The client library looked at it when it was imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(made.path))
    monkeypatch.setattr(login, "PAUSE_SECONDS", 0.0)
    return made


@pytest.fixture
async def transport(kubeconfig: Kubeconfig) -> AsyncIterator[Transport]:
    connected = await connect("test", 5.0)
    yield connected
    await connected.close()


async def ask(transport: Transport) -> dict[str, Any]:
    return await transport.call("GET", "/version", None)


async def test_refused_credentials_are_asked_for_again_and_the_request_is_repeated(
    server: Server, kubeconfig: Kubeconfig, transport: Transport
) -> None:
    assert await ask(transport)
    server.accepts = {"Bearer 2"}
    assert await ask(transport) == {"ok": True}
    assert server.seen == ["Bearer 1", "Bearer 1", "Bearer 2"]
    assert (await transport.connection()).token in ("2", "3")


async def test_of_many_requests_that_are_refused_one_asks_the_plugin(
    server: Server, kubeconfig: Kubeconfig, transport: Transport
) -> None:
    server.accepts = {"Bearer 2"}
    assert await asyncio.gather(*(ask(transport) for _ in range(20))) == [{"ok": True}] * 20
    assert kubeconfig.calls() == 2


async def test_they_are_asked_for_before_they_end(
    server: Server, kubeconfig: Kubeconfig, transport: Transport
) -> None:
    kubeconfig.expires(datetime.timedelta(seconds=login.MARGIN_SECONDS - 5))
    server.accepts = {"Bearer 1", "Bearer 2", "Bearer 3"}
    await transport.login.renew()
    assert transport.login.token == "Bearer 2"
    kubeconfig.expires(datetime.timedelta(hours=1))
    await ask(transport)
    await eventually(lambda: transport.login.token == "Bearer 3")
    await ask(transport)
    assert server.seen == ["Bearer 2", "Bearer 3"], "and no request waits for it, or is refused"


async def test_a_watch_has_them_until_they_end(
    kubeconfig: Kubeconfig, transport: Transport
) -> None:
    first = await transport.connection()
    assert (first.token, first.expiration) == ("1", transport.login.now.expires)
    assert kubeconfig.calls() == 1
    second = await transport.connection()
    assert second.token == "2", "kopf asks again because the first was refused, or has ended"


async def test_a_plugin_that_repeats_what_has_ended_is_not_asked_without_a_pause(
    kubeconfig: Kubeconfig, transport: Transport
) -> None:
    """kopf would ask again at once for what has ended already."""
    kubeconfig.expires(datetime.timedelta(seconds=-60))
    await transport.login.renew()
    now = datetime.datetime.now(datetime.UTC)
    expiration = (await transport.connection()).expiration
    assert expiration
    assert now + datetime.timedelta(seconds=4) < expiration


async def test_a_plugin_that_fails_later_costs_nothing_yet(
    server: Server, kubeconfig: Kubeconfig, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    kubeconfig.works(0)
    await transport.login.renew()
    assert await ask(transport)
    assert "your session has ended" in caplog.text
    assert "credentials could not be read again" in caplog.text
    server.accepts = set()
    with pytest.raises(ApiError, match="Unauthorized"):
        await ask(transport)
    kubeconfig.works(1000)
    server.accepts = {f"Bearer {kubeconfig.calls() + 1}"}
    assert await ask(transport), "somebody has logged in again"


async def test_a_plugin_that_never_gave_any_is_named(kubeconfig: Kubeconfig) -> None:
    kubeconfig.works(0)
    with pytest.raises(NoClusterError, match=r"login-plugin, the credential plug-in of context it"):
        await connect("test", 5.0)


async def test_a_plugin_that_hangs_at_the_start_is_named_and_ended(
    kubeconfig: Kubeconfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig.hangs()
    monkeypatch.setattr(login, "PLUGIN_SECONDS", 1.0)
    with pytest.raises(NoClusterError, match=r"login-plugin did not answer in 1 s$"):
        await connect("test", 5.0)
    await eventually(lambda: (kubeconfig.folder / "hung").exists() and not kubeconfig.hung())


async def test_a_plugin_that_hangs_later_is_named_and_ended(
    kubeconfig: Kubeconfig,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kubeconfig.hangs()
    monkeypatch.setattr(login, "PLUGIN_SECONDS", 1.0)
    await transport.login.renew()
    assert "could not be read again: no credentials: " in caplog.text
    assert "login-plugin did not answer in 1 s" in caplog.text
    await eventually(lambda: (kubeconfig.folder / "hung").exists() and not kubeconfig.hung())


async def test_an_order_to_stop_ends_a_plugin_that_hangs(kubeconfig: Kubeconfig) -> None:
    kubeconfig.hangs()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signals = StopSignals()
    signals.install()
    try:
        running = asyncio.create_task(program.run(Settings(http_port=0), signals))
        await eventually(kubeconfig.hung)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await running == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    await eventually(lambda: not kubeconfig.hung())


async def test_tokens_in_files_are_read_again(
    server: Server, kubeconfig: Kubeconfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "FILES_SECONDS", 0.0)
    token = kubeconfig.folder / "token"
    token.write_text("1")
    kubeconfig.user = {"tokenFile": str(token)}
    kubeconfig.write(server.url)
    transport = await connect("test", 5.0)
    await ask(transport)
    token.write_text("2\n")
    server.accepts = {"Bearer 1", "Bearer 2"}
    await ask(transport)
    await eventually(lambda: transport.login.token == "Bearer 2")
    await transport.close()


CHANGES: dict[str, Callable[[Kubeconfig, str], None]] = {
    "another context": lambda config, server: config.write(server, current="other"),
    "another server": lambda config, _: config.write("http://other.invalid"),
    "no kubeconfig": lambda config, _: config.path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_the_cluster_stays_the_first_one(
    server: Server, kubeconfig: Kubeconfig, transport: Transport, change: str
) -> None:
    """The lease is held there: `kubectl config use-context` must not lead writes elsewhere."""
    server.accepts = {f"Bearer {number}" for number in range(10)}
    CHANGES[change](kubeconfig, server.url)
    await transport.login.renew()
    assert transport.server == server.url
    assert await ask(transport)
    assert (await transport.connection()).server == server.url


async def test_so_does_the_user(
    server: Server, kubeconfig: Kubeconfig, transport: Transport
) -> None:
    kubeconfig.write(server.url, current="somebody")
    await transport.login.renew()
    assert transport.login.token == "Bearer 2"


async def test_another_server_is_told(
    server: Server, kubeconfig: Kubeconfig, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    kubeconfig.write("http://other.invalid")
    await transport.login.renew()
    assert "names another server, http://other.invalid: restart the operator" in caplog.text
