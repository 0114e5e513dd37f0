"""Tree → tree: other spellings become the canonical one, each with a located problem. Pure.

The canonical form is the one that the schema describes. Nothing is changed in place, because aliases share values.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from runner.errors import Problem, Severity, did_you_mean
from runner.spec.emit import emit_scalar
from runner.spec.model import ParameterType
from runner.spec.note import Notes
from runner.spec.phrase import describe
from runner.spec.socket import ends_of, singular, split_socket
from runner.spec.source import Source
from runner.spec.tree import Place, Row, Table, shorten

RESERVED = ("trigger", "map")
"""Kinds whose names are taken, and that have no effect in this version."""

KINDS = ("step", "task", "endpoint", "pipeline", "blueprint", "deployment", "policy", *RESERVED)
"""What an item can be, in the order in which its keys are asked: Valohai's kinds, then those that only we have."""

Steps = dict[str, set[str]]
"""The names of all steps by their case-folded form."""

ALIASES = {"blueprint": "pipeline"}


@contextmanager
def _watch(notes: Notes, index: int, ruined: dict[int, Problem]) -> Iterator[None]:
    """Put the first error that is reported meanwhile into `ruined`."""
    before = len(notes.problems)
    yield
    for problem in notes.problems[before:]:
        if problem.severity is Severity.ERROR:
            ruined.setdefault(index, problem)


def kind_of(item: object) -> str | None:
    """The kind of an item: the first known key that it has."""
    if not isinstance(item, Table):
        return None
    return next((kind for kind in KINDS if kind in item), None)


def items_of(tree: Row, kind: str) -> Iterator[Table]:
    """The bodies of all items of a kind in a normalised tree, in order."""
    for item in tree:
        if kind_of(item) == kind and isinstance(item, Table) and isinstance(body := item[kind], Table):
            yield body


@dataclass(frozen=True, slots=True)
class Shape:
    """The canonical tree of a file and the problems of its form; `ruined` has an item's first error by its index."""

    tree: Row
    problems: tuple[Problem, ...]
    ruined: Mapping[int, Problem]


def normalise(source: Source) -> Shape:
    """Bring a file into the canonical form. Items that are none are left as they are."""
    notes = Notes(source.file)
    tree = source.tree
    if not isinstance(tree, Row):
        _report_root(source, notes)
        return Shape(Row((1, 1)), tuple(notes.problems), {})
    ruined: dict[int, Problem] = {}
    lifted = Row(tree.at)
    for item, place in zip(tree, tree.items_at, strict=True):
        with _watch(notes, len(lifted), ruined):
            lifted.put(_lift(item, place, notes), place)
    steps: Steps = {}
    for body in items_of(lifted, "step"):
        if isinstance(name := body.get("name"), str):
            steps.setdefault(name.casefold(), set()).add(name)
    fresh = Row(tree.at)
    for item, place in zip(lifted, lifted.items_at, strict=True):
        with _watch(notes, len(fresh), ruined):
            fresh.put(_normalise_item(item, steps, notes), place)
    return Shape(fresh, tuple(notes.problems), ruined)


_BEGIN = "begin each item with `- step:`"


def _report_root(source: Source, notes: Notes) -> None:
    if source.problems and source.tree is None and not source.empty:
        return
    tree = source.tree
    if tree is None:
        notes.error("empty-file", "the file has no content", (1, 1), "`mlrun init` makes an example")
    elif isinstance(tree, Table):
        notes.error("not-a-list", "the file is one mapping, not a list of items", tree.at, _BEGIN)
    else:
        said = describe(tree) if isinstance(tree, str) else "a boolean" if isinstance(tree, bool) else "a number"
        notes.error("not-a-list", f"the file is {said}, not a list of items", (1, 1), _BEGIN)


