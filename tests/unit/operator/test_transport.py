"""Specification of the way to an API server behind a proxy, for requests and watches alike."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web
from kubernetes.aio.config import kube_config
from unit.operator.loopback import serving

from riskpredictor_operator.kube import ApiError
from riskpredictor_operator.runtime import logs
from riskpredictor_operator.runtime.transport import Transport, connect

SERVER = "http://cluster.invalid:6443"


class Proxy:
    """Answers for every server, and notes what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.credentials: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.raw_path)
        self.credentials.append(request.headers.get("Authorization", ""))
        return web.json_response({})


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    answering = Proxy()
    async with serving(answering) as url:
        answering.url = url
        yield answering


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    # The client library looked at it when it was imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    write(path, SERVER)
    return path


def write(path: Path, server: str, **cluster: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "it", "user": {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump(config))


async def ask(transport: Transport) -> str:
    """One request; returns what a watch would use."""
    try:
        await transport.call("GET", "/version", None)
        return (await transport.connection()).proxy_url or ""
    finally:
        await transport.close()


async def test_the_environments(
    proxy: Proxy, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert await ask(await connect("test", 5.0)) == proxy.url
    assert proxy.asked == [f"{SERVER}/version"]


async def test_the_kubeconfigs_comes_first(
    proxy: Proxy, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(kubeconfig, SERVER, **{"proxy-url": proxy.url})
    monkeypatch.setenv("HTTP_PROXY", "http://elsewhere.invalid:1")
    assert await ask(await connect("test", 5.0)) == proxy.url
    assert proxy.asked == [f"{SERVER}/version"]


async def test_none_where_the_environment_excludes_the_server(
    proxy: Proxy, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy stands in for the server itself, which is asked for a path then."""
    write(kubeconfig, proxy.url)
    monkeypatch.setenv("HTTP_PROXY", "http://elsewhere.invalid:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert await ask(await connect("test", 5.0)) == ""
    assert proxy.asked == ["/version"]


async def test_credentials_are_the_kubeconfigs_and_no_other_files(
    proxy: Proxy, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = kubeconfig.with_name("netrc")
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    write(kubeconfig, proxy.url)
    await ask(await connect("test", 5.0))
    assert proxy.credentials == ["Bearer secret"]


async def refuse(_: web.BaseRequest) -> web.Response:
    return web.Response(status=407, reason="Proxy Authentication Required")


async def test_a_proxy_that_refuses_is_named_without_its_password(kubeconfig: Path) -> None:
    async with serving(refuse) as url:
        with_password = url.replace("://", "://alice:s3cr@t@")
        write(kubeconfig, "https://cluster.invalid:6443", **{"proxy-url": with_password})
        transport = await connect("test", 5.0)
        said = []
        with pytest.raises(ApiError) as caught:
            await transport.call("GET", "/version", None)
        said.append(caught.value.message)
        with pytest.raises(ApiError) as caught:
            await anext(transport.lines("/logs", {}, 5.0))
        said.append(caught.value.message)
        await transport.close()
    assert said == [f"the proxy {url} answers 407 Proxy Authentication Required"] * 2


@pytest.mark.parametrize("form", ["human", "json"])
async def test_nor_has_the_log_of_a_watch_its_password(
    form: str, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(refuse) as url:
        with_password = url.replace("://", "://alice:s3cret@")
        write(kubeconfig, "https://cluster.invalid:6443", **{"proxy-url": with_password})
        transport = await connect("test", 5.0)
        info = await transport.connection()
        await transport.close()
        root = logging.getLogger()
        before = root.handlers[:], root.level
        logs.configure(form, "debug")
        try:
            # As kopf connects and logs: message, repr and traceback.
            async with aiohttp.ClientSession(proxy=info.proxy_url) as session:
                with pytest.raises(aiohttp.ClientHttpProxyError) as caught:
                    await session.get(info.server)
            error = caught.value
            logging.getLogger("kopf").error("%s; %r", error, error.request_info, exc_info=error)
        finally:
            root.handlers[:], root.level = before[0], before[1]
            logging.getLogger("kopf").setLevel(logging.NOTSET)
    said = capsys.readouterr().err
    assert url.removeprefix("http://") in said
    assert "Traceback" in said
    assert [word for word in ("alice", "s3cret", "YWxpY2U6czNjcmV0") if word in said] == []
