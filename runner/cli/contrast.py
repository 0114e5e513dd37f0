"""A comparison part by part, as a page for terminals, and as JSON for programs."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runner.app.compare import Against, Comparison, FileChange, Output, Row, Side
from runner.cli.cause import tell
from runner.cli.cell import padded, shorten
from runner.cli.table import terminal_width
from runner.cli.terminal import paint
from runner.comparison.finding import Likeness
from runner.digest import Digest, is_digest
from runner.escape import display_width, printable, printable_lines
from runner.quantity import duration_text, exact_text, local_time, number, size_text, value_text
from runner.sign import word_of
from runner.spec.phrase import counted
from runner.store.record import code_of

FORMAT = 1
_DIGITS = 12
_MOST_CAUSES = 8
_MOST_PATCH = 400
"""Lines of a patch on a page; Markdown has to fit a comment."""
_WIDEST = 60
"""Columns of a cell where no terminal sets a bound."""
_YELLOW, _BOLD = "33", "1"
_PATCH = {"+": "32", "-": "31", "@": "36"}
_SAME = ": the same"
_MINUTES = len("2026-11-22 10:44")
NOTHING = "-"

Cells = tuple[str, tuple[str, ...], bool]
"""A line of a table: its name, its cells, and whether they are the same."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page: a title with a count, a table, and lines below it."""

    title: str
    rows: tuple[Cells, ...] = ()
    lines: tuple[str, ...] = ()
    patch: tuple[str, ...] = ()
    """Lines of a unified diff."""

    @property
    def is_short(self) -> bool:
        """Whether there is nothing but the title."""
        return not (self.rows or self.lines or self.patch)


def parts(one: Comparison, *, code: bool, every: bool) -> Iterator[Part]:
    """What is to be told, part by part; clean texts. A part in which nothing differs has a title only."""
    yield Part("", tuple(_heads(one)))
    yield Part("what counts for reuse", lines=tuple(_verdicts(one)))
    yield from _part("parameters", one.parameters, exact_text, every=every)
    yield from _commands(one)
    for title, rows in (("settings", one.settings), ("variables", one.variables)):
        yield from _part(title, rows, exact_text, every=every)
    yield from _code(one, patches=code)
    yield from _part("inputs", one.inputs, _content, every=every)
    environment = [*one.environment, *one.distributions]
    yield from _part("environment", environment, _content, every=every)
    yield from _metrics(one, every=every)
    yield from _outputs(one, every=every)


def labels(one: Comparison) -> list[str]:
    """The headers of the columns."""
    return [printable(side.label) if side is not None else NOTHING for side in one.sides]


def _heads(one: Comparison) -> Iterator[Cells]:
    def told(name: str, tell: Callable[[Side], object]) -> Cells:
        values = [tell(side) if side is not None else None for side in one.sides]
        return name, tuple(NOTHING if value is None else printable(str(value)) for value in values), True

    yield told("execution", lambda side: side.execution.counter)
    yield told("run", lambda side: side.run.counter)
    yield told("step", lambda side: side.execution.step)
    if len({side.run.project.id for side in one.sides if side is not None}) > 1:
        yield told("project", lambda side: side.run.project.name)
    yield told("state", lambda side: word_of(side.execution))
    yield told("created", lambda side: local_time(side.execution.created)[:_MINUTES])
    yield told("commit", _commit)
    yield _durations(one)


def _commit(side: Side) -> str:
    code = code_of(side.run, side.execution.node)
    return (code.commit[:_DIGITS] if code.commit else "none") + (", dirty" if code.dirty else "")


def _durations(one: Comparison) -> Cells:
    values = [side.execution.duration if side is not None else None for side in one.sides]
    first = next((value for value in values if value is not None), None)
    cells = []
    for place, value in enumerate(values):
        shown = duration_text(value) or NOTHING
        gap = value - first if place and value is not None and first is not None else 0.0
        cells.append(f"{shown} ({gap:+.1f} s)" if place and value is not None else shown)
    return "duration", tuple(cells), True


def _verdicts(one: Comparison) -> Iterator[str]:
    for place, against in one.against.items():
        name = labels(one)[place]
        if against.causes is None:
            yield f"{name}: the record does not tell"
        elif not against.causes:
            yield f"{name}: nothing differs"
        else:
            told = [cause.sentence for cause in tell(against.causes, against.evidence)]
            yield from (f"{name}: {sentence}" for sentence in told[:_MOST_CAUSES])
            if len(told) > _MOST_CAUSES:
                yield f"{name}: … and {len(told) - _MOST_CAUSES} more"


def _title(name: str, rows: Sequence[Row]) -> str:
    other = sum(not row.same for row in rows)
    same = len(rows) - other
    if not other:
        return f"{name}{_SAME}"
    return f"{name}: {other:,} {'differs' if other == 1 else 'differ'}" + (f", {same:,} the same" if same else "")


def _part(name: str, rows: Sequence[Row], show: Callable[[Any], str], *, every: bool) -> Iterator[Part]:
    told = (
        (printable(row.name), tuple(_cell(value, show) for value in row.values), row.same)
        for row in rows
        if every or not row.same
    )
    if rows:
        yield Part(_title(name, rows), tuple(told))