def _lift(item: object, place: Place, notes: Notes) -> object:
    """Give an item the form `{kind: body}`."""
    if not isinstance(item, Table):
        notes.error("not-a-mapping", f"the item is {describe(item)}, not a mapping such as `step:`", place, _BEGIN)
        return item
    kind = kind_of(item)
    if kind is None:
        shown = ", ".join(f"`{shorten(key)}`" for key in list(item)[:3]) or "nothing"
        hint = did_you_mean(next(iter(item), ""), KINDS)
        notes.warn("unknown-item", f"an item with {shown} is of no known kind and is ignored", place, hint)
        return item
    if kind in RESERVED:
        notes.warn("no-effect", f"`{kind}:` is a reserved kind of item and has no effect in this version",
                   item.keys_at[kind], "remove it, or leave it for a later version")  # fmt: skip
        return item
    kind = _flat_kind(item) or kind
    name = ALIASES.get(kind, kind)
    siblings = [key for key in item if key != kind]
    known = [key for key in siblings if key in KINDS and not (key == "step" and kind in _NAMING_A_STEP)]
    fresh = Table(item.at)
    if item[kind] is None and siblings and not known:
        body = Table(item.keys_at[kind])
        for key in siblings:
            body.take(item, key)
        notes.warn("flat-item", f"the fields of `{kind}:` stand beside it", item.keys_at[kind], "indent them below it")
        fresh.put(name, body, item.keys_at[kind], item.keys_at[kind])
        return fresh
    if siblings:
        notes.error(
            "ambiguous-item", f"`{shorten(siblings[0])}` stands beside `{kind}:`", item.keys_at[siblings[0]],
            f"begin it with `- {known[0]}:`" if known else f"indent it below `{kind}:`",
        )  # fmt: skip
    fresh.put(name, item[kind], item.keys_at[kind], item.values_at[kind])
    return fresh


_NAMING_A_STEP = ("task", "policy")


def _flat_kind(item: Table) -> str | None:
    """The kind of a flat item that has a `step` among its fields, as text, which is no item of the kind `step`."""
    naming = (kind for kind in _NAMING_A_STEP if kind in item and item[kind] is None)
    return next(naming, None) if isinstance(item.get("step"), str) else None


def _normalise_item(item: object, steps: Steps, notes: Notes) -> object:
    kind = kind_of(item)
    if kind is None or not isinstance(item, Table) or not isinstance(body := item[kind], Table):
        return item
    if kind == "step":
        body = _normalise_step(body, notes)
    elif kind == "pipeline":
        body = _normalise_pipeline(body, steps, notes)
    elif kind == "task":
        body = _normalise_task(body, notes)
    fresh = Table(item.at)
    fresh.put(kind, body, item.keys_at[kind], item.values_at[kind])
    return fresh


def _normalise_step(body: Table, notes: Notes) -> Table:
    return _each(body, "parameters", lambda parameter: _normalise_parameter(parameter, notes))


def _normalise_parameter(parameter: Table, notes: Notes) -> Table:
    kind = parameter.get("type")
    if kind not in (ParameterType.FLOAT, ParameterType.INTEGER):
        return parameter
    for key in ("default", "choices"):
        parameter = _with_number(parameter, key, kind == ParameterType.FLOAT, notes)
    for key in ("min", "max"):
        parameter = _with_number(parameter, key, True, notes)
    return parameter


_NUMBERS = ("value", "start", "end", "step", "count", "base", "min", "max", "seed")
"""The rules of a varied parameter that are numbers."""


def _normalise_task(body: Table, notes: Notes) -> Table:
    body = _with_number(body, "optimization-target-value", True, notes)
    return _each(body, "parameters", lambda parameter: _normalise_variation(parameter, notes))


def _normalise_variation(parameter: Table, notes: Notes) -> Table:
    rules = parameter.get("rules")
    if not isinstance(rules, Table):
        return parameter
    fresh = rules
    for key in _NUMBERS:
        fresh = _with_number(fresh, key, True, notes)
    return parameter if fresh is rules else _with(parameter, "rules", fresh)


def _each(body: Table, key: str, change: Callable[[Table], Table]) -> Table:
    """The table with every mapping of one of its lists changed."""
    rows = body.get(key)
    if not isinstance(rows, Row):
        return body
    changed = [change(row) if isinstance(row, Table) else row for row in rows]
    if all(one is other for one, other in zip(rows, changed, strict=True)):
        return body
    fresh = Row(rows.at)
    for row, place in zip(changed, rows.items_at, strict=True):
        fresh.put(row, place)
    return _with(body, key, fresh)


