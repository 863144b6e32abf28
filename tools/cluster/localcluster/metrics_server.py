"""metrics-server as a process of the node, registered as the ``metrics.k8s.io`` API."""

from __future__ import annotations

import base64
from typing import Any

from .api import Api
from .component import Component
from .pki import METRICS_SERVICE_NAME
from .record import Cluster
from .toolbox import Toolbox

PORT = 4443
USER = "system:metrics-server"
NAME = METRICS_SERVICE_NAME.split(".", maxsplit=1)[0]
NAMESPACE = "kube-system"


def component(cluster: Cluster, tools: Toolbox) -> Component:
    kubeconfig = cluster.paths.config / "metrics-server.kubeconfig"
    pki = cluster.paths.pki
    return Component(
        NAME,
        (
            str(tools.metrics_server / "metrics-server"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={cluster.address}",
            f"--secure-port={PORT}",
            f"--tls-cert-file={pki / 'metrics-server.crt'}",
            f"--tls-private-key-file={pki / 'metrics-server.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            # The default of 15 s and 10 s would make autoscaling demos slower than need be.
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ),
        health=f"https://{cluster.address}:{PORT}/livez",
    )


def register(cluster: Cluster, api: Api) -> None:
    """Give it its rights and tell the API server where it answers."""
    for path, manifest in manifests(cluster):
        api.apply(path, manifest)


def manifests(cluster: Cluster) -> list[tuple[str, dict[str, Any]]]:
    """(path, object) of everything it needs: rights, an address and the API registration."""
    authority = base64.b64encode((cluster.paths.pki / "ca.crt").read_bytes()).decode()
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    return [
        (f"{rbac}/clusterroles/{USER}", _reader_role()),
        (
            f"{rbac}/clusterrolebindings/{USER}",
            _binding("ClusterRoleBinding", USER, "ClusterRole", USER),
        ),
        (
            f"{rbac}/clusterrolebindings/{USER}:auth-delegator",
            _binding(
                "ClusterRoleBinding",
                f"{USER}:auth-delegator",
                "ClusterRole",
                "system:auth-delegator",
            ),
        ),
        (
            f"{rbac}/namespaces/{NAMESPACE}/rolebindings/metrics-server-auth-reader",
            _binding(
                "RoleBinding",
                "metrics-server-auth-reader",
                "Role",
                "extension-apiserver-authentication-reader",
            ),
        ),
        (f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}", _service()),
        (
            f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices/{NAME}",
            _endpoints(cluster.address),
        ),
        (
            "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io",
            _api_service(authority),
        ),
    ]


def _reader_role() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": USER},
        "rules": [
            {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
            {
                "apiGroups": [""],
                "resources": ["pods", "nodes"],
                "verbs": ["get", "list", "watch"],
            },
        ],
    }


def _binding(kind: str, name: str, role_kind: str, role: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": role_kind, "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }


def _service() -> dict[str, Any]:
    """Without a selector: it has no pods, its EndpointSlice is written by hand."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]},
    }


def _endpoints(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": NAME},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": PORT, "protocol": "TCP"}],
    }


def _api_service(authority: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": authority,
            "service": {"name": NAME, "namespace": NAMESPACE, "port": 443},
        },
    }
