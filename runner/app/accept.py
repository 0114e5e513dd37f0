"""Lets an earlier execution stand for a node though something differs, because the user says that this is no matter."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from runner.app.binding import make_drafter
from runner.app.forecast import Fate, Runs, estimate, forecast
from runner.app.ground import Ground, lay_ground
from runner.app.request import Request
from runner.app.reuse import Proposal, Reuser
from runner.app.run import make_reuser, slots_of
from runner.app.why import Outlook, above
from runner.errors import usage_error
from runner.escape import printable
from runner.events import Listener
from runner.job import Job
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.provenance.host import user_name
from runner.reuse.decide import Cause, CodeDiffers, FactsDiffer, Miss, NamesDiffer, OutputsGone, Unreusable


@dataclass(frozen=True, slots=True)
class Acceptable:
    """What is to become of one node, and its job where nothing above it has to run first."""

    name: str
    outlook: Outlook
    ground: Ground
    reuser: Reuser
    job: Job | None

    @property
    def fate(self) -> Fate:
        """The fate of the node."""
        return self.outlook.fates[self.name]


@contextmanager
def look(request: Request, name: str, emit: Listener) -> Iterator[Acceptable]:
    """Look at one node and all above it as a run would; inputs on other machines are fetched. Raises MlrunError."""
    ground = lay_ground(request, emit)
    with ground.store:
        reuser, drafter = make_reuser(request, ground), make_drafter(request, ground, emit)
        jobs: dict[str, Job] = {}

        def draft(node: PlannedNode, upstream: Mapping[str, Left]) -> Job:
            jobs[node.name] = drafter(node, upstream)
            return jobs[node.name]

        plan = request.plan
        fates = forecast(plan, draft, reuser, lambda node: (), only=above(plan, name))
        told = estimate(ground.store, request.place.ref.id, plan, fates, slots_of(request, ground.executor.name))
        yield Acceptable(name, Outlook(plan, fates, told, ground, reuser), ground, reuser, jobs.get(name))


def accept(found: Acceptable) -> Proposal:
    """Record durably that the nearest earlier execution stands for the node. Raises MlrunError (USAGE) where there is
    none that could, DISK, STORE."""
    fate, name = found.fate, printable(found.name)
    nearest = fate.miss.nearest if isinstance(fate, Runs) and _is_change(fate.miss) else None
    if found.job is None or nearest is None:
        raise usage_error(f"nothing can stand for node `{name}`", hint=f"`mlrun why {name}` says why")
    proposal = found.reuser.proposal(found.name, found.job, nearest)
    if not isinstance(proposal, Proposal):
        raise usage_error(
            f"execution {nearest.counter} cannot stand for node `{name}`: {_sentence(proposal)}",
            hint=f"run the node again: `mlrun why {name}` says what differs",
        )
    store, execution = found.ground.store, proposal.execution
    run = found.reuser.sight.run_of(execution)
    with store.refs.changing({"user": user_name()}) as change:
        change.accept(proposal.key, proposal.code, execution.id, run.id)
    return proposal


def undo(found: Acceptable) -> list[Proposal]:
    """Take back what was accepted for the node as it is now; gives that. Raises MlrunError (USAGE) where it was
    nothing, DISK, STORE."""
    standing = found.reuser.standing_proposals(found.name, found.job) if found.job is not None else []
    if not standing:
        raise usage_error(
            f"nothing is accepted for node `{printable(found.name)}` as it is now",
            hint="what was accepted for another state of its code or values does not hold for this one anyway",
        )
    with found.ground.store.refs.changing({"user": user_name()}) as change:
        for one in standing:
            change.unaccept(one.key, one.code)
    return standing


def _sentence(cause: Cause) -> str:
    """Why an execution can stand for nothing."""
    match cause:
        case Unreusable(why):
            return printable(why)
        case OutputsGone(output):
            return f"its output `{printable(output)}` is missing or damaged"
    return "it is older than its policy allows"


def _is_change(miss: Miss) -> bool:
    """Whether all that is in the way is that something is not as it was."""
    return bool(miss.causes) and all(isinstance(one, FactsDiffer | NamesDiffer | CodeDiffers) for one in miss.causes)
