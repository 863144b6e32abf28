"""Clusters side by side share no name, port or address."""

from __future__ import annotations

import ipaddress
import itertools

import pytest

from localcluster import naming
from localcluster.console import ClusterError
from localcluster.naming import Family


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


@pytest.mark.parametrize(("family", "reserved"), [("ipv4", "198.18.0.0/15"), ("ipv6", "fd00::/8")])
def test_links_of_all_nodes_are_distinct_and_set_aside_for_such_networks(
    family: Family, reserved: str
) -> None:
    subnets = set()
    for index, node in itertools.product(range(naming.MAX_CLUSTERS), range(naming.MAX_NODES)):
        outer, inner, length = naming.link_addresses(family, index, node)
        for end in (outer, inner):
            assert str(ipaddress.ip_address(end)) == end, "the API server takes no other spelling"
        ends = {ipaddress.ip_interface(f"{end}/{length}") for end in (outer, inner)}
        assert len(ends) == 2
        (subnet,) = {end.network for end in ends}
        assert _inside(subnet, naming.link_range(family, index))
        subnets.add(subnet)
    assert len(subnets) == naming.MAX_CLUSTERS * naming.MAX_NODES
    ranges = {naming.link_range(family, index) for index in range(naming.MAX_CLUSTERS)}
    assert len(ranges) == naming.MAX_CLUSTERS
    assert all(str(ipaddress.ip_network(links)) == links for links in ranges)
    assert all(_inside(ipaddress.ip_network(links), reserved) for links in ranges)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_pods_of_all_nodes_are_distinct_and_in_the_cluster_s_range(family: Family) -> None:
    subnets = [naming.pod_subnet(family, node) for node in range(naming.MAX_NODES)]
    assert len(set(subnets)) == len(subnets)
    assert all(str(ipaddress.ip_network(subnet)) == subnet for subnet in subnets)
    assert all(_inside(ipaddress.ip_network(s), naming.POD_CIDR[family]) for s in subnets)


def _inside(subnet: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: str) -> bool:
    network = ipaddress.ip_network(outer)
    # Whoever compares two families gets an error.
    return subnet.version == network.version and network.supernet_of(subnet)  # type: ignore[arg-type]


def test_an_address_of_ipv6_stands_in_brackets_in_a_url() -> None:
    assert naming.authority("198.18.0.2", 80) == "198.18.0.2:80"
    assert naming.authority("fd00::2", 80) == "[fd00::2]:80"


@pytest.mark.parametrize(("family", "first"), [("ipv4", "10.96.0.1"), ("ipv6", "fd00:10:96::1")])
def test_the_first_service_is_the_api_server(family: Family, first: str) -> None:
    assert naming.service_address(family, 1) == first


def test_interface_names_fit_the_kernel() -> None:
    assert all(len(naming.link_name(index)) <= 15 for index in range(naming.MAX_CLUSTERS))
