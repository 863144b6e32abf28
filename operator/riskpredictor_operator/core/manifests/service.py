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
    spec = {
        "type": rp.service.type,
        "selector": metadata.selector_labels(rp),
        "ports": [port],
    }
    return metadata.child(rp, api.SERVICE, spec)
