"""The nodes of a run and their executions as a table. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from runner.export.subject import Part
from runner.export.telling import image_name
from runner.quantity import age_text, moment, seconds_between, size_text
from runner.report.element import Child, Markup, element, join
from runner.report.subject import Subject
from runner.report.wording import folded, lasted, note, state_badge, table, why
from runner.spec.phrase import counted
from runner.state import DONE
from runner.store.record import NodeRecord, Run

OPEN = 80
"""Rows that are shown at once; of more those that need a look are, and the rest when it is asked for."""

_HEADS = ("node", "state", "execution", "reason", "executor", "image", "duration", "memory")


def node_table(subject: Subject, carded: frozenset[str]) -> Markup:
    """One row for each execution of each node, and one for a node without. Trials have a table of their own; ids of
    `carded` have a place on the page to lead to."""
    parts: dict[str, list[Part]] = defaultdict(list)
    for part in subject.parts:
        if part.node.trial_of is None:
            parts[part.node.name].append(part)
    rows: list[tuple[bool, list[Child]]] = [
        (part.node.state not in DONE, list(_row(subject, part, place, len(of_node), carded)))
        for of_node in parts.values()
        for place, part in enumerate(of_node)
    ]
    if len(rows) <= OPEN:
        return _table([row for _, row in rows], "Nodes and their executions")
    loud = [row for is_loud, row in rows if is_loud]
    first = _table(loud[:OPEN], "Nodes that did not succeed") if loud else None
    left = note(f"{OPEN} of {len(loud):,} are shown here; all are below.") if len(loud) > OPEN else None
    whole = folded(f"All {counted(len(rows), 'row')}", _table([row for _, row in rows], "Nodes and their executions"))
    return join(first, left, whole)


def link(counter: int, id: str, carded: frozenset[str]) -> Markup:
    """The number of an execution, which leads to what is told of it."""
    return element("a", f"#{counter}", href=f"#e-{id}") if id in carded else element("span", f"#{counter}")


def _table(rows: Sequence[Sequence[Child]], caption: str) -> Markup:
    return table(_HEADS, rows, caption, numeric=(6, 7))


def _row(subject: Subject, part: Part, place: int, of: int, carded: frozenset[str]) -> Iterator[Child]:
    node, execution = part.node, part.execution
    step = None if node.step == node.name else element("small", f"step {node.step}")
    yield join(node.name, step)
    own = execution is not None and not part.is_reused
    yield state_badge(execution if own and execution and place < of - 1 else node)
    if execution is None:
        yield f"#{node.reused.counter}" if node.reused else None
    else:
        attempt = element("small", f"attempt {place + 1} of {of}") if of > 1 else None
        yield join(link(execution.counter, execution.id, carded), attempt)
    yield reason(subject.run, part)
    yield execution.executor if execution else None
    yield element("code", image_name(execution)) if execution and image_name(execution) else None
    yield lasted(execution, subject.written) if execution else None
    yield size_text(execution.peak_memory) if execution and execution.peak_memory else None


def reason(run: Run, part: Part) -> str:
    """Why a node is where it is; of a reused one what stands for it, and how old that is."""
    node, execution = part.node, part.execution
    if node.reused is not None:
        return reused_words(run, node, part)
    if execution is None:
        return _of_node(node)
    return why(execution) or (_of_node(node) if node.state is not execution.state else "")


def _of_node(node: NodeRecord) -> str:
    waits = f"awaits approval at {node.point}" if node.point else ""
    return ", ".join(text for text in (why(node), waits) if text)


def reused_words(run: Run, node: NodeRecord, part: Part) -> str:
    """`execution 12 of run 3 stands for it, 2 days old`."""
    if node.reused is None:
        return ""
    if part.execution is None:
        return f"execution {node.reused.counter} stands for it, which is no longer recorded"
    ended = part.execution.finished or part.execution.created
    age = age_text(seconds_between(ended, moment(run.created)))
    word = ", by the user's word" if node.reused.accepted else ""
    return f"execution {part.execution.counter} of run {part.run.counter} stands for it, {age} old{word}"
