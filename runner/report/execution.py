"""Each execution by itself: its command, what it was given, what it measured, and the end of its log. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.errors import MlrunError
from runner.export.subject import Part
from runner.export.telling import command, distributions, flat, got, image_name, names_of_secrets, variables
from runner.quantity import exact_text, size_text, value_text
from runner.report.element import Child, Markup, element, join
from runner.report.log import readable
from runner.report.node import reason
from runner.report.subject import Subject
from runner.report.wording import facts, folded, lasted, note, state_badge, table, time_text
from runner.spec.phrase import counted
from runner.state import DONE, State
from runner.store.record import Execution

CARDS = 300
"""Executions of which everything is told: first those that did not succeed."""
OPEN = 3
"""Failed ones that are shown at once."""
LOGS = 1_500_000
"""Bytes of logs in the whole page."""
_LOG_LEAST, _LOG_MOST, _LINES = 1_000, 8_000, 60
_FILES, _METRICS, _PACKAGES = 30, 60, 300
_COMMAND = 6_000
"""Characters of a command."""


@dataclass(frozen=True, slots=True)
class Card:
    """A part that has an execution which is told in full."""

    part: Part
    execution: Execution


def cards_of(subject: Subject) -> list[Card]:
    """The executions that are told in full, in the order of the plan, each once."""
    found = list({one.id: Card(part, one) for part, one in subject.executions()}.values())
    if len(found) <= CARDS:
        return found
    by_need = sorted(found, key=lambda card: card.execution.state in DONE)
    chosen = {card.execution.id for card in by_need[:CARDS]}
    return [card for card in found if card.execution.id in chosen]


def ids_of(cards: Sequence[Card]) -> frozenset[str]:
    """Those that the page has a place for."""
    return frozenset(card.execution.id for card in cards)


def execution_part(subject: Subject, cards: Sequence[Card]) -> Markup | None:
    """All cards, folded; the first that failed are open."""
    if not cards:
        return None
    most = max(_LOG_LEAST, min(_LOG_MOST, LOGS // len(cards)))
    failed = [card.execution.id for card in cards if card.execution.state is State.FAILED][:OPEN]
    total = len({one.id for _, one in subject.executions()})
    said = None
    if total > len(cards):
        said = note(
            f"{len(cards):,} of {total:,} executions are told in full, those that did not succeed first; ",
            element("code", "mlrun show EXECUTION"),
            " tells the others.",
        )
    told = [_card(subject, card, most, open_=card.execution.id in failed or total == 1) for card in cards]
    return join(said, told)


def _card(subject: Subject, card: Card, most: int, *, open_: bool) -> Markup:
    one, part = card.execution, card.part
    came = f" of run {part.run.counter}" if part.is_reused else ""
    head = join(
        element("b", part.node.name), f" #{one.counter}{came} ", state_badge(one), " ",
        element("span", lasted(one, subject.written), class_="faint"),
    )  # fmt: skip
    return folded(head, *_inside(subject, part, one, most), open_=open_, id=f"e-{one.id}")


def _inside(subject: Subject, part: Part, one: Execution, most: int) -> Iterator[Child]:
    identity = one.identity or {}
    yield facts(
        [
            ("step", one.step),
            ("why", reason(subject.run, part)),
            ("started", time_text(one.started)),
            ("finished", time_text(one.finished)),
            ("executor", one.executor),
            ("image", image_name(one)),
            ("environment", _said(identity.get("id"))),
            ("interpreter", _said(identity.get("interpreter"))),
            ("platform", _said(identity.get("platform"))),
            ("memory", f"{size_text(one.peak_memory)} at most" if one.peak_memory else None),
            ("secrets", ", ".join(names_of_secrets(one))),
            ("variables", ", ".join(f"{name}={value}" for name, value in variables(one).items())),
            ("base key", one.key),
        ]
    )
    if one.warnings:
        yield element("ul", [element("li", text) for text in one.warnings], class_="warnings")
    given = list(flat(one.job.get("parameters", {})))
    if given:
        yield table(("parameter", "value"), [(name, exact_text(value)) for name, value in given], "Parameters")
    yield _inputs(one)
    yield _metrics(one)
    if items := command(one):
        text = "\n".join(items)
        cut = f"\n… {len(text) - _COMMAND:,} more characters" if len(text) > _COMMAND else ""
        yield element("h4", "Command")
        yield element("pre", element("code", text[:_COMMAND] + cut))
    yield _packages(one)
    yield element("h4", "The end of its log")
    yield _log(subject, part, one, most)


def _said(value: object) -> str | None:
    return None if value is None else str(value)


def _inputs(one: Execution) -> Markup | None:
    files = list(got(one))
    if not files:
        return None
    rows = [
        (file.input, file.file.name, size_text(file.file.size), element("code", file.digest[:16]),
         f"datum://{file.datum}" if file.datum else file.source)
        for file in files[:_FILES]
    ]  # fmt: skip
    more = note(f"{len(files) - _FILES:,} further files are not listed.") if len(files) > _FILES else None
    return join(table(("input", "file", "size", "digest", "from"), rows, "Inputs", (2,)), more)


def _metrics(one: Execution) -> Markup | None:
    values = list(flat(one.metrics))
    if not values:
        return None
    rows = [(name, value_text(value)[:300]) for name, value in values[:_METRICS]]
    more = note(f"{len(values) - _METRICS:,} further metrics are not listed.") if len(values) > _METRICS else None
    return join(table(("metric", "last value"), rows, "Metrics", (1,)), more)


def _packages(one: Execution) -> Markup | None:
    found = list(distributions(one))
    if not found:
        return None
    listed = ", ".join(f"{name} {version}" for name, version in found[:_PACKAGES])
    cut = ", …" if len(found) > _PACKAGES else ""
    return folded(f"{counted(len(found), 'Python distribution')}", element("p", listed + cut))


def _log(subject: Subject, part: Part, one: Execution, most: int) -> Markup:
    try:
        data = subject.evidence.tail(part.run, one, _LINES, most)
    except MlrunError as error:
        return note(f"There is no log here: {error.message}")
    text = readable(data)
    return element("pre", text, class_="log") if text.strip() else note("It printed nothing.")
