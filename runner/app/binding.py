"""From a node whose upstreams are done to the job that runs it, or to the earlier execution that stands for it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from runner import __version__
from runner.app.ground import Ground
from runner.app.input import compute_checksums, fetch_inputs, make_fetcher
from runner.app.request import Request
from runner.app.reuse import Reuser
from runner.digest import Digest, hash_json
from runner.engine.callback import Binder, Bound, Stand, Ticket, nothing
from runner.events import Listener, Noticed
from runner.job import Job
from runner.plan.bind import Left, make_job, resolve
from runner.plan.document import RunContext, execution_document, identities, runtime_document
from runner.plan.fixed import fixed_variables
from runner.plan.model import PlannedNode
from runner.store.flight import Flights
from runner.store.identity import new_id
from runner.store.journal import timestamp

_LOOK_AGAIN = 0.1
"""Seconds between two looks at work that somebody else does."""

Drafter = Callable[[PlannedNode, Mapping[str, Left]], Job]
"""Resolves the values of a node and fetches its inputs; the job has no id, number or documents yet. Raises
MlrunError."""

Identifier = Callable[[str, Job, int], Job]
"""Tells the job of a node who it is: gives it an id, and with its number the documents and variables that say so."""


def make_drafter(request: Request, ground: Ground, emit: Listener) -> Drafter:
    """What drafts the jobs of a run."""
    store = ground.store
    fetcher = make_fetcher(request.place.root, store)

    def draft(node: PlannedNode, upstream: Mapping[str, Left]) -> Job:
        resolved = resolve(node, upstream)
        for notice in resolved.notices:
            emit(Noticed(notice, node.name))
        fetched = fetch_inputs(fetcher, node, resolved, emit)
        compute_checksums(store, request.settings.checksums, fetched, resolved)
        return make_job(
            node,
            resolved,
            fetched,
            snapshot=ground.code.snapshot,
            network=request.settings.network,
            grant=ground.granted.nodes[node.name],
        )

    return draft


def make_identifier(ground: Ground, context: RunContext) -> Identifier:
    """What identifies the jobs of one run."""

    def identify(node: str, job: Job, counter: int) -> Job:
        id = new_id()
        document = execution_document(
            context, id=id, counter=counter, created=timestamp(), step=job.step, image=job.image, node=node
        )
        identity = ground.images[job.image]
        own = identity.details.get("variables")
        taken = {*job.environment, *job.secrets, *(own if isinstance(own, list) else ())}
        runtime = runtime_document(
            context,
            image=job.image,
            identity=identity.id,
            allowance=job.allowance,
            version=__version__,
        )
        return replace(
            job,
            id=id,
            environment={**job.environment, **identities(context, id, node)},
            defaults=fixed_variables(taken, job.allowance, len(os.sched_getaffinity(0))),
            documents={**job.documents, "execution": document, "runtime": runtime},
        )

    return identify


@dataclass(frozen=True, slots=True)
class Chance:
    """How a run may do without running a node: by an earlier execution, or by one that runs elsewhere just now."""

    reuser: Reuser
    flights: Flights


def make_binder(draft: Drafter, identify: Identifier, chance: Chance | None, emit: Listener) -> Binder:
    """What binds the nodes of a run. Identical work under way elsewhere is waited for: it may stand for this."""

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound | Stand:
        job = draft(node, upstream)
        ticket.wait(0)
        key, settle = None, nothing
        if chance is not None:
            key = chance.reuser.key(node.name, job)
            found = _look(chance, node, job, key, ticket, emit)
            if isinstance(found, Stand):
                return found
            settle = found
        try:
            counter = ticket.number()
            return Bound(identify(node.name, job, counter), counter, key, settle)
        except BaseException:
            settle()
            raise

    return bind


def _look(
    chance: Chance, node: PlannedNode, job: Job, key: Digest | None, ticket: Ticket, emit: Listener
) -> Stand | Callable[[], None]:
    """What stands for the node, or else what lets others know that its work is done."""
    reuser = chance.reuser
    if key is None or reuser.never(node) is not None:
        return nothing
    if (stand := reuser.stand(node.name, job)) is not None:
        return stand
    told = False
    while (settle := chance.flights.take(hash_json([key, job.snapshot]))) is None:
        if not told:
            emit(Noticed("the same work is under way elsewhere, and is waited for", node.name))
            told = True
        ticket.wait(_LOOK_AGAIN)
    try:
        stand = reuser.stand(node.name, job)
    except BaseException:
        settle()
        raise
    if stand is not None:
        settle()
    return stand or settle