def _cell(value: object, show: Callable[[Any], str]) -> str:
    return NOTHING if value is None else show(value) or "empty"


def _content(value: object) -> str:
    """A digest in short, also behind a word as ids of images have it; anything else as it is."""
    if isinstance(value, str) and is_digest(value.rpartition(":")[2]):
        return exact_text(value[: len(value) - 64 + _DIGITS])
    return exact_text(value)


def _metrics(one: Comparison, *, every: bool) -> Iterator[Part]:
    shown = []
    for row in one.metrics:
        first = number(row.values[0])
        # Beside one another the figures are of use even where they are the same; node by node they are too many.
        if row.same and not every and (first is None or one.name):
            continue
        cells = []
        for place, value in enumerate(row.values):
            gap = _gap(first, number(value)) if place else ""
            cells.append(_cell(value, value_text) + gap)
        shown.append((printable(row.name), tuple(cells), row.same))
    if one.metrics:
        yield Part(_title("metrics", one.metrics), tuple(shown))


def _gap(before: float | None, after: float | None) -> str:
    """By how much a figure is another than before."""
    return "" if before is None or after is None or before == after else f" ({after - before:+.4g})"


# Code ---------------------------------------------------------------------------------------------------------------


def _commands(one: Comparison) -> Iterator[Part]:
    for place, against in one.against.items():
        if against.command:
            lines = tuple(printable(line) for line in against.command)
            yield Part(f"command of {labels(one)[place]}: {_differing(len(lines), 'line')}", patch=lines)


def _differing(count: int, noun: str) -> str:
    return f"{counted(count, noun)} {'differs' if count == 1 else 'differ'}"


def _code(one: Comparison, *, patches: bool) -> Iterator[Part]:
    if all(against.files == () for against in one.against.values()):
        yield Part(f"code{_SAME}")
        return
    for place, against in one.against.items():
        name = labels(one)[place]
        if against.files is None:
            yield Part(f"code of {name}: not in the store any more")
        elif not against.files:
            yield Part(f"code of {name}{_SAME}")
        else:
            lines = tuple(map(_file_line, against.files))
            patch = tuple(line for file in against.files for line in _patch(file)) if patches else ()
            yield Part(f"code of {name}: {_differing(len(lines), 'file')}", lines=lines, patch=patch)


def _file_line(file: FileChange) -> str:
    sign = "+" if file.before is None else "-" if file.after is None else "~"
    mode = f"  mode {file.before} → {file.after}" if sign == "~" and file.before != file.after else ""
    lines = "  no text" if file.added is None else f"  +{file.added} -{file.removed}"
    read = "" if file.read is None else "  read" if file.read else "  not read"
    return f"{sign} {printable(file.path)}{lines}{mode}{read}"


def _patch(file: FileChange) -> Iterator[str]:
    yield from (printable_lines(line) for line in file.patch[:_MOST_PATCH])
    if len(file.patch) > _MOST_PATCH:
        yield f"… and {counted(len(file.patch) - _MOST_PATCH, 'more line')}"


# Outputs ------------------------------------------------------------------------------------------------------------


def _outputs(one: Comparison, *, every: bool) -> Iterator[Part]:
    if not one.outputs:
        return
    rows, lines = [], []
    for output in one.outputs:
        if every or not output.row.same:
            rows.append((printable(output.row.name), tuple(_output_cells(one, output)), output.row.same))
            lines += list(_first_differences(one, output))
    yield Part(_title("outputs", [output.row for output in one.outputs]), tuple(rows), tuple(lines))


def _output_cells(one: Comparison, output: Output) -> Iterator[str]:
    digests = output.row.values
    holders = [place for place, digest in enumerate(digests) if digest is not None]
    for place, digest in enumerate(digests):
        if digest is None:
            yield NOTHING
            continue
        side = one.sides[place]
        size = next(file.size for file in side.execution.outputs if file.name == output.row.name) if side else 0
        word = "only here" if len(holders) == 1 else "" if place == holders[0] else _word(output, place)
        yield f"{word} {size_text(size)} {digest[:8]}".strip() if word != "same" else word


def _word(output: Output, place: int) -> str:
    first = next(digest for digest in output.row.values if digest is not None)
    if output.row.values[place] == first:
        return "same"
    finding = output.findings[place]
    return "equal" if finding is not None and finding.likeness is Likeness.EQUAL else "differs"


def _first_differences(one: Comparison, output: Output) -> Iterator[str]:
    for place, finding in enumerate(output.findings):
        if finding is None:
            continue
        name = f"{printable(output.row.name)}, {labels(one)[place]}"
        if finding.likeness is Likeness.EQUAL:
            yield f"{name}: the same values in other bytes"
        elif (found := finding.difference) is not None:
            before, after = (printable(text) or "nothing" for text in (found.before, found.after))
            yield f"{name}: {printable(found.where)}: {before} → {after}"


# Pages --------------------------------------------------------------------------------------------------------------


