"""From a node whose upstreams are done to the job that runs it, or to the earlier execution that stands for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from runner import __version__
from runner.app.deployment import deploy
from runner.app.gang import Gangs, Membership
from runner.app.ground import Ground
from runner.app.input import compute_checksums, fetch_inputs, make_fetcher
from runner.app.request import Request
from runner.app.reuse import Reuser
from runner.app.sweep import make_sweep
from runner.crew import nothing
from runner.digest import Digest, hash_json
from runner.engine.callback import Binder, Bound, Deployed, Stand, Sweep, Ticket
from runner.escape import printable
from runner.events import Listener, Noticed
from runner.job import Job
from runner.plan.bind import Left, make_job, resolve
from runner.plan.document import (
    RunContext,
    distributed_document,
    execution_document,
    identities,
    runtime_document,
)
from runner.plan.fixed import fixed_variables
from runner.plan.model import PlannedNode
from runner.share import share_of
from runner.store.flight import Flights
from runner.store.identity import new_id
from runner.store.journal import timestamp

_LOOK_AGAIN = 0.1
"""Seconds between two looks at work that somebody else does, at most: it may be done already, and only not known yet.
"""

Drafter = Callable[[PlannedNode, Mapping[str, Left]], Job]
"""Resolves the values of a node and fetches its inputs; the job has no id, number or documents yet. Raises
MlrunError."""


class Identifier(Protocol):
    """Tells the job of a node who it is."""

    def __call__(self, node: PlannedNode, job: Job, counter: int, member: Membership | None = None) -> Job:
        """The job with an id, and with the documents and variables that say so; of a member, whose others too."""
        ...


def make_drafter(request: Request, ground: Ground, emit: Listener) -> Drafter:
    """What drafts the jobs of a run."""
    store = ground.store
    fetcher = make_fetcher(request.place.root, store)

    def draft(node: PlannedNode, upstream: Mapping[str, Left]) -> Job:
        resolved = resolve(node, upstream)
        # Of a trial all this was said when its task node was settled.
        for notice in resolved.notices if node.trial_of is None else ():
            emit(Noticed(notice, node.name))
        fetched = fetch_inputs(fetcher, node, resolved, emit)
        compute_checksums(store, request.settings.checksums, fetched, resolved)
        return make_job(
            node,
            resolved,
            fetched,
            snapshot=ground.code_of(node).snapshot,
            network=request.settings.network,
            grant=ground.granted.nodes[node.trial_of or node.name],
        )

    return draft


def make_identifier(ground: Ground, context: RunContext) -> Identifier:
    """What identifies the jobs of one run."""

    def identify(node: PlannedNode, job: Job, counter: int, member: Membership | None = None) -> Job:
        id, gang = (member.execution, member.gang) if member else (new_id(), None)
        document = execution_document(
            replace(context, commit=ground.code_of(node).identifier),
            id=id,
            counter=counter,
            created=timestamp(),
            step=job.step,
            image=job.image,
            node=node.name,
            task=node.trial_of,
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
        documents = {**job.documents, "execution": document, "runtime": runtime}
        if member is not None and node.trial_of is not None:
            documents["distributed"] = distributed_document(
                context, node.trial_of, member.gang, member.executions, member.announced
            )
        return replace(
            job,
            id=id,
            environment={**job.environment, **identities(context, id, node.name, node.trial_of, gang)},
            defaults=fixed_variables(taken, job.allowance, share_of(ground.executor.name).places),
            documents=documents,
            gang=gang,
        )

    return identify


@dataclass(frozen=True, slots=True)
class Chance:
    """How a run may do without running a node: by an earlier execution, or by one that runs just now."""

    reuser: Reuser
    flights: Flights


def make_binder(
    draft: Drafter, identify: Identifier, chance: Chance | None, emit: Listener, gangs: Gangs | None = None
) -> Binder:
    """What binds the nodes of a run. Identical work under way is waited for: it may stand for this. Only the members of
    a gang always run: what they did together, none of them did alone."""

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound | Stand:
        job = draft(node, upstream)
        ticket.wait(0)
        key, settle = None, nothing
        member = gangs.join(node, job.network) if gangs is not None else None
        if member is not None:
            settle = member.leave
        elif chance is not None:
            key = chance.reuser.key(node.trial_of or node.name, job)
            found = _look(chance, node, job, key, ticket, emit)
            if isinstance(found, Stand):
                return found
            settle = found
        try:
            counter = ticket.number()
            return Bound(identify(node, job, counter, member), counter, key, settle)
        except BaseException:
            settle()
            raise

    return bind


def by_kind(work: Binder, context: RunContext, emit: Listener) -> Binder:
    """What binds nodes of every kind; `work` those that run a step."""

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound | Stand | Sweep | Deployed:
        match node.kind:
            case "task":
                return make_sweep(node, upstream, emit)
            case "deployment":
                return deploy(node, upstream, context)
            case _:
                return work(node, upstream, ticket)

    return bind


def _look(
    chance: Chance, node: PlannedNode, job: Job, key: Digest | None, ticket: Ticket, emit: Listener
) -> Stand | Callable[[], None]:
    """What stands for the node, or else what lets others know that its work is done."""
    reuser, name = chance.reuser, node.trial_of or node.name
    if key is None or reuser.never(node) is not None:
        return nothing
    if (stand := reuser.stand(name, job)) is not None:
        return stand
    pause = _LOOK_AGAIN / 16
    work = hash_json([key, job.snapshot])
    while (settle := chance.flights.take(work, node.name)) is None:
        holder = chance.flights.holder(work)
        ticket.wait(pause)
        if pause < _LOOK_AGAIN <= pause * 2:
            where = "elsewhere" if holder is None else f"in node `{printable(holder)}`"
            emit(Noticed(f"the same work is under way {where}, and is waited for", node.name))
        pause = min(pause * 2, _LOOK_AGAIN)
    try:
        stand = reuser.stand(name, job)
    except BaseException:
        settle()
        raise
    if stand is not None:
        settle()
    return stand or settle
