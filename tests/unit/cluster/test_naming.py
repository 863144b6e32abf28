"""Clusters side by side share no name, port or address."""

from __future__ import annotations

import ipaddress

import pytest

from localcluster import naming
from localcluster.console import ClusterError


@pytest.mark.parametrize("name", ["a", "dev", "t-1", "a" * 20, "0x"])
def test_a_short_dns_label_is_a_name(name: str) -> None:
    assert naming.validate_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", "a" * 21, "../x", "a\n"]
)
def test_anything_else_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(ClusterError) as raised:
        naming.validate_name(name)
    assert repr(name) in raised.value.message
    assert "1 to 20 lower-case letters" in raised.value.hint


def test_the_lowest_free_index_is_taken() -> None:
    assert naming.allocate_index({0, 2}, lambda index: index != 1) == 3
    assert naming.allocate_index({1, 2}, lambda _: True) == 0, "a freed one is used again"


def test_when_no_index_is_left_the_message_says_how_to_get_one() -> None:
    with pytest.raises(ClusterError, match="200 places") as raised:
        naming.allocate_index(range(naming.MAX_CLUSTERS), lambda _: True)
    assert "down" in raised.value.hint


def test_ports_of_all_clusters_are_distinct_and_below_the_ephemeral_range() -> None:
    ports = [
        port
        for index in range(naming.MAX_CLUSTERS)
        for port in naming.loopback_ports(index).values()
    ]
    assert len(set(ports)) == len(ports)
    assert min(ports) >= 1024
    assert max(ports) < 32768


def test_subnets_of_all_clusters_are_distinct_and_set_aside_for_tests() -> None:
    reserved = ipaddress.IPv4Network("198.18.0.0/15")
    subnets = [ipaddress.IPv4Network(naming.link_subnet(i)) for i in range(naming.MAX_CLUSTERS)]
    assert len(set(subnets)) == len(subnets)
    for index, subnet in enumerate(subnets):
        assert subnet.subnet_of(reserved)
        hosts = {str(address) for address in subnet.hosts()}
        assert hosts == {naming.host_address(index), naming.node_address(index)}


def test_interface_names_fit_the_kernel() -> None:
    assert all(len(naming.link_name(index)) <= 15 for index in range(naming.MAX_CLUSTERS))
