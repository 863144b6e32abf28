"""What is remembered of a cluster, and which place a new one gets."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import naming, record
from localcluster.console import ClusterError
from localcluster.paths import ClusterPaths, refuse_hidden
from localcluster.record import Cluster, IpFamily, Options

ALONE = Options("control-plane")


def test_a_cluster_is_remembered_as_it_was() -> None:
    cluster = Cluster("dev", "node", 3, kwok_nodes=7)
    cluster.save()
    assert record.load("dev") == cluster
    assert record.names() == ["dev"]


def test_an_unknown_cluster_is_none() -> None:
    assert record.load("dev") is None
    assert record.names() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "dev"}', '{"index": null}'])
def test_a_damaged_record_says_how_to_remove_it(text: str) -> None:
    path = ClusterPaths.of("dev").record
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ClusterError, match="cannot be read") as raised:
        record.load("dev")
    assert raised.value.hint == "remove it with `cluster.py down --name dev`"


def test_addresses_follow_from_profile_and_index() -> None:
    node = Cluster("dev", "node", 3)
    assert node.api_server == "https://198.18.3.2:6443"
    alone = replace(node, profile="control-plane")
    assert alone.api_server == f"https://127.0.0.1:{naming.loopback_ports(3)['kube-apiserver']}"


@pytest.mark.parametrize(
    ("family", "api_server", "addresses", "services"),
    [
        ("ipv4", "https://198.18.3.2:6443", ("198.18.3.6",), "10.96.0.0/16"),
        ("ipv6", "https://[fd00:198:18:300::2]:6443", ("fd00:198:18:301::2",), "fd00:10:96::/112"),
        (
            "dual",
            "https://198.18.3.2:6443",
            ("198.18.3.6", "fd00:198:18:301::2"),
            "10.96.0.0/16,fd00:10:96::/112",
        ),
    ],
)
def test_addresses_are_of_the_cluster_s_families(
    family: IpFamily, api_server: str, addresses: tuple[str, ...], services: str
) -> None:
    cluster = Cluster("dev", "node", 3, node_count=2, ip_family=family)
    assert cluster.api_server == api_server
    assert cluster.nodes[1].addresses == addresses
    assert cluster.service_cidrs == services


def test_a_node_less_cluster_of_ipv6_answers_on_its_loopback_address() -> None:
    cluster = Cluster("dev", "control-plane", 3, ip_family="ipv6")
    assert cluster.api_server == f"https://[::1]:{cluster.ports['kube-apiserver']}"


def test_each_node_has_a_name_and_a_control_group_of_its_own() -> None:
    nodes = Cluster("dev", "node", 3, node_count=3).nodes
    assert [node.name for node in nodes] == ["dev-node", "dev-node-2", "dev-node-3"]
    groups = [node.cgroup for node in nodes]
    assert groups == ["riskpredictor-3-dev", "riskpredictor-3.2-dev", "riskpredictor-3.3-dev"]


def test_a_record_of_an_earlier_release_is_of_one_node_and_ipv4() -> None:
    cluster = Cluster("dev", "node", 3)
    cluster.save()
    old = json.loads(cluster.paths.record.read_text())
    for added in ("node_count", "ip_family", "assigned_users"):
        del old[added]
    cluster.paths.record.write_text(json.dumps(old))
    assert record.load("dev") == cluster


def test_two_clusters_get_different_places_and_keep_them() -> None:
    first = record.allocate("a", ALONE)
    second = record.allocate("b", ALONE)
    assert first.index != second.index
    assert record.allocate("a", ALONE) == first


def test_a_place_whose_port_somebody_uses_is_left_to_them() -> None:
    taken = record.allocate("a", ALONE)
    taken.paths.record.unlink()
    with socket.socket() as other:
        # Also where an earlier test's connection lingers.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken.ports["kube-scheduler"]))
        other.listen()
        assert record.allocate("a", ALONE).index > taken.index


def test_a_cluster_does_not_change_its_profile() -> None:
    record.allocate("a", ALONE)
    with pytest.raises(
        ClusterError, match="profile control-plane and ipv4, not node and ipv4"
    ) as raised:
        record.allocate("a", Options())
    assert "down --name a" in raised.value.hint


def test_a_cluster_does_not_change_its_address_family() -> None:
    record.allocate("a", Options(ip_family="ipv6"))
    with pytest.raises(ClusterError, match="node and ipv6, not node and dual"):
        record.allocate("a", Options(ip_family="dual"))
    assert record.allocate("a", Options()).ip_family == "ipv6", "unless it is asked for, it stays"


def test_nodes_and_assigned_users_are_added_and_never_forgotten() -> None:
    record.allocate("a", Options(nodes=2))
    assert record.allocate("a", Options(assigned_users=True)).node_count == 2
    grown = record.allocate("a", Options(nodes=3))
    assert (grown.node_count, grown.assigned_users) == (3, True)


@pytest.mark.parametrize("nodes", [0, -1, naming.MAX_NODES + 1])
def test_an_impossible_number_of_nodes_is_refused(nodes: int) -> None:
    with pytest.raises(ClusterError, match=f"--nodes {nodes}: a cluster has 1 to 9 nodes"):
        record.allocate("a", Options(nodes=nodes))


def test_real_nodes_are_not_for_a_control_plane_alone() -> None:
    with pytest.raises(ClusterError, match="--nodes is for --profile node") as raised:
        record.allocate("a", Options("control-plane", nodes=2))
    assert "--kwok" in raised.value.hint


def test_fake_nodes_are_added_and_never_forgotten() -> None:
    record.allocate("a", Options("control-plane", kwok_nodes=2))
    assert record.allocate("a", ALONE).kwok_nodes == 2
    assert record.allocate("a", Options("control-plane", kwok_nodes=5)).kwok_nodes == 5


@pytest.mark.parametrize("folder", ["/run/x", "/var/lib/x", "/var/log", "/var/run/x"])
def test_state_below_folders_that_a_node_hides_is_refused(folder: str) -> None:
    with pytest.raises(ClusterError, match="RISKPREDICTOR_STATE is") as raised:
        refuse_hidden("RISKPREDICTOR_STATE", Path(folder))
    assert "set RISKPREDICTOR_STATE" in raised.value.hint
