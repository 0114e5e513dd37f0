"""Addresses for jobs that reach one another."""

from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from pathlib import Path

import pytest

from runner.executors.gang import loopback, members, routed, subnets

ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    "tun0\t0000100A\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0\n"
    "down\t0000110A\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)


def test_every_job_on_the_loopback_has_an_address_of_its_own_and_none_the_usual_one() -> None:
    found = [address for gang in "abc" for address in loopback(gang, 300)]

    assert all(IPv4Address(address) in IPv4Network("127.0.0.0/8") for address in found)
    assert not any(address.startswith("127.0.") for address in found)
    assert len(set(found)) == len(found)


def test_a_gang_has_the_same_addresses_in_every_process() -> None:
    assert loopback("gang", 2) == loopback("gang", 2)
    assert list(subnets("gang", 2, [])) == list(subnets("gang", 2, []))
    assert next(subnets("gang", 2, [])) != next(subnets("other", 2, []))


@pytest.mark.parametrize(("count", "prefix"), [(1, 29), (5, 29), (6, 28), (13, 28), (14, 27), (1000, 22)])
def test_a_subnet_is_as_small_as_its_members_allow(count: int, prefix: int) -> None:
    subnet = next(subnets("gang", count, []))
    found = members(subnet, count)

    assert subnet.prefixlen == prefix
    assert len(set(found)) == count
    assert all(IPv4Address(address) in subnet for address in found)
    assert {str(subnet[0]), str(subnet[1]), str(subnet[-1])}.isdisjoint(found)


def test_a_subnet_lies_where_nobody_else_is() -> None:
    half = IPv4Network("10.0.0.0/9")
    found = list(islice(subnets("gang", 3, [half]), 50))

    assert len(found) == 50
    assert not any(one.overlaps(half) for one in found)


def test_where_everything_is_taken_there_is_no_subnet() -> None:
    assert list(subnets("gang", 100_000, [IPv4Network("10.0.0.0/8")])) == []


def test_the_routes_of_the_machine_are_read_but_for_the_way_to_everywhere(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(ROUTES)

    assert routed(tmp_path / "route") == [IPv4Network("192.168.0.0/24"), IPv4Network("10.16.0.0/12")]


@pytest.mark.parametrize("text", ["", "Iface\n", "Iface\nodd line\n"])
def test_a_machine_that_tells_no_routes_has_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "route").write_text(text)

    assert routed(tmp_path / "route") == []
    assert routed(tmp_path / "missing") == []
