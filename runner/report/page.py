"""The whole report: one HTML document that stands alone. Pure.

It has no script and fetches nothing, and its policy (`Content-Security-Policy`) says so to the browser: only pictures
that are in it, and only the two style sheets that are named by their hashes.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from runner.report.chart import line_chart
from runner.report.curve import MOST_EXECUTIONS, Curves, gather
from runner.report.element import Child, Markup, drawn, element
from runner.report.execution import cards_of, execution_part, ids_of
from runner.report.graph import drawing_of, picture_of, sheet_of
from runner.report.node import link, node_table, reason
from runner.report.output import output_part, picture_part
from runner.report.provenance import decisions, parameters, provenance
from runner.report.style import style_sheet
from runner.report.subject import Subject
from runner.report.timeline import timeline
from runner.report.trial import task_parts
from runner.report.wording import facts, lasted, note, section, state_badge, time_text
from runner.sign import word_of
from runner.spec.phrase import counted
from runner.state import FINAL, State
from runner.store.record import NodeRecord

_ALARMS = 20
"""Nodes that went wrong and are named at the top."""


def render(subject: Subject) -> str:
    """The report as a document in UTF-8."""
    run = subject.run
    drawing = drawing_of(run)
    sheets = [style_sheet(), *([sheet] if (sheet := sheet_of(drawing)) else [])]
    title = f"{_subject_words(subject)}: {run.state}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(sheets)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", drawn(sheets[0])),
    )
    cards = cards_of(subject)
    carded = ids_of(cards)
    told: list[tuple[str, Iterable[Child]]] = [
        ("graph", [picture_of(drawing, run)]),
        ("timeline", [timeline(subject)]),
        ("nodes", [node_table(subject, carded)]),
        ("trials", task_parts(subject, carded)),
        ("metrics", _metrics(gather(subject))),
        ("pictures", [picture_part(subject)]),
        ("outputs", [output_part(subject)]),
        ("parameters", [parameters(subject)]),
        ("decisions", [decisions(subject)]),
        ("executions", [execution_part(subject, cards)]),
        ("provenance", [provenance(subject)]),
    ]
    parts = {name: section(name, name.capitalize(), *inside) for name, inside in told}
    main = element("main", _alarm(subject, carded), parts.values())
    body = element("body", _header(subject), _contents(parts), main, _footer(subject))
    return "<!doctype html>\n" + element("html", head, body, lang="en").text + "\n"


def _policy(sheets: Sequence[str]) -> str:
    hashes = " ".join(f"'sha256-{b64encode(sha256(sheet.encode()).digest()).decode()}'" for sheet in sheets)
    return f"default-src 'none'; img-src data:; style-src {hashes}; base-uri 'none'; form-action 'none'"


def _subject_words(subject: Subject) -> str:
    run = subject.run
    kind = {"exec": "step", "pipeline": "pipeline", "task": "task"}[run.kind]
    return f"run {run.counter}, {kind} {run.name}"


def _header(subject: Subject) -> Markup:
    run = subject.run
    commit = run.code.commit[:12] + (" (dirty)" if run.code.dirty else "") if run.code.commit else "none"
    return element(
        "header",
        element("h1", _headline(subject), state_badge(run)),
        element("p", run.title) if run.title else None,
        facts(
            [
                ("project", run.project.name),
                ("started", time_text(run.created)),
                ("finished", time_text(run.finished)),
                ("reason", str(run.reason) if run.reason else None),
                ("executor", run.executor),
                ("commit", element("code", commit)),
                ("tags", ", ".join(subject.tags)),
            ]
        ),
        element("ul", [element("li", element("b", value), element("span", name)) for value, name in _tiles(subject)],
                class_="tiles"),
        _end(subject),
    )  # fmt: skip


def _tiles(subject: Subject) -> Iterator[tuple[str, str]]:
    """The figures of the run with their names: how long it took, and what became of its nodes and of their trials."""
    records = subject.run.nodes.values()
    yield lasted(subject.run, subject.written) or "unknown", "duration"
    yield from _counts("node", (node for node in records if node.trial_of is None))
    yield from _counts("trial", (node for node in records if node.trial_of is not None))


def _counts(noun: str, records: Iterable[NodeRecord]) -> Iterator[tuple[str, str]]:
    for word, count in Counter(map(word_of, records)).most_common():
        yield f"{count:,}", f"{noun if count == 1 else f'{noun}s'} {word}"


def _headline(subject: Subject) -> str:
    words = _subject_words(subject)
    return f"{words[:1].upper()}{words[1:]} "


def _end(subject: Subject) -> Markup | None:
    """What is to be known of a run that has not come to an end by itself."""
    run = subject.run
    if run.state is State.WAITING:
        waits = [node.name for node in run.nodes.values() if node.state is State.AWAITING_APPROVAL]
        return note(f"The run is parked: {', '.join(waits) or 'a node'} awaits approval.")
    if run.state is State.INTERRUPTED:
        return note("The run was interrupted: its runner or its machine went away, and nothing can be said of its end.")
    return None if run.state in FINAL else note("The run had not ended when this was written.")


def _contents(parts: Mapping[str, Markup | None]) -> Markup:
    links = [
        element("li", element("a", name.capitalize(), href=f"#{name}"))
        for name, part in parts.items()
        if part is not None
    ]
    return element("nav", element("ul", links), aria_label="parts of this page")


def _alarm(subject: Subject, carded: frozenset[str]) -> Markup | None:
    """What went wrong, before everything else."""
    wrong = (State.FAILED, State.INTERRUPTED)
    last = subject.last()
    found = [node for node in subject.run.nodes.values() if node.state in wrong]
    if not found:
        return None
    lines: list[Child] = []
    for node in found[:_ALARMS]:
        part = last.get(node.name)
        one = part.execution if part else None
        number = link(one.counter, one.id, carded) if one else None
        why = reason(subject.run, part) if part else ", ".join(filter(None, (str(node.reason or ""), node.detail)))
        lines.append(element("li", element("b", node.name), " ", number, f" {node.state}", f": {why}" if why else ""))
    more = note(f"{len(found) - _ALARMS:,} more.") if len(found) > _ALARMS else None
    return element("section", element("h2", "What went wrong"), element("ul", lines), more, class_="alarm", id="wrong",
                   aria_label="What went wrong")  # fmt: skip


def _metrics(curves: Curves) -> Iterator[Child]:
    if curves.panels:
        yield element("div", map(line_chart, curves.panels), class_="panels")
    told = []
    if any(panel.is_thinned() for panel in curves.panels):
        told.append("Long curves are thinned: of each stretch its extremes are drawn.")
    if any(panel.more for panel in curves.panels):
        most = max((panel.more + len(panel.lines), len(panel.lines)) for panel in curves.panels if panel.more)
        told.append(f"Where executions are many, some are drawn, evenly chosen: {most[1]} of {most[0]:,}.")
    if curves.more:
        told.append(f"{counted(curves.more, 'further metric')} found no room.")
    if curves.unread:
        told.append(f"Only {MOST_EXECUTIONS:,} executions were looked at, {curves.unread:,} were not.")
    if lost := sum(line.lost for panel in curves.panels for line in panel.lines):
        told.append(f"{counted(lost, 'value')} that are NaN or infinite have no place in a chart.")
    missing = list(curves.missing.items())
    told += [f"The metrics of execution {number} are not here: {why}" for number, why in missing[:3]]
    if len(missing) > 3:
        told.append(f"Nor are those of {counted(len(missing) - 3, 'other execution')}.")
    yield from map(note, told)


def _footer(subject: Subject) -> Markup:
    return element(
        "footer",
        element("p", "Written on ", time_text(subject.written), f" by mlrun from the record of run {subject.run.id}."),
    )