def page(compared: Sequence[Comparison], *, code: bool, every: bool) -> list[str]:
    """The lines of a page, no wider than the terminal but for patches. What one node tells is not told again."""
    width = terminal_width(sys.stdout)
    lines: list[str] = []
    seen: set[Part] = set()
    for one in worth(compared):
        lines += [""] if lines else []
        told = list(shortened(parts(one, code=code, every=every), seen))
        if one.name:
            lines.append(_painted(f"node {printable(one.name)}", _BOLD))
        sizes = _sizes([*(row for part in told for row in part.rows), ("", tuple(labels(one)), True)], width)
        lines.append(_painted(_line("", labels(one), sizes), _BOLD))
        for part in told:
            lines += [_painted(_fitted(part.title, width), _BOLD)] if part.title else []
            for name, cells, same in part.rows:
                lines.append(_painted(_line(name, cells, sizes), "" if same else _YELLOW))
            lines += [_fitted(f"  {line}", width) for line in part.lines]
            lines += [f"  {_painted(line, _PATCH.get(line[:1], ''))}" for line in part.patch]
    return [*lines, *unremarkable(compared)]


def shortened(told: Iterable[Part], seen: set[Part]) -> Iterator[Part]:
    """What is the same in one line, and patches and long parts of earlier nodes only named."""
    same: list[str] = []
    for part in told:
        if part.is_short and part.title.endswith(_SAME):
            same.append(part.title.removesuffix(_SAME))
            continue
        long = Part("", part.rows, (), part.patch)
        known = part.title != "" and not long.is_short and long in seen
        seen.add(long)
        if known:
            part = Part(f"{part.title}, as above" if not part.lines else part.title, lines=part.lines)
        yield part
    if same:
        yield Part(f"the same: {', '.join(same)}")


def worth(compared: Sequence[Comparison]) -> list[Comparison]:
    """Those in which something differs; of a single one all is told."""
    return [one for one in compared if one.differs or len(compared) == 1]


def unremarkable(compared: Sequence[Comparison]) -> Iterator[str]:
    same = [printable(one.name) for one in compared if not one.differs]
    if same and len(compared) > 1:
        yield f"the same but for times: {', '.join(same)}"


def _painted(text: str, colour: str) -> str:
    return paint(text, colour, sys.stdout) if colour else text


def _fitted(text: str, width: int | None) -> str:
    return text if width is None else shorten(text, width)


def _sizes(rows: Iterable[Cells], width: int | None) -> list[int]:
    """The width of the name and of each cell."""
    found = list(rows)
    names = max(display_width(name) for name, _, _ in found)
    cells = [max(display_width(row[1][place]) for row in found) for place in range(len(found[0][1]))]
    if width is None:
        return [names, *(min(size, _WIDEST) for size in cells)]
    names = min(names, max(12, width // 4))
    room = (width - 2 - names) // len(cells) - 2
    return [names, *(min(size, max(room, 6)) for size in cells)]


def _line(name: str, cells: Sequence[str], sizes: Sequence[int]) -> str:
    texts = (shorten(text, size) for text, size in zip((name, *cells), sizes, strict=True))
    return ("  " + "  ".join(padded(text, size) for text, size in zip(texts, sizes, strict=True))).rstrip()


# JSON ---------------------------------------------------------------------------------------------------------------


def document(compared: Sequence[Comparison]) -> dict[str, Any]:
    """Everything, with nothing shortened; the shape is described in `docs/lineage.md`."""
    return {"format": FORMAT, "comparisons": [_document(one) for one in compared]}


def _document(one: Comparison) -> dict[str, Any]:
    tables = ("parameters", "settings", "variables", "inputs", "environment", "distributions", "metrics")
    return {
        "node": one.name or None,
        "differs": one.differs,
        "sides": [_side(side) for side in one.sides],
        **{name: [_row(row) for row in getattr(one, name)] for name in tables},
        "outputs": [_output(output) for output in one.outputs],
        "against": [{"side": place, **_against(against)} for place, against in one.against.items()],
    }


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    run, one = side.run, side.execution
    return {
        "label": side.label,
        "execution": one.id,
        "counter": one.counter,
        "node": one.node,
        "step": one.step,
        "run": run.id,
        "run_counter": run.counter,
        "project": run.project.name,
        "state": str(one.state),
        "created": one.created,
        "duration": one.duration,
        "commit": code_of(run, one.node).commit,
        "dirty": code_of(run, one.node).dirty,
        "snapshot": Digest(one.job.get("snapshot") or run.code.snapshot),
    }


def _row(row: Row) -> dict[str, Any]:
    return {"name": row.name, "values": list(row.values), "same": row.same}


def _output(output: Output) -> dict[str, Any]:
    findings = [
        None
        if finding is None
        else {
            "likeness": str(finding.likeness),
            "first_difference": None if finding.difference is None else asdict(finding.difference),
        }
        for finding in output.findings
    ]
    return _row(output.row) | {"findings": findings}


def _against(against: Against) -> dict[str, Any]:
    causes = None
    if against.causes is not None:
        causes = [{"kind": one.kind, "text": one.sentence} for one in tell(against.causes, against.evidence)]
    files = None if against.files is None else [asdict(file) for file in against.files]
    return {"counts": causes, "code": files}
