"""Specification of the start-up checks: what is missing is told in one line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from riskpredictor_operator import preflight
from riskpredictor_operator.kube import ApiError, Key, Resource
from riskpredictor_operator.preflight import PreflightError
from riskpredictor_operator.runtime.client import Client

LEASE = Key("system", "operator")


class Asked:
    """A cluster that answers the start-up checks."""

    def __init__(
        self,
        *denied: str,
        crd: bool = True,
        error: ApiError | None = None,
        without: str = "-",
        in_pod: bool = False,
        proxy: str = "",
    ) -> None:
        self.denied, self.crd, self.error, self.without = denied, crd, error, without
        self.asked: list[tuple[str, str, str, str]] = []
        self.transport = SimpleNamespace(
            server="https://[fd00::1]:443",
            proxy=proxy,
            login=SimpleNamespace(now=SimpleNamespace(in_pod=in_pod)),
        )

    async def serves(self, _: Resource) -> bool:
        if self.error is not None:
            raise self.error
        return self.crd

    async def allowed(self, verb: str, resource: Resource, key: Key, sub: str = "") -> bool:
        self.asked.append((verb, resource.plural, sub, str(key)))
        return f"{verb} {resource.plural}" not in self.denied

    async def has_namespace(self, namespace: str, *_: object) -> bool:
        return namespace != self.without

    async def check(self, namespace: str = "", lease: Key | None = LEASE) -> None:
        await preflight.check(cast("Client", self), namespace, lease)


async def test_a_cluster_that_is_prepared() -> None:
    cluster = Asked()
    await cluster.check("shop")
    assert ("patch", "riskpredictors", "status", "shop/") in cluster.asked
    assert ("update", "leases", "", "system/operator") in cluster.asked


async def test_without_election_no_right_on_leases_is_needed() -> None:
    cluster = Asked("update leases")
    await cluster.check(lease=None)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        pytest.param(Asked(crd=False), r"kubectl apply -f crds", id="no CRD"),
        pytest.param(
            Asked("patch deployments", "create events"),
            r"may not patch deployments, create events in all namespaces: apply the roles",
            id="rights missing",
        ),
        pytest.param(
            Asked(error=ApiError(401, "Unauthorized", "no")), "refuses the operator's cred",
            id="bad credentials",
        ),
    ],
)  # fmt: skip
async def test_what_is_missing_is_said_in_one_line(cluster: Asked, message: str) -> None:
    with pytest.raises(PreflightError, match=message) as caught:
        await cluster.check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("namespace", "setting"),
    [("shopp", "RISKPREDICTOR_NAMESPACE"), ("system", "RISKPREDICTOR_OPERATOR_NAMESPACE")],
)
async def test_a_namespace_that_does_not_exist(namespace: str, setting: str) -> None:
    """Else it would see nothing, and say nothing."""
    cluster = Asked(without=namespace)
    with pytest.raises(PreflightError, match=rf"{namespace}.*does not exist: correct {setting}"):
        await cluster.check("shopp")


async def test_rights_in_a_namespace_that_may_be_a_typing_error() -> None:
    message = r"may not list pods in namespace shopp; update leases in namespace system \(are the"
    with pytest.raises(PreflightError, match=message):
        await Asked("list pods", "update leases").check("shopp")


async def test_rights_that_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Asked()

    async def busy(*_: object) -> bool:
        raise ApiError(429, "TooManyRequests", "later")

    monkeypatch.setattr(cluster, "allowed", busy)
    message = r"cannot ask the API server for the operator's rights: .*later"
    with pytest.raises(PreflightError, match=message):
        await cluster.check()


@pytest.mark.parametrize(
    ("where", "cause"),
    [
        ({}, "check KUBECONFIG"),
        ({"proxy": "http://proxy:3128"}, "check the proxy http://proxy:3128; NO_PROXY can exclude"),
        ({"in_pod": True}, "A NetworkPolicy on the operator's pods may be the cause.*16443"),
    ],
    ids=["out of the cluster", "proxy", "pod"],
)
async def test_an_api_server_that_stays_away(
    monkeypatch: pytest.MonkeyPatch, where: dict[str, Any], cause: str
) -> None:
    monkeypatch.setattr(preflight, "API_SERVER_WAIT_SECONDS", 0.02)
    cluster = Asked(error=ApiError(0, "Unreachable", "connection refused"), **where)
    message = rf"https://\[fd00::1\]:443 does not answer .*connection refused.*{cause}"
    with pytest.raises(PreflightError, match=message):
        await cluster.check()
