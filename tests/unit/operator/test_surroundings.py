"""Specification of what stands around the engine: Events, log lines, probes, start-up checks."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import sys
from typing import cast

import aiohttp
import pytest
from unit.operator.builders import KEY, UID
from unit.operator.fake_cluster import FakeCluster

from riskpredictor_operator import events, metrics, preflight
from riskpredictor_operator.core.api import Key, Resource
from riskpredictor_operator.core.errors import ApiError
from riskpredictor_operator.core.transitions import Transition
from riskpredictor_operator.preflight import PreflightError
from riskpredictor_operator.runtime.client import KubernetesCluster
from riskpredictor_operator.runtime.logs import JsonFormatter
from riskpredictor_operator.runtime.probes import ProbeServer


class TestEvents:
    async def test_an_event_is_complete(self) -> None:
        cluster = FakeCluster()
        await events.record(cluster, KEY, UID, Transition("Warning", "NotOwned", "m" * 5000))
        (event,) = cluster.events
        assert event["type"] == "Warning"
        assert event["reason"] == "NotOwned"
        assert len(event["message"]) == 1024
        assert event["metadata"]["namespace"] == event["involvedObject"]["namespace"] == "shop"
        assert re.fullmatch(r"risk\.[0-9a-f]{16}", event["metadata"]["name"])
        assert event["firstTimestamp"] == event["lastTimestamp"]

    async def test_two_events_have_two_names(self) -> None:
        cluster = FakeCluster()
        for _ in range(2):
            await events.record(cluster, KEY, UID, Transition("Normal", "Ready", "m"))
        assert len({event["metadata"]["name"] for event in cluster.events}) == 2


class TestLogs:
    def record(self, message: str, *args: object, exc: bool = False) -> logging.LogRecord:
        info = sys.exc_info() if exc else None
        return logging.LogRecord("engine", logging.WARNING, "f", 1, message, args, info)

    def test_a_line_is_one_json_object(self) -> None:
        text = JsonFormatter().format(self.record("%s: line\nbreak", "risk"))
        assert "\n" not in text
        line = json.loads(text)
        assert (line["level"], line["logger"]) == ("warning", "engine")
        assert line["message"] == "risk: line\nbreak"

    def test_a_traceback_is_part_of_it(self) -> None:
        with contextlib.suppress(ZeroDivisionError):
            try:
                1 / 0  # noqa: B018
            finally:
                line = json.loads(JsonFormatter().format(self.record("failed", exc=True)))
        assert "ZeroDivisionError" in line["traceback"]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class TestProbes:
    async def test_health_readiness_and_metrics(self) -> None:
        problem: str | None = None
        port = free_port()
        server = ProbeServer("127.0.0.1", port, lambda: problem, lambda: "not yet")
        await server.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

                async def get(path: str) -> tuple[int, str]:
                    async with session.get(path) as response:
                        return response.status, await response.text()

                assert await get("/healthz") == (200, "ok\n")
                assert await get("/readyz") == (503, "not yet\n")
                problem = "the loop stands still"
                assert await get("/healthz") == (503, "the loop stands still\n")
                status, text = await get("/metrics")
                assert status == 200
                assert "riskpredictor_operator_queue_depth" in text
        finally:
            await server.stop()

    async def test_a_port_that_is_taken_is_an_error_at_once(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            server = ProbeServer("127.0.0.1", taken.getsockname()[1], lambda: None, lambda: None)
            with pytest.raises(OSError, match="in use"):
                await server.start()
            await server.stop()


def test_a_predictor_that_is_gone_is_no_longer_reported() -> None:
    metrics.READY.labels("shop", "risk").set(1)
    metrics.forget_predictor(KEY)
    metrics.forget_predictor(KEY)
    assert ("shop", "risk") not in metrics.READY._metrics


LEASE = Key("system", "operator")


class Asked:
    """A cluster that answers the start-up checks."""

    def __init__(self, *denied: str, crd: bool = True, error: ApiError | None = None) -> None:
        self.denied, self.crd, self.error = denied, crd, error
        self.asked: list[tuple[str, str, str, str]] = []

    async def serves(self, _: Resource) -> bool:
        if self.error is not None:
            raise self.error
        return self.crd

    async def allowed(self, verb: str, resource: Resource, key: Key, sub: str = "") -> bool:
        self.asked.append((verb, resource.plural, sub, str(key)))
        return f"{verb} {resource.plural}" not in self.denied

    async def check(self, namespace: str = "", lease: Key | None = LEASE) -> None:
        await preflight.check(cast("KubernetesCluster", self), namespace, lease)


class TestPreflight:
    async def test_a_cluster_that_is_prepared(self) -> None:
        cluster = Asked()
        await cluster.check("shop")
        assert ("patch", "riskpredictors", "status", "shop/") in cluster.asked
        assert ("update", "leases", "", "system/operator") in cluster.asked

    async def test_without_election_no_right_on_leases_is_needed(self) -> None:
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
    async def test_what_is_missing_is_said_in_one_line(self, cluster: Asked, message: str) -> None:
        with pytest.raises(PreflightError, match=message) as caught:
            await cluster.check()
        assert "\n" not in str(caught.value)

    async def test_rights_that_cannot_be_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster = Asked()

        async def busy(*_: object) -> bool:
            raise ApiError(429, "TooManyRequests", "later")

        monkeypatch.setattr(cluster, "allowed", busy)
        with pytest.raises(PreflightError, match=r"does not tell the operator's rights: .*later"):
            await cluster.check()

    async def test_an_api_server_that_stays_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight, "PATIENCE_SECONDS", 0.02)
        cluster = Asked(error=ApiError(0, "Unreachable", "connection refused"))
        with pytest.raises(PreflightError, match=r"connection refused.*check KUBECONFIG"):
            await cluster.check()


def test_a_key_reads_as_namespace_and_name() -> None:
    assert str(Key("shop", "risk")) == "shop/risk"
