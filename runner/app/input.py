"""The input files of a run: fetched with the store, the user's map and the catalog, or left by an execution."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from runner.data.catalog import files_of
from runner.data.means import Means
from runner.data.source import Fetcher
from runner.data.substitute import load_substitutes, substitutes_file
from runner.digest import Digest
from runner.events import InputFetched, Listener, Noticed
from runner.job import InputFile
from runner.plan.bind import Resolved
from runner.plan.model import Plan, PlannedNode, Source
from runner.settings import settings_file
from runner.spec.command import find_braced, interpolate_uri, named_parameters
from runner.spec.model import SocketType
from runner.store.catalog import outputs_as_data
from runner.store.record import OutputFile
from runner.store.store import Store

_YES = frozenset({"1", "yes", "true"})
"""How Valohai's agent controls are switched on."""


def make_fetcher(root: Path, store: Store) -> Fetcher:
    """What brings inputs of the project at `root` into `store`. Raises MlrunError (USAGE) for a broken map."""
    substitutes = load_substitutes(substitutes_file(settings_file(os.environ)))
    return Fetcher(root, Means(store.objects, store.layout.cache, store.catalog, keep=store.keeps), substitutes)


def check_inputs(fetcher: Fetcher, plan: Plan) -> None:
    """Refuse what is not to be had before anything starts; what edges will bring in is not looked at, nor what a node
    had in another run from which it is taken.

    Raises MlrunError like `Fetcher.check`.
    """
    catalog = fetcher.means.catalog
    for node in plan.nodes.values():
        if node.taken_from is not None:
            continue
        for file in (one for files in node.files.values() for one in files):
            if catalog is not None:
                catalog.require(file.name, Digest(file.digest))
        # What an upstream node will leave may have a name that nobody knows yet.
        here = replace(fetcher, means=replace(fetcher.means, catalog=None)) if node.upstream else fetcher
        fed = {(edge.target.type, edge.target.key) for edge in node.edges}
        for declared in node.step.inputs:
            if (SocketType.INPUT, declared.name) not in fed or node.append_edges:
                here.check(declared, tuple(_known(node, node.inputs[declared.name], fed)))


def _known(node: PlannedNode, sources: Iterable[Source], fed: Collection[tuple[SocketType, str]]) -> Iterator[Source]:
    """The sources whose address no edge changes, with the values of parameters filled in."""
    for source in sources:
        if all((SocketType.PARAMETER, name) not in fed for name in named_parameters(find_braced([source.uri]))):
            yield replace(source, uri=interpolate_uri(source.uri, node.step, node.parameters))


def fetch_inputs(
    fetcher: Fetcher, node: PlannedNode, resolved: Resolved, emit: Listener
) -> dict[str, tuple[InputFile, ...]]:
    """The files of all inputs of a node that are to be fetched. Raises MlrunError like `Fetcher.fetch`."""

    def progress(address: str, done: int, total: int) -> None:
        emit(InputFetched(node.name, address, done, total))

    means = replace(
        fetcher.means,
        fresh=resolved.environment.get("VH_NO_DATA_CACHE", "").lower() in _YES,
        progress=progress,
        notice=lambda sentence: emit(Noticed(sentence, node.name)),
    )
    return {
        declared.name: fetcher.fetch(declared, resolved.sources.get(declared.name, ()), means)
        for declared in node.step.inputs
    }


def left_files(execution: str, outputs: Iterable[OutputFile]) -> tuple[InputFile, ...]:
    """What the execution with this id left, as files that another job can get: of several versions the newest, under
    the name that the step gave it, as on Valohai."""
    return files_of(outputs_as_data(execution, outputs))


def compute_checksums(
    store: Store, names: Collection[str], fetched: Mapping[str, tuple[InputFile, ...]], resolved: Resolved
) -> None:
    """Have the checksums that the user's settings ask for, of every file that a node gets and whose content is kept."""
    if names and store.keeps:
        for files in (*fetched.values(), *resolved.carried.values()):
            for file in files:
                store.checksums.compute(Digest(file.digest), names)
