"""The Service in front of the predictor pods."""

from __future__ import annotations

from typing import Any

from riskpredictor_operator.core import api, metadata
from riskpredictor_operator.core.spec import RiskPredictor


def build_service(rp: RiskPredictor) -> dict[str, Any]:
    """Service ``spec.service.port`` → container port 5000."""
    port: dict[str, Any] = {
        "name": "http",
        # Part of the list's merge key. Without it, the API server's default would look like drift.
        "protocol": "TCP",
        "port": rp.service.port,
        "targetPort": api.CONTAINER_PORT,
    }
    if rp.service.node_port is not None:
        port["nodePort"] = rp.service.node_port
    spec: dict[str, Any] = {
        "type": rp.service.type,
        "selector": metadata.selector_labels(rp),
        "ports": [port],
    }
    passed_through = {
        "loadBalancerClass": rp.service.load_balancer_class,
        "loadBalancerSourceRanges": list(rp.service.load_balancer_source_ranges),
        "externalTrafficPolicy": rp.service.external_traffic_policy,
        "ipFamilyPolicy": rp.service.ip_family_policy,
    }
    spec |= {name: value for name, value in passed_through.items() if value}
    return metadata.child(rp, api.SERVICE, spec, rp.service.annotations)
