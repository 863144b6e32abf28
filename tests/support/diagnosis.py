"""What to look at when a test on a real cluster waited in vain."""

from __future__ import annotations

from riskpredictor_operator.kube import Key
from support.cluster import LocalCluster
from support.operator import SYSTEM

LOG_LINES = 15


def explain(cluster: LocalCluster, key: Key) -> str:
    """Conditions of a RiskPredictor, pods and Events around it, and the operators' last words."""
    inside = ("-n", key.namespace)
    operators = ("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=riskpredictor-operator")
    parts = {
        "status": (*inside, "get", "riskpredictor", key.name, "-o", "jsonpath={.status}"),
        "objects": (*inside, "get", "pods,deployments,hpa", "-o", "wide"),
        "events": (*inside, "get", "events", "--sort-by=.lastTimestamp"),
        "operators": (*operators, f"--tail={LOG_LINES}", "--prefix"),
    }
    return "\n".join(
        f"--- {name}\n{cluster.kubectl(*arguments, check=False)}"
        for name, arguments in parts.items()
    )
