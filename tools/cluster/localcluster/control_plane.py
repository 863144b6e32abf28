"""Command lines and files of etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import debian, gobuild
from .component import Component
from .record import Cluster

# Who did what to which object, without the reads of the nodes and the control plane.
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "None",
            "userGroups": ["system:nodes"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "level": "None",
            "users": [
                "system:apiserver",
                "system:kube-controller-manager",
                "system:kube-proxy",
                "system:kube-scheduler",
                "system:metrics-server",
            ],
            "verbs": ["get", "list", "watch"],
        },
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"},
    ],
}


def components(cluster: Cluster) -> list[Component]:
    """The control plane in starting order."""
    programs = gobuild.KUBERNETES.bin_dir()
    return [
        _etcd(cluster, debian.find("etcd") or "etcd"),
        _api_server(cluster, programs / "kube-apiserver"),
        _controller_manager(cluster, programs / "kube-controller-manager"),
        _scheduler(cluster, programs / "kube-scheduler"),
    ]


def _etcd(cluster: Cluster, program: str) -> Component:
    ports = cluster.ports
    client = f"http://127.0.0.1:{ports['etcd']}"
    peer = f"http://127.0.0.1:{ports['etcd-peer']}"
    metrics = f"http://{cluster.authority('etcd-metrics')}"
    return Component(
        "etcd",
        (
            program,
            f"--name={cluster.name}",
            f"--data-dir={cluster.paths.etcd}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={cluster.name}={peer}",
            f"--listen-metrics-urls={metrics}",
            # The data is thrown away by `down`: it need not survive a power cut.
            "--unsafe-no-fsync",
            "--snapshot-count=10000",
        ),
        health=f"{metrics}/health",
    )


def _api_server(cluster: Cluster, program: Path) -> Component:
    paths = cluster.paths
    pki = paths.pki
    policy = paths.config / "audit-policy.json"
    argv = [
        str(program),
        f"--etcd-servers=http://127.0.0.1:{cluster.ports['etcd']}",
        f"--bind-address={cluster.address}",
        f"--advertise-address={cluster.address}",
        f"--secure-port={cluster.ports['kube-apiserver']}",
        f"--service-cluster-ip-range={cluster.service_cidrs}",
        # Debian's etcd cannot report watch progress, without which such watches hang.
        "--feature-gates=WatchList=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--audit-log-path={paths.audit_log}",
        f"--audit-policy-file={policy}",
        "--audit-log-maxsize=500",
        "--audit-log-maxbackup=1",
        # A restart in a fault test must not wait for long-running watches.
        "--shutdown-delay-duration=0s",
    ]
    if cluster.assigned_users:
        # Beta in 1.34, and off.
        argv += [
            "--feature-gates=MutatingAdmissionPolicy=true",
            "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
        ]
    if cluster.has_node:
        argv += [
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
            f"--requestheader-client-ca-file={pki / 'ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
            "--enable-aggregator-routing=true",
        ]
    else:
        # Kubernetes forbids loopback addresses in EndpointSlices, and no pod is there to use one.
        argv.append("--endpoint-reconciler-type=none")
    return Component(
        "kube-apiserver",
        tuple(argv),
        health=f"{cluster.api_server}/readyz",
        files={policy: json.dumps(AUDIT_POLICY, indent=2) + "\n"},
    )


def _controller_manager(cluster: Cluster, program: Path) -> Component:
    pki = cluster.paths.pki
    kubeconfig = cluster.paths.config / "controller-manager.kubeconfig"
    return Component(
        "kube-controller-manager",
        (
            *_common_flags(cluster, program, "controller-manager", kubeconfig),
            "--use-service-account-credentials=true",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            "--horizontal-pod-autoscaler-sync-period=5s",
            # Nobody else wants this API server; the default of 20 a second slows large tests.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            *(() if cluster.has_node else _LATE_FAKE_NODES),
        ),
        health=_secure_health(cluster, "kube-controller-manager"),
    )


_LATE_FAKE_NODES = ("--node-monitor-grace-period=1h",)
"""The pods of a fake node whose heartbeat is late would be marked unready, and kwok never reports
them ready again."""


def _scheduler(cluster: Cluster, program: Path) -> Component:
    kubeconfig = cluster.paths.config / "scheduler.kubeconfig"
    return Component(
        "kube-scheduler",
        _common_flags(cluster, program, "scheduler", kubeconfig),
        health=_secure_health(cluster, "kube-scheduler"),
    )


def _common_flags(
    cluster: Cluster, program: Path, certificate: str, kubeconfig: Path
) -> tuple[str, ...]:
    pki = cluster.paths.pki
    return (
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={cluster.address}",
        f"--secure-port={cluster.ports[program.name]}",
        f"--tls-cert-file={pki / certificate}.crt",
        f"--tls-private-key-file={pki / certificate}.key",
        # One of each: an election would only delay the start by its lease.
        "--leader-elect=false",
    )


def _secure_health(cluster: Cluster, service: str) -> str:
    return f"https://{cluster.authority(service)}/healthz"
