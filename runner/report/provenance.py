"""Where a run came from: its code, its command line, its machine; and who decided what. Pure."""

import re
import shlex
from collections.abc import Iterator, Sequence

from runner.plan.address import public
from runner.quantity import exact_text, size_text
from runner.report.element import Child, Markup, element, join
from runner.report.subject import Subject
from runner.report.wording import facts, table, time_text
from runner.store.record import Code

_MOST = 400
"""Planned values that are listed."""

_VARIABLE = re.compile(r"(--var=|)([^=]+)=.*", re.S)


def provenance(subject: Subject) -> Markup:
    """Everything with which the run can be found and repeated."""
    run = subject.run
    page = [
        facts(
            [
                ("run", run.id),
                ("project", f"{run.project.name} ({run.project.id})"),
                ("command line", element("code", shlex.join(["mlrun", *discreet(run.argv)]))),
                ("file", run.project.file),
                ("digest of the file", element("code", run.spec)),
                ("mlrun", run.version),
                ("came from", subject.came_from),
                *_code(run.code),
            ]
        )
    ]
    for node, code in run.codes.items():
        page += [element("h3", f"Code of {node}"), facts(_code(code))]
    page += [element("h3", "Machine"), facts((name, _machine(name, value)) for name, value in run.host.items())]
    return join(page)


def discreet(argv: Sequence[str]) -> Iterator[str]:
    """The words of a command line, without logins in addresses and without the values of variables, which may be
    anybody's key."""
    follows = False
    for word in argv:
        hidden = _VARIABLE.fullmatch(word) if follows or word.startswith("--var=") else None
        yield f"{hidden[1] if not follows else ''}{hidden[2]}=…" if hidden else public(word)
        follows = word == "--var"


def _code(code: Code) -> Iterator[tuple[str, Child]]:
    differs = " (dirty: the snapshot differs from it)" if code.dirty else ""
    yield "commit", element("code", f"{code.commit}{differs}") if code.commit else "none"
    yield "branch", code.branch
    yield "describe", code.describe
    yield "remote", public(code.remote) if code.remote else None
    yield "snapshot", element("code", code.snapshot)
    if code.not_captured:
        yield "not captured", element("ul", [element("li", path) for path in code.not_captured])


def _machine(name: str, value: object) -> str:
    if name == "memory" and isinstance(value, int):
        return size_text(value)
    return ", ".join(map(exact_text, value)) if isinstance(value, list | tuple) else exact_text(value)


def decisions(subject: Subject) -> Markup | None:
    """Who let which node go on, or not; nothing where nobody was asked."""
    rows = [
        (node.name, decision.point, "approved" if decision.approved else "rejected", decision.by,
         time_text(decision.time))
        for node in subject.run.nodes.values()
        for decision in node.decisions
    ]  # fmt: skip
    waiting = [
        (node.name, node.point, "awaits approval", "", None) for node in subject.run.nodes.values() if node.point
    ]
    told = [*rows, *waiting]
    return table(("node", "point", "decision", "by", "when"), told, "Decisions") if told else None


def parameters(subject: Subject) -> Markup | None:
    """What the pipeline was given, and what its nodes got of the plan."""
    given = [(name, exact_text(value)) for name, value in subject.values.items()]
    of_nodes = [
        (node["name"], name, exact_text(value))
        for node in subject.run.plan["nodes"]
        for name, value in node.get("parameters", {}).items()
    ]
    first = table(("pipeline parameter", "value"), given, "Given to the pipeline") if given else None
    rest = table(("node", "parameter", "value"), of_nodes[:_MOST], "Planned for the nodes") if of_nodes else None
    cut = f"{_MOST} of {len(of_nodes):,} values are shown." if len(of_nodes) > _MOST else None
    return join(first, rest, element("p", cut, class_="note") if cut else None) if given or of_nodes else None
