"""What a step asks of its machine, as bounds: processors, memory, shared memory, a stop-condition. Pure.

`max` of the file is the bound; `min` is a request, which whoever knows the machine compares with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.errors import Location, MlrunError, spec_error, usage_error
from runner.job import Allowance, HostMount
from runner.spec.condition import BadExpression, Expression, metric_of, parameter_of
from runner.spec.model import Condition, Step
from runner.spec.tree import shorten

CPU_LIMIT = "VH_CPU_LIMIT"
"""The variable by which a step of Valohai bounds its processors: a count (`2`), or a list of them (`0,2,4`)."""

MEGABYTE = 1_000_000
"""Valohai counts memory in MB."""

LEAST_MEMORY = 6 << 20
"""Bytes; container engines refuse less."""

LEAST_CPUS = 0.01
MOST_CPUS = 100_000.0
MOST_MEMORY = 10**9 * MEGABYTE

_LIST = re.compile(r"\d{1,6}(?:-\d{1,6})?(?:\s*,\s*\d{1,6}(?:-\d{1,6})?)+|\d{1,6}-\d{1,6}")
_MOST_LISTED = 8192


@dataclass(frozen=True, slots=True)
class Grant:
    """What the user lets one node have: host folders, devices by name and count, and the size of `/dev/shm` in bytes
    (None: half of the step's memory)."""

    mounts: tuple[HostMount, ...] = ()
    devices: Mapping[str, int] = field(default_factory=dict)
    shm: int | None = None


def allowance(step: Step, environment: Mapping[str, str], grant: Grant) -> Allowance:
    """The bounds of a step with these variables. Raises MlrunError for what no step could run with.

    `VH_CPU_LIMIT` takes the place of the file's `cpu`. Half of the memory may be shared memory unless the user's
    settings say otherwise: PyTorch's loaders pass their batches through it.
    """
    cpus, cpu_set = _cpus(step.resources.cpu.maximum, step.location), tuple[int, ...]()
    if (text := environment.get(CPU_LIMIT, "").strip()) != "":
        cpus, cpu_set = _cpu_limit(text, step)
    memory = _memory(step.resources.memory.maximum, step.location)
    shm = grant.shm if grant.shm is not None else memory // 2 if memory is not None else None
    return Allowance(cpus, cpu_set, memory, shm, dict(grant.devices))


def check_limits(step: Step, environment: Mapping[str, str]) -> None:
    """Refuse limits that cannot be kept, before anything starts. Raises MlrunError with the place in the file."""
    allowance(step, environment, Grant())
    if step.stop_condition is not None:
        _check_condition(step.stop_condition, step)


def _cpus(most: float | None, location: Location) -> float | None:
    if most is not None and not LEAST_CPUS <= most <= MOST_CPUS:
        raise spec_error(f"a step cannot run with at most {most:g} CPUs", location, "`max` is 0.01 to 100,000 CPUs")
    return most


def _memory(megabytes: float | None, location: Location) -> int | None:
    if megabytes is None:
        return None
    if not LEAST_MEMORY <= megabytes * MEGABYTE <= MOST_MEMORY:
        hint = "`max` is in megabytes, at least 7"
        raise spec_error(f"a step cannot run with at most {megabytes:g} MB of memory", location, hint)
    return int(megabytes * MEGABYTE)


def _cpu_limit(text: str, step: Step) -> tuple[float | None, tuple[int, ...]]:
    """A count, or a list of processors."""
    if _LIST.fullmatch(text) and (numbers := _numbers(text)):
        return None, numbers
    try:
        count = float(text)
    except ValueError:
        count = 0.0
    if LEAST_CPUS <= count <= MOST_CPUS:
        return count, ()
    message = f"`{CPU_LIMIT}` is `{shorten(text)}`, neither a number of processors nor a list of them"
    hint = "such as `2`, or `0,2,4`"
    declared = next((item for item in step.environment_variables if item.name == CPU_LIMIT), None)
    if declared is not None and (declared.default or "").strip() == text:
        raise spec_error(message, declared.location, hint)
    raise usage_error(message, hint)


def _numbers(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        found.update(range(int(first), min(int(last or first), int(first) + _MOST_LISTED) + 1))
    return tuple(sorted(found)) if len(found) <= _MOST_LISTED else ()


def _check_condition(condition: Condition, step: Step) -> None:
    """Refuse a condition that is no expression, or one that nothing which the step prints could make true."""
    noun = f"the stop-condition `{shorten(condition.text)}` of step `{shorten(step.name)}`"
    try:
        names = Expression(condition.text).names
    except BadExpression as error:
        hint = error.hint or "compare a metric, such as `loss < 0.1`"
        raise _refused(f"{noun} is not understood: {shorten(error.reason, 120)}", condition, hint) from None
    if not any(metric_of(name) for name in names):
        hint = "compare a metric, such as `loss < 0.1`"
        raise _refused(f"{noun} reads no metric, so that nothing could make it hold", condition, hint)
    for name in sorted(names):
        parameter = parameter_of(name)
        if parameter is not None and step.parameter(parameter) is None:
            raise _refused(f"{noun} reads parameter `{shorten(parameter)}`, which the step lacks", condition, None)


def _refused(message: str, condition: Condition, hint: str | None) -> MlrunError:
    return spec_error(message, condition.location, hint)
