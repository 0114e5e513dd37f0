"""What an execution is made of, one fact at a time. Pure.

One walk, `facts`, has two ends: `base_key` hashes what it tells, `compare` says in which facts two executions differ.
So an explanation can never disagree with the decision that it explains.

What counts is what a program can see and what may change its results: where its programs come from, its script,
values, variables, input files, the names of the files of the code, the network and its share of the machine. What does
not: who runs it, when, under which ids and in which run, where an input of the same content came from, limits that
only end a program (its time, its silence, its memory), and the variables that nobody set but we (`runner.plan.fixed`),
which follow from the rest. The contents of the code count only where a step read them: they are no facts of this page
(`runner.reuse.content`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from runner.digest import Digest, hash_bytes
from runner.job import InputFile, Job

FORMAT = 1
"""Of what is hashed. A change of the walk that would give two different executions one key must raise it."""

NO_FACTS = frozenset(
    {
        "VH_JOB_ID",
        "VH_EXECUTION_ID",
        "VH_PROJECT_ID",
        "VH_PIPELINE_ID",
        "VH_PIPELINE_NODE_ID",
        "VH_TASK_ID",
        "VH_DIST_MEMBER_ID",
        "VH_DIST_MEMBER_INDEX",
        "VH_DIST_MEMBER_COUNT",
        "VH_LOCAL_IP",
        "VH_CONFIG_DIR",
        "VH_INPUTS_DIR",
        "VH_OUTPUTS_DIR",
        "VH_REPOSITORY_DIR",
        "VH_NO_DATA_CACHE",
        "VH_NO_IMAGE_CACHE",
        "VH_CLEAN",
    }
)
"""The variables that say which execution this is and where its folders are, and those that tell the runner to fetch
again what it has. A name that merely begins like them is a variable of the step."""


class Kind(StrEnum):
    """What a fact is about."""

    ENVIRONMENT = "environment"
    COMMAND = "command"
    PARAMETER = "parameter"
    VARIABLE = "variable"
    SECRET = "secret"
    INPUT = "input"
    FILES = "files"
    NETWORK = "network"
    RESOURCE = "resource"
    DEVICE = "device"
    ORDER = "order"
    CONDITION = "stop-condition"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that counts. `name` says which of its kind (empty where there is only one), `value` is JSON."""

    kind: Kind
    name: str
    value: object


@dataclass(frozen=True, slots=True)
class Made:
    """What an execution is made of. `identity` is the id of the image or the interpreter, `executor` the name of what
    runs it, `names` a digest of the paths, kinds, modes and link targets of its code."""

    job: Job
    identity: str
    executor: str
    names: Digest


def facts(made: Made) -> Iterator[Fact]:
    """All that counts, each once, in an order that depends on nothing but the facts.

    The orders of parameters and inputs are facts of their own, because the config documents list them so.
    """
    job = made.job
    yield Fact(Kind.ENVIRONMENT, "", [made.executor, made.identity])
    yield Fact(Kind.COMMAND, "", [list(job.script.items), job.script.stop_at_failure])
    for name in sorted(job.parameters):
        yield Fact(Kind.PARAMETER, name, job.parameters[name])
    for name in sorted(job.environment):
        if name not in NO_FACTS:
            yield Fact(Kind.VARIABLE, name, job.environment[name])
    for name in sorted(job.secrets):
        yield Fact(Kind.SECRET, name, None)
    for given in sorted(job.inputs, key=lambda given: given.name):
        yield Fact(Kind.INPUT, given.name, [_file(file) for file in given.files])
    yield Fact(Kind.ORDER, "parameters", list(job.parameters))
    yield Fact(Kind.ORDER, "inputs", [given.name for given in job.inputs])
    yield Fact(Kind.FILES, "", made.names)
    yield Fact(Kind.NETWORK, "", str(job.network))
    yield from _resources(job)
    if job.stop_condition is not None:
        yield Fact(Kind.CONDITION, "", job.stop_condition)


def _file(file: InputFile) -> list[object]:
    return [file.name, file.digest, dict(file.metadata)]


def _resources(job: Job) -> Iterator[Fact]:
    """The share of the machine that programs adapt to: they count processors and devices, not bytes of memory."""
    allowance = job.allowance
    if allowance.cpus is not None:
        yield Fact(Kind.RESOURCE, "cpus", allowance.cpus)
    if allowance.cpu_set:
        yield Fact(Kind.RESOURCE, "cpu-set", list(allowance.cpu_set))
    for name in sorted(allowance.devices):
        yield Fact(Kind.DEVICE, name, allowance.devices[name])


def base_key(told: Iterable[Fact]) -> Digest:
    """One key per set of facts: two executions have the same if and only if `compare` finds no difference."""
    return hash_bytes(canonical([FORMAT, [[fact.kind, fact.name, fact.value] for fact in told]]))


def canonical(value: object) -> bytes:
    """One byte string per JSON value, and no two values with the same: also for NaN and infinities, for text that is
    not UTF-8 (lone surrogates), for 1, 1.0, true and "1", and for the order of keys, which programs see. Raises
    TypeError for what JSON does not have."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not the same: `before` is None where it is new, `after` where it is gone."""

    before: Fact | None
    after: Fact | None

    @property
    def fact(self) -> Fact:
        """Either of the two: kind and name are the same."""
        return self.after or self.before  # type: ignore[return-value]


def compare(before: Iterable[Fact], after: Iterable[Fact]) -> tuple[Difference, ...]:
    """In which facts two executions differ, in the order of the walk."""
    was, is_now = _by_label(before), _by_label(after)
    labels = dict.fromkeys([*is_now, *was])
    ordered = sorted(labels, key=lambda label: (list(Kind).index(label[0]), label[1]))
    differences = (
        Difference(was.get(label), is_now.get(label))
        for label in ordered
        if label not in was or label not in is_now or not _same(was[label], is_now[label])
    )
    return tuple(difference for difference in differences if not _is_told(difference))


def _is_told(difference: Difference) -> bool:
    """Whether it only repeats another difference: names that come or go change their order, too."""
    before, after = difference.before, difference.after
    if before is None or after is None or after.kind is not Kind.ORDER:
        return False
    return sorted(_names(before)) != sorted(_names(after))


def _names(fact: Fact) -> list[str]:
    return fact.value if isinstance(fact.value, list) else []


def _by_label(told: Iterable[Fact]) -> Mapping[tuple[Kind, str], Fact]:
    return {(fact.kind, fact.name): fact for fact in told}


def _same(one: Fact, other: Fact) -> bool:
    """As the key sees it: Python takes 1, 1.0 and true for equal, programs do not."""
    return canonical(one.value) == canonical(other.value)


def why_never(job: Job) -> str | None:
    """Why an execution of this job can stand for no other, and no other for it; None where it can."""
    if job.mounts:
        return f"it sees `{job.mounts[0].source}` of this machine, whose content is not recorded"
    if job.gang is not None:
        return f"it is one of {len(job.gang.addresses)} members of a distributed task, which only work together"
    return None
