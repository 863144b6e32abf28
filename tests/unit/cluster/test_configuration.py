"""Command lines and configuration files of the components."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import control_plane, kwok, metrics_server, namespace, node, pki
from localcluster.component import Component
from localcluster.record import Cluster
from localcluster.toolbox import Toolbox

NODE = Cluster("dev", "node", 3)
ALONE = Cluster("dev", "control-plane", 3)
TOOLS = Toolbox(Path("/k"), Path("/m"), Path("/w"), Path("/p"))


def _all(cluster: Cluster) -> Iterator[Component]:
    yield from control_plane.components(cluster, "etcd", TOOLS.kubernetes)
    yield kwok.component(cluster, TOOLS)
    if cluster.has_node:
        yield from node.components(cluster, TOOLS)
        yield metrics_server.component(cluster, TOOLS)


def _find(cluster: Cluster, name: str) -> Component:
    return next(component for component in _all(cluster) if component.name == name)


@pytest.mark.parametrize("cluster", [NODE, ALONE], ids=lambda c: c.profile)
def test_nothing_listens_beyond_the_cluster(cluster: Cluster) -> None:
    for component in _all(cluster):
        text = " ".join([*component.argv, *component.files.values()])
        assert "0.0.0.0" not in text, component.name
        assert component.health.split("://")[1].startswith(f"{cluster.address}:"), component.name


def test_a_control_plane_alone_listens_on_loopback_only() -> None:
    for component in _all(ALONE):
        assert "198.18." not in " ".join(component.argv), component.name


def test_two_control_planes_share_no_port_and_no_file() -> None:
    other = Cluster("other", "control-plane", 4)
    for one, two in zip(_all(ALONE), _all(other), strict=True):
        assert one.health != two.health
        assert one.fingerprint() != two.fingerprint()
        assert not set(one.files) & set(two.files)


def test_autoscaling_reacts_within_seconds() -> None:
    assert (
        "--horizontal-pod-autoscaler-sync-period=5s" in _find(NODE, "kube-controller-manager").argv
    )
    assert "--metric-resolution=10s" in _find(NODE, "metrics-server").argv


def test_no_client_skips_the_check_of_a_certificate() -> None:
    for component in _all(NODE):
        assert not any("insecure" in argument for argument in component.argv), component.name


def test_audit_tells_who_did_what_without_the_chatter_of_nodes() -> None:
    policy = control_plane.AUDIT_POLICY
    assert policy["omitStages"] == ["RequestReceived"]
    assert policy["rules"][0] == {
        "level": "None",
        "userGroups": ["system:nodes"],
        "verbs": ["get", "list", "watch"],
    }
    assert policy["rules"][-1] == {"level": "Metadata"}
    assert f"--audit-log-path={NODE.paths.audit_log}" in _find(NODE, "kube-apiserver").argv


def test_the_kubelet_keeps_to_the_cluster_s_control_group_and_keeps_images() -> None:
    config = node.kubelet_config(NODE)
    assert config["cgroupRoot"] == "/riskpredictor-3-dev"
    assert config["address"] == "198.18.3.2"
    assert config["imageGCHighThresholdPercent"] == 100
    assert config["failCgroupV1"] is False
    assert config["authentication"]["anonymous"] == {"enabled": False}


def test_containerd_config_is_toml_with_the_settings_that_a_sandbox_needs() -> None:
    config = tomllib.loads(node.containerd_config("198.18.3.2:1338", Path("/cni"), Path("/net")))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is True
    assert cri["sandbox_image"] == "docker.io/library/riskpredictor-pause:1"
    assert cri["cni"] == {"bin_dir": "/cni", "conf_dir": "/net"}
    assert config["root"].startswith("/var/lib/")
    assert config["state"].startswith("/run/")
    assert config["plugins"]["io.containerd.internal.v1.opt"]["path"].startswith("/var/lib/")


def test_pods_are_routed_and_never_translated_to_the_outside() -> None:
    bridge = node.network_config()["plugins"][0]
    assert bridge["ipMasq"] is False
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/24"}]]


def test_nothing_leads_out_of_the_node() -> None:
    script = namespace.inside_script(NODE)
    assert "default" not in script
    assert "ip route add local 10.96.0.0/16 dev lo" in script
    assert "iptables -A FORWARD -i cni0 -o eth0 -m conntrack --ctstate NEW -j REJECT" in script


def test_packets_to_a_dead_node_stay_on_the_machine() -> None:
    script = namespace.host_script(NODE, holder=42)
    assert "ip route replace unreachable 198.18.3.0/30 metric 4000000000" in script


def test_a_changed_file_or_flag_means_a_restart() -> None:
    file = Path("/c")
    component = Component("x", ("x", "--a"), files={file: "1"})
    assert component.fingerprint() == Component("x", ("x", "--a"), files={file: "1"}).fingerprint()
    assert component.fingerprint() != Component("x", ("x", "--b"), files={file: "1"}).fingerprint()
    assert component.fingerprint() != Component("x", ("x", "--a"), files={file: "2"}).fingerprint()


def test_certificates_name_users_and_groups_as_rbac_expects() -> None:
    subjects = {c.file: c.subject() for c in pki.certificates(NODE)}
    assert subjects["admin"] == "/O=system:masters/CN=kubernetes-admin"
    assert subjects["kubelet"] == "/O=system:nodes/CN=system:node:dev-node"
    assert subjects["kube-proxy"] == "/CN=system:kube-proxy"


def test_the_api_server_s_certificate_is_valid_where_pods_and_people_call_it() -> None:
    (certificate,) = (c for c in pki.certificates(NODE) if c.file == "apiserver")
    assert {
        "IP:198.18.3.2",
        "IP:10.96.0.1",
        "IP:127.0.0.1",
        "DNS:localhost",
        "DNS:kubernetes.default.svc",
    } <= set(certificate.server_names)


def test_fake_nodes_beside_a_real_one_take_only_pods_that_ask() -> None:
    assert kwok.node("kwok-0", tainted=True)["spec"]["taints"][0]["effect"] == "NoSchedule"
    assert kwok.node("kwok-0", tainted=False)["spec"]["taints"] == []
