"""Command lines and configuration files of the components."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from localcluster import addons, lifecycle, namespace, node, pki
from localcluster.component import Component
from localcluster.record import Cluster

NODE = Cluster("dev", "node", 3, kwok_nodes=1)
TWO = Cluster("dev", "node", 3, kwok_nodes=1, node_count=2)
SIX = replace(TWO, ip_family="ipv6")
DUAL = replace(TWO, ip_family="dual")
ALONE = Cluster("dev", "control-plane", 3, kwok_nodes=1)


@pytest.mark.parametrize(
    "cluster", [NODE, TWO, SIX, DUAL, ALONE], ids=["node", "two", "ipv6", "dual", "alone"]
)
def test_nothing_listens_beyond_the_cluster(cluster: Cluster) -> None:
    for component in lifecycle.components(cluster):
        text = " ".join([*component.argv, *component.files.values()])
        assert "0.0.0.0" not in text, component.name
        place = cluster.nodes[component.node] if cluster.has_node else cluster
        assert urlsplit(component.health).hostname == place.address, component.name
        assert cluster.has_node or "198.18." not in text, component.name


def test_nothing_of_a_cluster_of_ipv6_names_an_address_of_ipv4_but_etcd_s() -> None:
    for component in lifecycle.components(SIX):
        text = " ".join([*component.argv, *component.files.values()])
        found = set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text))
        assert found <= {"127.0.0.1"}, component.name
        assert not found or component.name in {"etcd", "kube-apiserver"}, component.name


def test_nodes_share_no_component_no_file_and_no_folder() -> None:
    first, second = (node.components(each) for each in TWO.nodes)
    for one, two in zip(first, second, strict=True):
        assert two.name == f"{one.name}-2"
        assert (one.node, two.node) == (0, 1)
        assert not set(one.files) & set(two.files)
    assert len({each.folder for each in TWO.nodes}) == 2


def test_a_second_node_changes_nothing_of_the_first() -> None:
    running = {c.name: c.fingerprint() for c in lifecycle.components(NODE)}
    grown = {c.name: c.fingerprint() for c in lifecycle.components(TWO)}
    assert running.items() <= grown.items()


def test_a_kubelet_looks_at_no_group_of_another_node() -> None:
    groups = [node.kubelet_config(each)["cgroupRoot"] for each in TWO.nodes]
    assert not groups[1].startswith(groups[0])


def test_pods_of_a_dual_cluster_get_an_address_of_each_family() -> None:
    ranges = node.network_config(DUAL.nodes[1])["plugins"][0]["ipam"]["ranges"]
    assert ranges == [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00:10:244:1::/64"}]]


def test_two_control_planes_share_no_port_and_no_file() -> None:
    other = Cluster("other", "control-plane", 4, kwok_nodes=1)
    pairs = zip(lifecycle.components(ALONE), lifecycle.components(other), strict=True)
    for one, two in pairs:
        assert one.health != two.health
        assert one.fingerprint() != two.fingerprint()
        assert not set(one.files) & set(two.files)


def test_no_client_skips_the_check_of_a_certificate() -> None:
    for component in lifecycle.components(NODE):
        assert not any("insecure" in argument for argument in component.argv), component.name


def test_the_kubelet_keeps_to_the_cluster_s_control_group_and_lets_nobody_in_unknown() -> None:
    config = node.kubelet_config(NODE.nodes[0])
    assert config["cgroupRoot"] == f"/{NODE.nodes[0].cgroup}"
    assert config["authentication"]["anonymous"] == {"enabled": False}


def test_containerd_keeps_everything_where_the_node_has_folders_of_its_own() -> None:
    config = tomllib.loads(node.containerd_config("198.18.3.2:1338", Path("/cni"), Path("/net")))
    opt = config["plugins"]["io.containerd.internal.v1.opt"]["path"]
    for folder in (config["root"], config["state"], config["grpc"]["address"], opt):
        assert folder.startswith(("/var/lib/", "/run/")), folder


def test_pods_are_routed_and_never_translated_to_the_outside() -> None:
    for each in DUAL.nodes:
        assert node.network_config(each)["plugins"][0]["ipMasq"] is False
        assert "default" not in namespace.node_script(each)


def test_a_changed_file_or_flag_means_a_restart() -> None:
    def fingerprint(flag: str, text: str) -> str:
        return Component("x", ("x", flag), health="", files={Path("/c"): text}).fingerprint()

    assert fingerprint("--a", "1") == fingerprint("--a", "1")
    assert len({fingerprint("--a", "1"), fingerprint("--b", "1"), fingerprint("--a", "2")}) == 3


def test_certificates_name_users_and_groups_as_rbac_expects() -> None:
    subjects = {c.file: c.subject() for c in pki.certificates(TWO)}
    assert subjects["admin"] == "/O=system:masters/CN=kubernetes-admin"
    assert subjects["kubelet"] == "/O=system:nodes/CN=system:node:dev-node"
    assert subjects["kubelet-2"] == "/O=system:nodes/CN=system:node:dev-node-2"
    assert subjects["kube-proxy"] == "/CN=system:kube-proxy"


def test_fake_nodes_beside_a_real_one_take_only_pods_that_ask() -> None:
    assert addons.fake_node("kwok-0", tainted=True)["spec"]["taints"][0]["effect"] == "NoSchedule"
    assert addons.fake_node("kwok-0", tainted=False)["spec"]["taints"] == []
