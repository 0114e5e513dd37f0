"""Order in a graph of names. Pure; linear in nodes and edges."""

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter


def order(upstream: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """All names, each after its upstreams, otherwise in the order given. Raises graphlib.CycleError."""
    sorter = TopologicalSorter({name: tuple(names) for name, names in upstream.items()})
    sorter.prepare()
    place = {name: index for index, name in enumerate(upstream)}
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda name: place[name])
        ordered += ready
        sorter.done(*ready)
    return tuple(ordered)


def invert(upstream: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The nodes directly downstream of each node."""
    downstream: dict[str, list[str]] = {name: [] for name in upstream}
    for name, names in upstream.items():
        for above in names:
            downstream[above].append(name)
    return {name: tuple(names) for name, names in downstream.items()}
