"""What is remembered of a cluster, and which place a new one gets."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import naming, record
from localcluster.console import ClusterError
from localcluster.paths import ClusterPaths, refuse_hidden
from localcluster.record import Cluster


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
    assert (node.api_server, node.node_name, node.cgroup) == (
        "https://198.18.3.2:6443",
        "dev-node",
        "riskpredictor-3-dev",
    )
    alone = replace(node, profile="control-plane")
    assert alone.api_server == f"https://127.0.0.1:{naming.loopback_ports(3)['kube-apiserver']}"


def test_two_clusters_get_different_places_and_keep_them() -> None:
    first = record.allocate("a", "control-plane", 0)
    second = record.allocate("b", "control-plane", 0)
    assert first.index != second.index
    assert record.allocate("a", "control-plane", 0) == first


def test_a_place_whose_port_somebody_uses_is_left_to_them() -> None:
    taken = record.allocate("a", "control-plane", 0)
    taken.paths.record.unlink()
    with socket.socket() as other:
        # Also where an earlier test's connection lingers.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken.ports["kube-scheduler"]))
        other.listen()
        assert record.allocate("a", "control-plane", 0).index > taken.index


def test_a_cluster_does_not_change_its_profile() -> None:
    record.allocate("a", "control-plane", 0)
    with pytest.raises(ClusterError, match="profile control-plane, not node") as raised:
        record.allocate("a", "node", 0)
    assert "down --name a" in raised.value.hint


def test_fake_nodes_are_added_and_never_forgotten() -> None:
    record.allocate("a", "control-plane", 2)
    assert record.allocate("a", "control-plane", 0).kwok_nodes == 2
    assert record.allocate("a", "control-plane", 5).kwok_nodes == 5


@pytest.mark.parametrize("folder", ["/run/x", "/var/lib/x", "/var/log", "/var/run/x"])
def test_state_below_folders_that_a_node_hides_is_refused(folder: str) -> None:
    with pytest.raises(ClusterError, match="RISKPREDICTOR_STATE is") as raised:
        refuse_hidden("RISKPREDICTOR_STATE", Path(folder))
    assert "set RISKPREDICTOR_STATE" in raised.value.hint
