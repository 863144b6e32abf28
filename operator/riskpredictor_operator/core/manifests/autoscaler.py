"""The HorizontalPodAutoscaler that moves the number of pods between the bounds."""

from __future__ import annotations

from typing import Any

from riskpredictor_operator.core import api, metadata
from riskpredictor_operator.core.spec import RiskPredictor


def build_autoscaler(rp: RiskPredictor) -> dict[str, Any]:
    """HPA on the average CPU use of the predictor containers, whatever else is in the pods.

    Scale-up is not delayed and may double the pods, or add four, every 15 seconds, whichever is
    more (the API's own default, written out so that it stays so). Scale-down waits for
    ``spec.scaleDownStabilizationSeconds``.
    """
    spec = {
        "scaleTargetRef": {
            "apiVersion": api.DEPLOYMENT.api_version,
            "kind": api.DEPLOYMENT.kind,
            "name": rp.key.name,
        },
        "minReplicas": rp.min_replicas,
        "maxReplicas": rp.max_replicas,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {
                    "container": api.CONTAINER,
                    "name": "cpu",
                    "target": {
                        "type": "Utilization",
                        "averageUtilization": rp.target_cpu_utilization,
                    },
                },
            }
        ],
        "behavior": {
            "scaleUp": {
                "stabilizationWindowSeconds": 0,
                "selectPolicy": "Max",
                "policies": [
                    {"type": "Percent", "value": 100, "periodSeconds": 15},
                    {"type": "Pods", "value": 4, "periodSeconds": 15},
                ],
            },
            "scaleDown": {
                "stabilizationWindowSeconds": rp.scale_down_stabilization_seconds,
                "selectPolicy": "Max",
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
            },
        },
    }
    return metadata.child(rp, api.AUTOSCALER, spec)