def _with_number(table: Table, key: str, fractions: bool, notes: Notes) -> Table:
    """The table with text that is meant as a number made one: YAML 1.1 reads `1e-4`, without a dot, as text."""
    raw = table.get(key)
    if isinstance(raw, str):
        number = _read_number(raw, key, table.values_at[key], fractions, notes)
        return table if number is raw else _with(table, key, number)
    if not isinstance(raw, Row) or not any(isinstance(item, str) for item in raw):
        return table
    fresh = Row(raw.at)
    for item, place in zip(raw, raw.items_at, strict=True):
        fresh.put(_read_number(item, key, place, fractions, notes), place)
    return _with(table, key, fresh)


def _read_number(raw: object, key: str, place: Place, fractions: bool, notes: Notes) -> object:
    number = _number(raw, fractions) if isinstance(raw, str) else None
    if number is None:
        return raw
    noun = "choice" if key == "choices" else key
    notes.warn("text-number", f"the {noun} `{shorten(str(raw))}` is text in YAML; it is read as {number}", place,
               f"write `{emit_scalar(number)}`")  # fmt: skip
    return number


def _number(text: str, fractions: bool) -> int | float | None:
    for convert in (int, float) if fractions else (int,):
        try:
            number = convert(text)
        except ValueError:
            continue
        if abs(number) < float("inf"):
            return number
    return None


def _with(table: Table, key: str, value: object) -> Table:
    """A copy with another value at the same place."""
    fresh = table.copy()
    fresh[key] = value
    return fresh


def _normalise_pipeline(body: Table, steps: Steps, notes: Notes) -> Table:
    if "connections" in body:
        body = _rename_connections(body, notes)
    if isinstance(edges := body.get("edges"), Row):
        fresh = Row(edges.at)
        for edge, place in zip(edges, edges.items_at, strict=True):
            fresh.put(_normalise_edge(edge, notes), place)
        body = _with(body, "edges", fresh)
        if "nodes" not in body and len(edges):
            body = _infer_nodes(body, fresh, steps, notes)
    return body


def _rename_connections(body: Table, notes: Notes) -> Table:
    place = body.keys_at["connections"]
    if "edges" in body:
        notes.error("ambiguous-item", "`connections` and `edges` say the same", place, "keep `edges`")
    else:
        notes.warn("connections", "`connections` is read as `edges`", place, "write `edges:`")
    fresh = Table(body.at)
    for key in body:
        if key != "connections":
            fresh.take(body, key)
        elif "edges" not in body:
            fresh.put("edges", body[key], place, body.values_at[key])
    return fresh


def _normalise_edge(edge: object, notes: Notes) -> object:
    if isinstance(edge, Row):
        fresh = Row(edge.at)
        for end, place in zip(edge, edge.items_at, strict=True):
            fresh.put(_normalise_end(end, place, notes), place)
        return fresh
    if isinstance(edge, Table):
        for key in ("source", "target"):
            if key in edge:
                edge = _with(edge, key, _normalise_end(edge[key], edge.values_at[key], notes))
    return edge


def _normalise_end(end: object, place: Place, notes: Notes) -> object:
    fresh = singular(end) if isinstance(end, str) else None
    if fresh is None:
        return end
    notes.warn("plural-edge-type", f"`{shorten(str(end))}` is read as `{shorten(fresh)}`", place, "write the singular")
    return fresh


def _infer_nodes(body: Table, edges: Row, steps: Steps, notes: Notes) -> Table:
    """One execution node for each name that the edges mention, in order; its step has the same name."""
    place = body.keys_at["edges"]
    nodes = Row(place)
    seen = set()
    for end, at in (end for edge in edges for end in ends_of(edge)):
        parts = split_socket(end) if isinstance(end, str) else None
        if parts is None or parts[0] in seen:
            continue
        seen.add(parts[0])
        node = Table(at)
        alike = steps.get(parts[0].casefold(), set())
        step = next(iter(alike)) if len(alike) == 1 else parts[0]
        for key, value in (("name", parts[0]), ("type", "execution"), ("step", step)):
            node.put(key, value, at, at)
        nodes.put(node, at)
    notes.warn("inferred-nodes", f"there are no `nodes`; {len(nodes)} are taken from the edges", place,
               "write `nodes:` with a `name`, `type: execution` and `step` each")  # fmt: skip
    fresh = body.copy()
    fresh.put("nodes", nodes, place, place)
    return fresh
