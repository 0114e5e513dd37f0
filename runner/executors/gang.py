"""How jobs on one machine reach one another, as far as it needs no engine. Pure but for the machine's own routes."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.job import Network

_PRIVATE = IPv4Network("10.0.0.0/8")
"""Of the private ranges (RFC 1918) the largest: a small piece of it, taken by chance, is hardly ever somebody's."""

_TRIES = 64
_TAKEN = 3
"""Addresses of a subnet that no job gets: its own, its gateway's and the one for all."""

_ROUTE_UP = 1


def refuse_none(network: Network) -> None:
    """Refuse jobs that each have no network. Raises MlrunError (code EXECUTOR)."""
    if network is Network.NONE:
        raise MlrunError(
            "the members of a distributed task cannot reach one another without a network",
            code=ExitCode.EXECUTOR,
            hint='`--network default`, or `network = "default"` in your settings',
        )


def loopback(gang: str, count: int) -> tuple[str, ...]:
    """The addresses of jobs that share the network of this machine, all of which is reached by nobody else.

    Every address of 127.0.0.0/8 is this machine's own (RFC 1122, 3.2.1.3). Each job has another, so that all may listen
    on the same port of their own address, and so do those of another gang; 127.0.0.1 is left to others.
    """
    first = int(IPv4Address("127.1.0.1")) + 256 * (_number(gang) % (200 << 8))
    return tuple(str(IPv4Address(first + index)) for index in range(count))


class HostNetwork:
    """What an executor knows of gangs whose jobs share the network of this machine (`runner.job.Executor`)."""

    def connect(self, gang: str, count: int, network: Network) -> tuple[str, ...]:
        """Addresses of this machine's own. Raises MlrunError (code EXECUTOR)."""
        refuse_none(network)
        return loopback(gang, count)

    def disconnect(self, gang: str) -> None:
        """Nothing to free."""

    def connected(self) -> frozenset[str]:
        """Nothing is ever taken."""
        return frozenset()


def subnets(gang: str, count: int, taken: Sequence[IPv4Network]) -> Iterator[IPv4Network]:
    """Small networks for `count` jobs that overlap with none that is `taken`, in an order that differs by gang."""
    prefix = 32 - max(3, (count + _TAKEN - 1).bit_length())
    step = 1 << (32 - prefix)
    pieces = _PRIVATE.num_addresses // step

    def candidates() -> Iterator[IPv4Network]:
        for attempt in range(pieces):
            place = _number(f"{attempt} {gang}") % pieces
            yield IPv4Network((int(_PRIVATE.network_address) + place * step, prefix))

    return islice((one for one in candidates() if not any(map(one.overlaps, taken))), _TRIES)


def members(subnet: IPv4Network, count: int) -> tuple[str, ...]:
    """The addresses of jobs in a subnet; the first is the gateway's."""
    return tuple(str(address) for address in islice(subnet.hosts(), 1, 1 + count))


def routed(table: Path = Path("/proc/net/route")) -> list[IPv4Network]:
    """The networks that this machine has a way to, but for the way to everywhere (proc(5)); none where nobody tells."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split("\t")
            destination, flags, mask = (int(fields[column], 16) for column in (1, 3, 7))
            if flags & _ROUTE_UP and mask:
                found.append(IPv4Network((_swapped(destination), str(IPv4Address(_swapped(mask)))), strict=False))
    return found


def _swapped(number: int) -> int:
    """As the kernel prints it on a machine that has the least byte first."""
    return int.from_bytes(number.to_bytes(4, "little"), "big")


def _number(text: str) -> int:
    """The same for the same text, whatever process asks."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
