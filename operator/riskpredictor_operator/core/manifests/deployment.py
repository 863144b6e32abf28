"""The Deployment of predictor pods."""

from __future__ import annotations

from typing import Any

from riskpredictor_operator.core import api, metadata
from riskpredictor_operator.core.manifests.candidate import with_candidate
from riskpredictor_operator.core.manifests.model import with_stable
from riskpredictor_operator.core.release import Serving
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body

DRAIN_SECONDS = 5
"""How long a terminating pod keeps answering, until every proxy has stopped sending to it."""


SURGE = "25%"
"""How many pods more than wanted a roll-out may make at a time, rounded up."""


def build_deployment(rp: RiskPredictor, serving: Serving) -> dict[str, Any]:
    """Deployment without ``spec.replicas`` unless the RiskPredictor fixes it.

    Rolls a quarter of the pods at a time and never below the wanted number, so a broken version
    leaves all old pods serving.

    Args:
        rp: what is declared; the models and the server's image in it are not looked at.
        serving: what the pods are made of.
    """
    spec: dict[str, Any] = {
        "selector": {"matchLabels": metadata.selector_labels(rp)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": SURGE, "maxUnavailable": 0},
        },
        "progressDeadlineSeconds": rp.pod_template.progress_deadline_seconds,
        "template": _pod_template(rp, serving),
    }
    if rp.replicas is not None:
        spec["replicas"] = rp.replicas
    aborted = {api.ANNOTATION_ABORTED: ",".join(serving.aborted)} if serving.aborted else None
    return metadata.child(rp, api.DEPLOYMENT, spec, aborted)


def _pod_template(rp: RiskPredictor, serving: Serving) -> dict[str, Any]:
    template, stable = rp.pod_template, serving.stable
    meta: dict[str, Any] = {
        "labels": {
            **template.labels,
            **metadata.labels(rp),
            api.LABEL_MODEL_VERSION: stable.version,
        }
    }
    if template.annotations:
        meta["annotations"] = dict(template.annotations)
    pod = with_stable({"metadata": meta, "spec": _pod_spec(rp, stable.image)}, rp, stable)
    return pod if serving.candidate is None else with_candidate(pod, rp, serving.candidate)


def _pod_spec(rp: RiskPredictor, image: str) -> dict[str, Any]:
    template = rp.pod_template
    spec: dict[str, Any] = {
        # A predictor never talks to the API server, so it gets no credentials and no addresses.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        # No user: the image names one, and some clusters assign their own.
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            **template.security_context,
        },
        "nodeSelector": {"kubernetes.io/os": "linux", **template.node_selector},
        "topologySpreadConstraints": _spread(rp),
        "containers": [_container(rp, image)],
    }
    optional = {
        "imagePullSecrets": [{"name": name} for name in rp.image.pull_secrets],
        "tolerations": list(template.tolerations),
        "affinity": template.affinity,
        "priorityClassName": template.priority_class_name,
        "serviceAccountName": template.service_account_name,
        # The deprecated alias, which the API server fills in: unless it is applied too, it stays
        # when the field is removed, and brings it back.
        "serviceAccount": template.service_account_name,
    }
    # Empty lists and maps would make an unchanged apply look like a change.
    return spec | {name: value for name, value in optional.items() if value}


def _container(rp: RiskPredictor, image: str) -> dict[str, Any]:
    resources = {"requests": dict(rp.requests), "limits": dict(rp.limits)}
    return {
        "name": api.CONTAINER,
        "image": image,
        "imagePullPolicy": rp.image.pull_policy,
        "ports": [{"name": "http", "containerPort": api.CONTAINER_PORT, "protocol": "TCP"}],
        "env": [
            {
                "name": "POD_NAME",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            },
            *rp.pod_template.env,
        ],
        "resources": {name: amounts for name, amounts in resources.items() if amounts},
        # Not /ready: a restart does not help a model that fails its checks, and a pod that has
        # started but is not ready shows that.
        "startupProbe": _probe("/health", period=1, timeout=2, failures=120),
        "readinessProbe": _probe("/ready", period=5, timeout=2, failures=2),
        # Lenient, so that a busy pod is not restarted.
        "livenessProbe": _probe("/health", period=10, timeout=5, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def _probe(path: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _spread(rp: RiskPredictor) -> list[Body]:
    own = {"matchLabels": metadata.selector_labels(rp)}
    if rp.pod_template.topology_spread_constraints:
        return [
            {"labelSelector": own, **constraint}
            for constraint in rp.pod_template.topology_spread_constraints
        ]
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": own,
            # Of one revision: else the old pods of a roll-out count, and when they have gone all
            # new ones may be on one node.
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]
