"""What every executor must do for jobs that start together: each reaches all others at the address that it was told."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors import EXECUTORS
from runner.executors.gang import members, subnets
from runner.job import Gang, Network, Staged
from tests.contract.conftest import Bench, Result

MEMBER = """\
import json, socket, sys
index, addresses = int(sys.argv[1]), sys.argv[2].split(",")
if index == 0:
    with socket.create_server((addresses[0], 29500)) as server:
        server.settimeout(30)
        total = 0
        for _ in addresses[1:]:
            peer, (host, _) = server.accept()
            with peer, peer.makefile("rw") as line:
                assert host in addresses, host
                total += int(line.readline())
        print("sum", total)
else:
    # All listen on the same port of their own address, which must not clash.
    with socket.create_server((addresses[index], 29500)):
        for _ in range(300):
            try:
                peer = socket.create_connection((addresses[0], 29500), 30, (addresses[index], 0))
                break
            except ConnectionRefusedError:
                __import__("time").sleep(0.1)
        with peer:
            peer.sendall(b"%d\\n" % index)
"""


@pytest.fixture
def connected(bench: Bench) -> Iterator[Callable[..., tuple[str, tuple[str, ...]]]]:
    """Connects gangs and disconnects them at the end."""
    made: list[str] = []

    def connect(count: int = 3, network: Network = Network.DEFAULT) -> tuple[str, tuple[str, ...]]:
        made.append(str(uuid.uuid4()))
        return made[-1], bench.executor.connect(made[-1], count, network)

    yield connect
    for gang in made:
        bench.executor.disconnect(gang)


def member(
    bench: Bench, gang: str, addresses: tuple[str, ...], index: int, *items: str, network: Network = Network.DEFAULT
) -> Staged:
    staged = bench.stage(*items, image=bench.python_image, network=network)
    return replace(staged, job=replace(staged.job, gang=Gang(gang, index, addresses)))


@pytest.mark.parametrize("network", [Network.DEFAULT, Network.HOST])
def test_members_reach_one_another_at_their_addresses(
    bench: Bench, connected: Callable[..., tuple[str, tuple[str, ...]]], network: Network
) -> None:
    gang, addresses = connected(3, network)
    staged = [
        member(
            bench,
            gang,
            addresses,
            index,
            f"python - {index} {','.join(addresses)} <<'END'\n{MEMBER}END",
            network=network,
        )
        for index in range(3)
    ]
    with ThreadPoolExecutor(3) as threads:
        results: list[Result] = list(threads.map(bench.finish, staged))

    assert [result.outcome.exit_code for result in results] == [0, 0, 0], [result.stderr for result in results]
    assert results[0].stdout == b"sum 3\n"


def test_a_gang_has_the_same_addresses_until_it_is_disconnected(
    bench: Bench, connected: Callable[..., tuple[str, tuple[str, ...]]]
) -> None:
    gang, addresses = connected(4)

    assert bench.executor.connect(gang, 4, Network.DEFAULT) == addresses
    assert len(set(addresses)) == 4


def test_gangs_at_the_same_time_have_no_address_in_common(
    connected: Callable[..., tuple[str, tuple[str, ...]]],
) -> None:
    found = [address for _ in range(4) for address in connected(5)[1]]

    assert len(set(found)) == len(found)


def test_jobs_without_a_network_cannot_be_a_gang(
    bench: Bench, connected: Callable[..., tuple[str, tuple[str, ...]]]
) -> None:
    with pytest.raises(MlrunError, match="cannot reach one another without a network") as raised:
        connected(2, Network.NONE)

    assert raised.value.code is ExitCode.EXECUTOR
    assert "--network default" in (raised.value.hint or "")
    assert bench.executor.connected() == frozenset()


def test_what_was_connected_is_freed_also_by_another_runner_and_twice(
    bench: Bench, connected: Callable[..., tuple[str, tuple[str, ...]]]
) -> None:
    gang, _ = connected(2)
    successor = EXECUTORS[bench.name](bench.site)
    there = successor.connected()

    assert there <= {gang}
    assert there == bench.executor.connected()
    for _ in range(2):
        successor.disconnect(gang)
        assert bench.executor.connected() == frozenset()
    if (close := getattr(successor, "close", None)) is not None:
        close()


# --- bridges


@pytest.mark.docker
def test_a_bridge_stays_while_a_member_runs(docker_bench: Bench) -> None:
    gang = str(uuid.uuid4())
    addresses = docker_bench.executor.connect(gang, 1, Network.DEFAULT)
    staged = member(docker_bench, gang, addresses, 0, "sleep 60")
    handle = docker_bench.executor.start(staged)
    try:
        docker_bench.executor.disconnect(gang)
        assert docker_bench.executor.connected() == {gang}
    finally:
        handle.stop(0)
        docker_bench.watch(handle, staged.workspace)
        docker_bench.executor.disconnect(gang)
    assert docker_bench.executor.connected() == frozenset()


@pytest.mark.docker
def test_a_subnet_that_the_engine_has_given_away_is_passed_over(
    docker_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    known = list(subnets(first, 3, []))
    monkeypatch.setattr("runner.executors.docker.subnets", lambda gang, count, taken: iter(known))
    try:
        one = docker_bench.executor.connect(first, 3, Network.DEFAULT)
        other = docker_bench.executor.connect(second, 3, Network.DEFAULT)
        assert one == members(known[0], 3)
        assert other == members(known[1], 3)
    finally:
        docker_bench.executor.disconnect(first)
        docker_bench.executor.disconnect(second)
