"""What work costs, in counts instead of seconds: the same on every machine, however slow or busy."""

import sys
import tracemalloc
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any


def steps(work: Callable[[], object]) -> int:
    """How many bytecode instructions this thread executes in `work`. Loops inside C functions count as one."""
    counted = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal counted
        if event == "call":
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
        elif event == "opcode":
            counted += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted


def allocated(works: Iterable[Callable[[], object]]) -> int:
    """How many bytes the calls need beyond what there was before each, summed: a copy counts, though it is dropped.

    Only memory that Python itself hands out is counted.
    """
    total = 0
    tracemalloc.start()
    try:
        for work in works:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            work()
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return total
