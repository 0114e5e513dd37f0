"""What mends a problem: for each code that needs no judgement, the change of the text that its message asks for. Pure.

A function here proposes; `runner.spec.fix` tries every proposal and keeps those after which the file still means the
same and the problem is gone. So a proposal may be hopeful, but it never touches text that is not wrong.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from runner.errors import Problem
from runner.spec.edit import Edit
from runner.spec.emit import emit_flow, emit_item, emit_scalar, indented
from runner.spec.model import SocketType
from runner.spec.scalar import STANDARD, BadScalar, construct, resolve
from runner.spec.schema import load_schema
from runner.spec.site import Change, Mend, Renamed, Replaced, Site, on_one_line
from runner.spec.socket import PLURALS, singular, split_socket
from runner.spec.span import Pair, Span, walk
from runner.spec.tree import Place, Row, Table


def _mend(edit: Edit | None, *changes: Change) -> Mend | None:
    return Mend((edit,), changes) if edit else None


def _indent_fields(site: Site, problem: Problem) -> Mend | None:
    """The lines below `- step:` move to the right, comments among them too."""
    pair = site.spans.pair_at(problem.location.place)
    if pair is None or pair.owner.flow or pair.owner.pairs[0] is not pair or len(pair.owner.pairs) < 2:
        return None
    spans, owner = site.spans, pair.owner
    first = spans.next_line(pair.key.end)
    if owner.pairs[1].key.start < first or (pair.value.anchored and pair.value.end > pair.value.start):
        return None
    blocks = [span for span in walk(owner) if span.style in ("|", ">")]
    edits = [Edit(start, start, "  ") for start in _field_lines(site, first, owner, spans.column(pair.key.start))]
    edits = [edit for edit in edits if _has_text(site, edit.start) or _is_content(site, edit.start, blocks)]
    if pair.value.end > pair.value.start:
        blank = len(site.text[pair.key.end : pair.value.start].rstrip(" \t"))
        edits.append(Edit(pair.key.end + blank, pair.value.end, ""))
    return Mend(tuple(edits))


_COMMENT = re.compile(r"([ ]*)#")


def _field_lines(site: Site, start: int, owner: Span, column: int) -> Iterator[int]:
    """Where the lines of the fields begin, and those of the comments right below them."""
    while start < owner.end:
        yield start
        start = site.spans.next_line(start)
    while match := _COMMENT.match(site.text, start):
        if len(match[1]) < column:
            break
        yield start
        below = site.spans.next_line(start)
        if below == start:
            break
        start = below


def _has_text(site: Site, start: int) -> bool:
    return bool(site.text[start : site.spans.line_end(start)].strip())


def _is_content(site: Site, start: int, blocks: list[Span]) -> bool:
    """Whether a line of blanks is part of a text: its blanks count there."""
    return site.spans.line_end(start) > start and any(span.start < start < span.end for span in blocks)


def _rename_connections(site: Site, problem: Problem) -> Mend | None:
    pair = site.spans.pair_at(problem.location.place)
    return _mend(site.reword(pair.key, "edges")) if pair and on_one_line(pair.key) else None


def _write_singular(site: Site, problem: Problem) -> Mend | None:
    span = site.scalar(problem)
    word = singular(span.text) if span else None
    return _mend(site.reword(span, word)) if span and word else None


def _write_socket(site: Site, problem: Problem) -> Mend | None:
    """A type of edge in capitals or with underscores."""
    span = site.scalar(problem)
    parts = split_socket(span.text) if span else None
    if span is None or parts is None:
        return None
    kind = parts[1].lower().replace("_", "-")
    kind = PLURALS.get(kind, kind)
    if kind not in list(SocketType):
        return None
    word = f"{parts[0]}.{kind}.{parts[2]}"
    return _mend(site.reword(span, word), Replaced(problem.location.place, word))


def _write_target(site: Site, problem: Problem) -> Mend | None:
    """The target of a pipeline parameter, whose middle word has an odd spelling."""
    span = site.scalar(problem)
    parts = split_socket(span.text) if span else None
    if span is None or parts is None or not parts[1].lower().startswith("parameter"):
        return None
    word = f"{parts[0]}.parameter.{parts[2]}"
    return _mend(site.reword(span, word), Replaced(problem.location.place, word))


def _write_nodes(site: Site, problem: Problem) -> Mend | None:
    """The nodes that the edges mention are written above them."""
    pair = site.spans.pair_at(problem.location.place)
    nodes = _nodes(site, problem.location.place)
    if pair is None or nodes is None:
        return None
    if pair.owner.flow:
        return _mend(Edit(pair.key.start, pair.key.start, f"nodes: {emit_flow(nodes)}, "))
    column = site.spans.column(pair.key.start)
    edges = pair.value
    zero = edges.kind == "list" and not edges.flow and site.spans.column(edges.start) == column
    lines = ["nodes:", *indented([line for node in nodes for line in emit_item(node)], 0 if zero else 2)]
    above = _above(site, pair)
    margin = " " * column
    newline = site.spans.newline
    if above == pair.key.start:
        text = newline.join([lines[0], *(margin + line for line in lines[1:]), margin])
    else:
        text = "".join(margin + line + newline for line in lines)
    return _mend(Edit(above, above, text))


def _nodes(site: Site, place: Place) -> list[dict[str, object]] | None:
    """The nodes that were inferred at a place."""
    for item in site.project.tree:
        body = item.get("pipeline") if isinstance(item, Table) else None
        if isinstance(body, Table) and isinstance(nodes := body.get("nodes"), Row) and body.values_at["nodes"] == place:
            return [dict(node) for node in nodes if isinstance(node, Table)]
    return None


def _above(site: Site, pair: Pair) -> int:
    """Where a new key can be put in front of a key: above the comment that belongs to it, if it begins its line."""
    spans = site.spans
    start = spans.line_start(pair.key.start)
    if not pair.index or site.text[start : pair.key.start].strip(" "):
        return pair.key.start
    before = pair.owner.pairs[pair.index - 1]
    column = spans.column(pair.key.start)
    while start > 0:
        above = spans.line_start(start - 1)
        line = site.text[above:start]
        if above <= before.value.end or line[:column].strip(" ") or line[column : column + 1] != "#":
            break
        start = above
    return start


def _write_number(site: Site, problem: Problem) -> Mend | None:
    """A number in the words of the file, with what YAML misses in them."""
    span, number = site.scalar(problem), site.canonical.get(problem.location.place)
    if span is None or isinstance(number, bool) or not isinstance(number, int | float):
        return None
    text = span.text.strip()
    return _mend(site.rewrite(span, _numeral(text, number)))


def _numeral(text: str, number: int | float) -> str:
    match = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", text)
    dotted = f"{match[1]}{match[2] or '.0'}e{match[3] or '+'}{match[4]}" if match else text
    return next((word for word in (text, dotted) if _means(word, number)), emit_scalar(number))


def _means(word: str, value: object) -> bool:
    """Whether YAML reads a plain word as a value, of the same type."""
    read = _read(word)
    return type(read) is type(value) and read == value


def _write_seconds(site: Site, problem: Problem) -> Mend | None:
    """Digits in quotes become a number of seconds."""
    span = site.scalar(problem)
    if span is None or not span.text.strip().isascii() or not span.text.strip().isdigit():
        return None
    seconds = int(span.text)
    return _mend(site.rewrite(span, str(seconds)), Replaced(problem.location.place, seconds))


def _rename_key(site: Site, problem: Problem) -> Mend | None:
    """A known key in capitals or with underscores."""
    pair = site.spans.pair_at(problem.location.place)
    if pair is None or not on_one_line(pair.key):
        return None
    key = pair.key.text.replace("_", "-").lower()
    if key == pair.key.text or key not in _known()[0] or pair.owner.pair(key):
        return None
    return _mend(site.reword(pair.key, key), Renamed(problem.location.place, key))


def _write_word(site: Site, problem: Problem) -> Mend | None:
    """One of the words of the language in capitals."""
    span = site.scalar(problem)
    if span is None or span.text == span.text.lower() or span.text.lower() not in _known()[1]:
        return None
    if span.start in site.names:
        return None
    word = span.text.lower()
    return _mend(site.reword(span, word), Replaced(problem.location.place, word))


@cache
def _known() -> tuple[frozenset[str], frozenset[str]]:
    """All keys and all words of the language, wherever they may stand."""
    keys: set[str] = set()
    words: set[str] = set()
    waiting: list[object] = [load_schema()["$defs"]]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Mapping):
            keys.update(here.get("properties", ()))
            listed = [*here["enum"]] if isinstance(here.get("enum"), list) else []
            words.update(word for word in [*listed, here.get("const")] if isinstance(word, str))
            waiting += here.values()
        elif isinstance(here, list):
            waiting += here
    return frozenset(keys), frozenset(words)


_QUOTABLE = {STANDARD + name for name in ("int", "float", "bool", "timestamp")}


def _quotable(span: Span | None) -> bool:
    return span is not None and not span.style and resolve(span.text) in _QUOTABLE


def _write_type(site: Site, problem: Problem) -> Mend | None:
    """A number or boolean gets quotes, and one that has them loses them."""
    span = site.scalar(problem)
    if span is None:
        return None
    if _quotable(span):
        return _mend(site.rewrite(span, f'"{span.text}"'), Replaced(problem.location.place, span.text))
    tag = resolve(span.text)
    if not span.style or tag not in _QUOTABLE or tag.endswith("timestamp"):
        return None
    value = _read(span.text)
    return None if value is None else _mend(site.rewrite(span, span.text), Replaced(problem.location.place, value))


def _read(word: str) -> object:
    """What YAML reads a plain word as; None if that might surprise its writer."""
    try:
        value, trap = construct(resolve(word), word)
    except (BadScalar, KeyError):
        return None
    return None if trap else value


def _quote_default(site: Site, problem: Problem) -> Mend | None:
    """Numbers as the default of a text, where a program is given the same characters."""
    place = problem.location.place
    found = site.spans.value_at(place)
    spans = found.items if found and found.kind == "list" else [found] if found else []
    edits, changes = [], []
    for span in spans:
        at = site.spans.place(span.start)
        if on_one_line(span) and _quotable(span) and str(site.canonical.get(at)) == span.text:
            edits.append(site.rewrite(span, f'"{span.text}"'))
            changes.append(Replaced(at, span.text))
    return Mend(tuple(edits), tuple(changes)) if edits else None


def _quote(site: Site, problem: Problem) -> Mend | None:
    """A date, which is kept as text, gets the quotes that say so; a number may have been meant as one."""
    span = site.scalar(problem)
    if span is None or span.style or resolve(span.text) != STANDARD + "timestamp":
        return None
    return _mend(site.rewrite(span, f'"{span.text}"'))


def _remove_earlier(site: Site, problem: Problem) -> Mend | None:
    """The earlier of two equal entries goes, unless a comment or an anchor would go with it."""
    pair = site.spans.pair_at(problem.location.place)
    if pair is None:
        return None
    pairs = pair.owner.pairs
    earlier = next((i for i in reversed(range(pair.index)) if pairs[i].key.text == pair.key.text), None)
    if earlier is None or not _same(pairs[earlier].value, pair.value):
        return None
    old, following = pairs[earlier], pairs[earlier + 1].key.start
    start, end = old.key.start, following
    if any(span.anchored for part in (old.key, old.value) for span in walk(part)):
        return None
    commented = site.text[old.value.end : following]
    if old.value.kind != "scalar" or not old.value.style:
        commented = site.text[start:following]
    if "#" in commented:
        return None
    line = site.spans.line_start(start)
    if not pair.owner.flow and not site.text[line:start].strip(" "):
        start, end = line, min(site.spans.next_line(old.value.end), site.spans.line_start(following))
    return _mend(Edit(start, end, ""))


def _same(one: Span, other: Span) -> bool:
    """Whether two values read as the same, by their own text."""
    if one.kind != other.kind or len(one.items) != len(other.items) or len(one.pairs) != len(other.pairs):
        return False
    if one.tagged or other.tagged or one.text != other.text or _tag(one) != _tag(other):
        return False
    return all(map(_same, one.items, other.items)) and all(
        _same(mine.key, its.key) and _same(mine.value, its.value)
        for mine, its in zip(one.pairs, other.pairs, strict=True)
    )


def _tag(span: Span) -> str:
    return resolve(span.text) if span.kind == "scalar" and not span.style else STANDARD + "str"


MENDS: Mapping[str, Callable[[Site, Problem], Mend | None]] = {
    "bad-default": _quote_default,
    "bad-target": _write_target,
    "connections": _rename_connections,
    "duplicate-key": _remove_earlier,
    "flat-item": _indent_fields,
    "inferred-nodes": _write_nodes,
    "odd-duration": _write_seconds,
    "plural-edge-type": _write_singular,
    "text-number": _write_number,
    "unknown-edge-type": _write_socket,
    "unknown-key": _rename_key,
    "wrong-type": _write_type,
    "wrong-value": _write_word,
    "yaml-type": _quote,
}
"""By the code of a problem. What is not here needs a person to decide."""
