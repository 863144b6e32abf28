"""Specification of ports that somebody renumbered under our name."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import Object, changed, manifests, predictor
from unit.operator.live import live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.ports import renumbered

MANIFESTS = manifests(predictor())
OURS = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}
OTHER = {"name": "admin", "protocol": "TCP", "port": 81, "targetPort": 9000}


def service(*ports: Object) -> Object:
    return changed(live(api.SERVICE, MANIFESTS[api.SERVICE]), list(ports), "spec", "ports")


@pytest.mark.parametrize(
    ("ports", "mended"),
    [
        pytest.param([OURS], None, id="as applied"),
        pytest.param([OURS, OTHER], None, id="another port beside ours"),
        pytest.param([], None, id="removed: an apply adds it"),
        pytest.param([{**OURS, "targetPort": 1}], None, id="another target: an apply mends it"),
        pytest.param([{**OURS, "port": 81}], [OURS], id="renumbered"),
        pytest.param([{**OURS, "protocol": "UDP"}], [OURS], id="another protocol"),
        pytest.param([{**OURS, "port": 82}, OTHER], [OURS, OTHER], id="others stay"),
    ],
)
def test_of_a_service(ports: list[Object], mended: Any) -> None:
    found = renumbered(api.SERVICE, MANIFESTS[api.SERVICE], service(*ports))
    assert found == (None if mended is None else ("/spec/ports", mended))


def test_of_our_container_wherever_it_stands() -> None:
    body = live(api.DEPLOYMENT, MANIFESTS[api.DEPLOYMENT])
    containers = body["spec"]["template"]["spec"]["containers"]
    containers.insert(0, {"name": "mesh", "ports": [{"name": "http", "containerPort": 1}]})
    assert renumbered(api.DEPLOYMENT, MANIFESTS[api.DEPLOYMENT], body) is None
    containers[1]["ports"][0]["containerPort"] = 5001
    assert renumbered(api.DEPLOYMENT, MANIFESTS[api.DEPLOYMENT], body) == (
        "/spec/template/spec/containers/1/ports",
        [{"name": "http", "containerPort": 5000, "protocol": "TCP"}],
    )


def test_an_autoscaler_has_no_ports() -> None:
    manifest = MANIFESTS[api.AUTOSCALER]
    assert renumbered(api.AUTOSCALER, manifest, live(api.AUTOSCALER, manifest)) is None
