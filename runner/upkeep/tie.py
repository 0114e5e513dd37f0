"""What a run is tied to: pins, names, other runs and accepted work that would point to nothing without it."""

from collections.abc import Collection, Iterator
from functools import cache, partial

from runner.errors import MlrunError
from runner.escape import printable
from runner.store.catalog import data_of
from runner.store.datum import SCHEME, Datum
from runner.store.link import Links
from runner.store.reach import named_by_names
from runner.store.record import Run
from runner.store.store import Store


def ties(store: Store, run: Run, leaving: Collection[str] = ()) -> Iterator[str]:
    """Every tie of a run, in a few words, but for those of the runs that go with it, by their ids. Raises MlrunError
    (STORE)."""
    going = {run.id, *leaving}
    data = {datum.id: datum for execution in run.executions.values() for datum in data_of(execution)}
    yield from _pins(store, run, data)
    makers = [id.encode() for id in run.executions]
    for meant in named_by_names(store.refs, lambda _: ()):
        if meant.datum is not None:
            if meant.datum.execution in run.executions:
                yield f"`{printable(meant.datum.name)}` has the alias `{printable(meant.name)}`"
            continue
        # The list is read as bytes: most have nothing to do with this run.
        listing = store.objects.read(meant.digest)
        if any(maker in listing for maker in makers):
            yield f"files of it are in {meant.kind} `{printable(meant.name)}`"
    links = store.links()
    yield from _users(store, links, data, going)
    yield from _reusers(store, links, run, going)


def _pins(store: Store, run: Run, data: dict[str, Datum]) -> Iterator[str]:
    if store.refs.pin(run.id) is not None:
        yield "it is pinned"
    for execution in run.executions.values():
        if store.refs.pin(execution.id) is not None:
            yield f"execution {execution.counter} is pinned"
    for pin in store.refs.pins():
        if pin.id in data:
            yield f"`{printable(data[pin.id].name)}` is pinned"


def _users(store: Store, links: Links, data: dict[str, Datum], going: Collection[str]) -> Iterator[str]:
    """Executions of other runs that got its files as what they are; content that merely equals them is no tie."""
    told: set[str] = set()
    read = cache(partial(_readable, store))
    for digest in {datum.digest for datum in data.values()}:
        for id, run_id in links.users_of(digest):
            if run_id in going or id in told or (other := read(run_id)) is None:
                continue
            files = (file for given in other.executions[id].job["inputs"] for file in given["files"])
            if any(file["origin"].removeprefix(SCHEME) in data for file in files):
                told.add(id)
                counter = other.executions[id].counter
                yield f"execution {counter} of run {other.counter} ({printable(other.name)}) got files of it"


def _readable(store: Store, run_id: str) -> Run | None:
    """A run; None for one that cannot be read, which the check tells."""
    try:
        return store.run(run_id)
    except MlrunError:
        return None


def _reusers(store: Store, links: Links, run: Run, going: Collection[str]) -> Iterator[str]:
    """Nodes of other runs for which its executions stand, and other work for which the user lets them stand."""
    read = cache(partial(_readable, store))
    for execution in run.executions.values():
        for run_id in links.reusers_of(execution.id):
            if run_id in going or (other := read(run_id)) is None:
                continue
            for node in other.nodes.values():
                if node.reused is not None and node.reused.execution == execution.id:
                    stands = f"execution {execution.counter} stands for node `{printable(node.name)}`"
                    yield f"{stands} of run {other.counter} ({printable(other.name)})"
    for one in store.refs.acceptances():
        if one.run == run.id and one.execution in run.executions:
            yield f"execution {run.executions[one.execution].counter} is accepted in the place of other work"
