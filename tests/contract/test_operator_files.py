"""The operator against the files around it: roles, probes, reasons, architecture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from unit.operator.builders import ROOT, Object, manifests, predictor
from unit.predictor.support import free_port, service

from riskpredictor_operator.core import api, reasons
from riskpredictor_operator.kube import Key, Resource
from riskpredictor_operator.preflight import lease_permissions, permissions
from riskpredictor_operator.runtime.probes import ProbeServer
from riskpredictor_operator.settings import Settings
from riskpredictor_server.settings import Settings as PredictorSettings
from riskpredictor_server.web.app import create_app

DEPLOY = ROOT / "deploy/operator"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

Right = tuple[str, str, str, str]
"""API group, resource, verb, object name (empty: any)."""


def documents(path: Path, kind: str) -> list[Object]:
    """The objects of a kind in a file."""
    return [d for d in yaml.safe_load_all(path.read_text()) if d["kind"] == kind]


def granted(role: Object) -> list[Right]:
    """Every single right that a role gives."""
    return [
        (group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]


def used(wanted: Iterable[tuple[str, Resource, str]]) -> list[Right]:
    return [
        (r.group, f"{r.plural}/{subresource}" if subresource else r.plural, verb, "")
        for verb, r, subresource in wanted
    ]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        pytest.param("base/cluster-wide/rbac.yaml", "ClusterRole", id="all namespaces"),
        pytest.param("overlays/namespaced/role.yaml", "Role", id="one namespace"),
    ],
)
def test_the_role_gives_exactly_the_rights_that_the_operator_uses(file: str, kind: str) -> None:
    (role,) = documents(DEPLOY / file, kind)
    rights = granted(role)
    assert role["metadata"]["name"] == "riskpredictor-operator"
    assert sorted(rights) == sorted(used(permissions()))
    assert len(rights) == len(set(rights)), "no right is given twice"


def test_the_lease_role_gives_exactly_the_rights_that_the_election_uses() -> None:
    (role,) = documents(DEPLOY / "base/lease-role.yaml", "Role")
    lease = Key("riskpredictor-system", Settings().lease_name)
    wanted = [(r.group, r.plural, verb, key.name) for verb, r, key in lease_permissions(lease)]
    assert sorted(granted(role)) == sorted(wanted)


def test_no_role_says_any() -> None:
    for path in DEPLOY.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            for rule in (document or {}).get("rules") or ():
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def operator_container() -> Object:
    (deployment,) = documents(DEPLOY / "base/deployment.yaml", "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found: Object = container
    return found


def test_the_operators_environment_names_settings_that_exist() -> None:
    known = {f"RISKPREDICTOR_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert {variable["name"] for variable in operator_container()["env"]} <= known


async def test_the_operators_probes_are_routes_of_its_own_server() -> None:
    container = operator_container()
    assert [port["containerPort"] for port in container["ports"]] == [Settings().http_port]
    port = free_port()
    server = ProbeServer("127.0.0.1", port)
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        for probe in PROBES:
            async with client.get(container[probe]["httpGet"]["path"]) as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
        async with client.get("/metrics") as answer:
            assert "riskpredictor_operator_queue_depth" in await answer.text()
    await server.stop()


class TestPredictorPod:
    container: Any = manifests(predictor())[api.DEPLOYMENT]["spec"]["template"]["spec"][
        "containers"
    ][0]

    @pytest.mark.parametrize("probe", PROBES)
    def test_every_probe_is_a_route_of_the_predictor(self, probe: str) -> None:
        request = self.container[probe]["httpGet"]
        assert create_app(service()).url_map.bind("localhost").test(request["path"])
        assert request["port"] in {port["name"] for port in self.container["ports"]}

    def test_a_pod_is_restarted_for_its_process_and_left_out_for_its_model(self) -> None:
        paths = {name: self.container[name]["httpGet"]["path"] for name in PROBES}
        assert (paths["startupProbe"], paths["livenessProbe"]) == ("/health", "/health")
        assert paths["readinessProbe"] == "/ready"

    def test_the_service_reaches_the_port_on_which_the_predictor_listens(self) -> None:
        rendered = manifests(predictor())[api.SERVICE]["spec"]
        assert rendered["ports"][0]["targetPort"] == api.CONTAINER_PORT
        assert [p["containerPort"] for p in self.container["ports"]] == [api.CONTAINER_PORT]
        assert PredictorSettings().port == api.CONTAINER_PORT


def test_every_reason_is_spelled_like_its_name() -> None:
    """generate.reasons_table refuses one without a meaning, a symptom and a fix."""
    named = {name: value for name, value in vars(reasons).items() if isinstance(value, str)}
    named = {name: value for name, value in named.items() if name.isupper()}
    assert len(named) > 20
    for name, value in named.items():
        assert value == "".join(part.capitalize() for part in name.split("_"))


def test_no_folder_shadows_the_standard_librarys_operator() -> None:
    assert not (ROOT / "operator/__init__.py").exists()
