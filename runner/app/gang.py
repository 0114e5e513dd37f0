"""The members of distributed tasks: which jobs start together, where they reach one another, and for how long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from runner.errors import ExitCode, MlrunError
from runner.job import Executor, Gang, Network
from runner.plan.model import Plan, PlannedNode, trial_number
from runner.spec.model import Task, TaskType
from runner.store.identity import new_id
from runner.store.journal import timestamp
from runner.store.store import Store

_PARTS = "."
"""Between the id of the run and an id of the gang's own: who finds one on a machine learns whose it was."""


def run_of(gang: str) -> str:
    """The run that a gang is of."""
    return gang.partition(_PARTS)[0]


def check_gangs(plan: Plan, network: Network) -> None:
    """Refuse distributed tasks whose members could not reach one another, before anything starts. Raises MlrunError
    (code EXECUTOR)."""
    for node in plan.nodes.values():
        if _distributed(node) is not None and network is Network.NONE:
            raise MlrunError(
                f"node `{node.name}` is a distributed task, whose members cannot reach one another without a network",
                code=ExitCode.EXECUTOR,
                hint='`--network default`, or `network = "default"` in your settings',
            )


def free_gangs(executor: Executor, store: Store) -> None:
    """Free what gangs took whose runs have ended, by a runner that died before it could. Raises MlrunError.

    Asked in this order, no gang of a run that has just begun is taken for one: a run is in the store before its gangs
    are on the machine.
    """
    connected = executor.connected()
    ended = store.ended_runs() if connected else set()
    for gang in connected:
        if run_of(gang) in ended:
            executor.disconnect(gang)


@dataclass(frozen=True, slots=True)
class Membership:
    """What a job is told that is a member: the ids of all executions by index, and when they were announced. `leave`
    says that it is over, or that nobody will run it; idempotent."""

    gang: Gang
    executions: tuple[str, ...]
    announced: str
    leave: Callable[[], None]

    @property
    def execution(self) -> str:
        """The id of its own execution."""
        return self.executions[self.gang.index]


@dataclass(slots=True)
class _Open:
    """A gang while it lasts."""

    id: str
    addresses: tuple[str, ...]
    executions: tuple[str, ...]
    announced: str
    joined: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)


class Gangs:
    """The gangs of one run. Used by the threads that bind its nodes, and by those that end their jobs."""

    def __init__(self, executor: Executor, nodes: Mapping[str, PlannedNode], run: str) -> None:
        self._executor = executor
        self._nodes = nodes
        self._run = run
        self._lock = Lock()
        self._latest: dict[str, _Open] = {}
        self._connected: set[str] = set()

    def join(self, node: PlannedNode, network: Network) -> Membership | None:
        """The membership of a trial of a distributed task, None for any other node. Who joins again, because it is
        tried again, begins another gang, which the others join when they are. Raises MlrunError (code EXECUTOR)."""
        if node.trial_of is None or (task := _distributed(self._nodes[node.trial_of])) is None:
            return None
        count = task.members
        index = (trial_number(node.name) - 1) % count
        with self._lock:
            found = self._latest.get(node.trial_of)
            if found is None or index in found.joined:
                found = self._latest[node.trial_of] = self._begin(count, network)
            found.joined.add(index)
        gang = Gang(found.id, index, found.addresses)
        return Membership(gang, found.executions, found.announced, lambda: self._leave(found, index))

    def close(self) -> None:
        """Free what gangs still hold of which not all members came so far; idempotent."""
        with self._lock:
            left, self._connected = self._connected, set()
        for gang in left:
            self._executor.disconnect(gang)

    def _begin(self, count: int, network: Network) -> _Open:
        id = f"{self._run}{_PARTS}{new_id()}"
        addresses = self._executor.connect(id, count, network)
        self._connected.add(id)
        return _Open(id, addresses, tuple(new_id() for _ in range(count)), timestamp())

    def _leave(self, gang: _Open, index: int) -> None:
        with self._lock:
            gang.left.add(index)
            is_over = len(gang.left) == len(gang.addresses) and gang.id in self._connected
            if is_over:
                self._connected.remove(gang.id)
        if is_over:
            self._executor.disconnect(gang.id)


def _distributed(node: PlannedNode) -> Task | None:
    return node.task if node.task is not None and node.task.type is TaskType.DISTRIBUTED else None
