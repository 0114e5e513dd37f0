"""What a script says of its step → the step in the text of a YAML file, added or brought up to date. Pure.

The rules are those of Valohai's own client (`vh yaml step`), except that nothing that people wrote is lost: see
`docs/yaml-step.md`.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from runner.errors import MlrunError, Problem, Severity, spec_error
from runner.spec.amend import Amendment, CannotAmend
from runner.spec.emit import emit_item
from runner.spec.lint import lint
from runner.spec.normalise import kind_of
from runner.spec.project import parse_project
from runner.spec.script import Prepared
from runner.spec.source import Source, read_source, split_mark
from runner.spec.span import Span
from runner.spec.tree import Row, Table, alike, shorten

DEFAULT_IMAGE = "python:3.11-slim"
"""What Valohai's client takes when a script names no image."""

Entry = dict[str, object]
"""A mapping of a YAML file as plain data."""


@dataclass(frozen=True, slots=True)
class Written:
    """A YAML file with a step as its script says: `changes` says in words what is different, `left` names what the
    step has and the script does not."""

    data: bytes
    step: str
    added: bool
    changes: tuple[str, ...]
    left: tuple[str, ...]


def write_step(data: bytes, file: str, prepared: Prepared, path: str) -> Written:
    """Put the step of a script into a YAML file, which may be empty; `path` is the script's, from the project folder.

    Raises MlrunError (SPEC) when the file cannot be read, or the step would not be a valid one.
    """
    source = read_source(data, file)
    tree = _items(source)
    index = _find(tree, prepared.step)
    if index is None:
        fresh = _new_step(prepared, path)
        text = _appended(data, fresh)
        written = Written(text, prepared.step, True, (), ())
        _check(written, data, file, prepared, [*map(_plain, tree), {"step": fresh}])
        return written
    return _update(data, file, tree, index, prepared, path)


def _items(source: Source) -> Row:
    for problem in source.problems if source.tree is None else ():
        if problem.severity is Severity.ERROR:
            raise spec_error(problem.message, problem.location, problem.hint)
    if source.empty:
        return Row((1, 1))
    if not isinstance(source.tree, Row):
        raise spec_error(
            f"`{source.file}` is not a list of items", source.location((1, 1)), "begin each with `- step:`"
        )
    return source.tree


def _find(tree: Row, name: str) -> int | None:
    """The item of a step; of several with one name the last counts."""
    found = (index for index in reversed(range(len(tree))) if _body(tree[index]).get("name") == name)
    return next(found, None)


def _body(item: object) -> Mapping[str, object]:
    """The fields of a step, which may stand beside its key; empty for another item."""
    if kind_of(item) != "step" or not isinstance(item, Table):
        return {}
    body = item["step"]
    return body if isinstance(body, Table) else item if body is None else {}


def _is_nested(item: object) -> bool:
    """Whether the fields of a step stand below its key, as they should."""
    return isinstance(item, Table) and isinstance(item["step"], Table)


def _plain(value: object) -> object:
    if isinstance(value, Table):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, Row) else value


def _new_step(prepared: Prepared, path: str) -> Entry:
    step: Entry = {
        "name": prepared.step,
        "image": prepared.image or DEFAULT_IMAGE,
        "command": _command(path, prepared.multifile),
    }
    step |= _named_fields(prepared, path)
    for key, entries in _entries(prepared).items():
        if entries:
            step[key] = entries
    return step


def _named_fields(prepared: Prepared, path: str) -> Entry:
    """The fields that a script sets only if it names them."""
    fields = {
        "source-path": path if prepared.multifile else None,
        "environment": prepared.environment,
        "upload-store": prepared.upload_store,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _command(path: str, multifile: bool) -> list[str]:
    install = "pip install -r requirements.txt"
    if path.endswith(".ipynb"):
        name = path.rpartition("/")[2]
        ends = shlex.join([f"/valohai/repository/{path}", f"/valohai/outputs/{name}"])
        return [install, f"papermill -k python3 -f /valohai/config/parameters.json {ends}"]
    return [install, f"python {'{source-path}' if multifile else shlex.quote(path)} {{parameters}}"]


def _entries(prepared: Prepared) -> dict[str, list[Entry]]:
    """The lists of a step that a script fills."""
    return {
        "parameters": [_parameter(name, value, prepared) for name, value in prepared.parameters.items()],
        "inputs": [_input(name, value, prepared) for name, value in prepared.inputs.items()],
    }


def _parameter(name: str, value: object, prepared: Prepared) -> Entry:
    if isinstance(value, dict):
        entry = {"name": name} | {key.replace("_", "-"): item for key, item in value.items()}
        if "default" in entry and "type" not in entry:
            entry["type"] = _type_of(name, entry["default"], prepared)
        return entry
    type_ = _type_of(name, value, prepared)
    entry = {"name": name, "type": type_, "default": value}
    return entry | (_flag_templates(name) if type_ == "flag" else {})


def _flag_templates(name: str) -> Entry:
    return {"pass-true-as": f"--{name}=true", "pass-false-as": f"--{name}=false"}


_TYPES = {bool: "flag", float: "float", int: "integer", str: "string"}


def _type_of(name: str, value: object, prepared: Prepared) -> str:
    if type(value) in _TYPES and (not isinstance(value, float) or isfinite(value)):
        return _TYPES[type(value)]
    if isinstance(value, list):
        said, hint = "a list", 'write `{"type": "string", "multiple": "repeat", "default": […]}`'
    elif value is None:
        said, hint = "no value", 'write `{"type": "string", "optional": True}`'
    else:
        said, hint = "no value that has a type", "write text, True or False, or a number that is finite"
    raise spec_error(f"the parameter `{shorten(name)}` has {said}", prepared.places["default_parameters"], hint)


def _input(name: str, value: object, prepared: Prepared) -> Entry:
    """Paths on this machine are for trying a script out: only URIs enter the file."""
    if isinstance(value, dict):
        return {"name": name} | {key.replace("_", "-"): item for key, item in value.items()}
    values = value if isinstance(value, list) else [] if value is None else [value]
    uris = []
    for item in values:
        if not isinstance(item, str):
            message = f"the input `{shorten(name)}` has a default that is not text"
            raise spec_error(message, prepared.places["default_inputs"], "write a URI, or a list of them")
        if "://" in item:
            uris.append(item)
    if not uris:
        return {"name": name, "optional": True}
    entry: Entry = {"name": name, "default": uris if isinstance(value, list) else uris[0]}
    return entry | ({"keep-directories": "suffix"} if any("*" in uri for uri in uris) else {})


def _appended(data: bytes, step: Entry) -> bytes:
    """The file with a step more, at its end."""
    mark, text = split_mark(data)
    amendment = Amendment(text)
    root = amendment.spans.root
    newline = amendment.spans.newline
    lines = emit_item({"step": step})
    if root is not None and root.flow and root.items:
        amendment.append(root, {"step": step})
        return mark + amendment.result().encode()
    if root is not None and not root.items:
        # `[]`, or nothing but comments.
        text = text[: root.start] + text[root.end :]
        if not text.strip():
            text = ""
    elif root is not None:
        margin = " " * amendment.spans.column(root.start)
        lines = [margin + line for line in lines]
        rest = text[root.end :]
        if any(line.strip() and not line.lstrip().startswith("#") for line in rest.splitlines()[1:]):
            amendment.append(root, {"step": step})
            return mark + amendment.result().encode()
    if text and not text.endswith(("\n", "\r")):
        text += newline
    return mark + (text + "".join(line + newline for line in lines)).encode()


def _update(data: bytes, file: str, tree: Row, index: int, prepared: Prepared, path: str) -> Written:
    item = tree[index]
    old = {key: _plain(value) for key, value in _body(item).items()}
    merge = _Merge(old, prepared)
    new = merge.step(_named_fields(prepared, path))
    mark, text = split_mark(data)
    amendment = Amendment(text)
    try:
        amendment.follow(_body_span(amendment.spans.root, index), old, new)
        result = mark + amendment.result().encode()
    except (CannotAmend, ValueError) as error:
        raise _by_hand(prepared, file, str(error)) from None
    written = Written(result, prepared.step, False, tuple(merge.changes), tuple(merge.left))
    expected = [_plain(other) for other in tree]
    expected[index] = {"step": new} if _is_nested(item) else new
    _check(written, data, file, prepared, expected)
    return written


def _body_span(root: Span | None, index: int) -> Span:
    item = root.items[index] if root else None
    pair = item.pair("step") if item else None
    if item is None or pair is None:
        raise CannotAmend("it is an alias of another value")
    return pair.value if pair.value.kind in ("mapping", "alias") else item


def _by_hand(prepared: Prepared, file: str, why: str) -> MlrunError:
    message = f"step `{shorten(prepared.step)}` in `{file}` cannot be brought up to date: {why}"
    return spec_error(message, prepared.location, "change the step by hand")


def _check(written: Written, data: bytes, file: str, prepared: Prepared, expected: list[object]) -> None:
    """Refuse a file that does not say what it should, or says something wrong that it did not say before."""
    if not alike(_plain(read_source(written.data, file).tree), expected):
        raise _by_hand(prepared, file, "other values share its text through an anchor")
    known = {(problem.code, problem.message) for problem in _errors(data, file)}
    for problem in _errors(written.data, file):
        if (problem.code, problem.message) not in known:
            hint = problem.hint or "change what `valohai.prepare` is given"
            raise spec_error(f"this makes no valid step: {problem.message}", prepared.location, hint)


def _errors(data: bytes, file: str) -> list[Problem]:
    return [problem for problem in lint(parse_project(data, file)) if problem.severity is Severity.ERROR]


_Update = Callable[[Entry, Entry, bool], Entry]
"""An entry as it shall be, from the one in the file, that of the script, and whether the script gave a mere value."""


class _Merge:
    """A step as people wrote it, and what its script says."""

    def __init__(self, old: Entry, prepared: Prepared) -> None:
        self._old = old
        self._prepared = prepared
        self.changes: list[str] = []
        self.left: list[str] = []

    def step(self, fields: Entry) -> Entry:
        """The step as it shall be."""
        new = dict(self._old)
        for key, value in ({"image": self._prepared.image} | fields).items():
            if value is not None and new.get(key) != value:
                self.changes.append(f"{key} {_change(new.get(key), value)}")
                new[key] = value
        for key, update in _UPDATES.items():
            entries = self._entries(key, _entries(self._prepared)[key], update)
            if entries is not None:
                new[key] = entries
        return new

    def _entries(self, key: str, fresh: list[Entry], update: _Update) -> list[object] | None:
        """A list with what the script has; None if nothing is to be written."""
        noun = key.removesuffix("s")
        given = {"parameters": self._prepared.parameters, "inputs": self._prepared.inputs}[key]
        old = self._old.get(key)
        if old is not None and not isinstance(old, list):
            message = f"`{key}` of step `{shorten(self._prepared.step)}` is not a list"
            raise spec_error(message, self._prepared.location, "change the step by hand")
        entries: list[object] = list(old or [])
        at = {
            entry["name"]: index
            for index, entry in enumerate(entries)
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }
        for entry in fresh:
            before = entries[at[entry["name"]]] if entry["name"] in at else None
            if not isinstance(before, dict):
                entries.append(entry)
                self.changes.append(f"{noun} `{entry['name']}` added")
                continue
            after = update(before, entry, not isinstance(given[str(entry["name"])], dict))
            entries[at[entry["name"]]] = after
            self.changes += [
                f"{field} of {noun} `{entry['name']}` {_change(before.get(field), after[field])}"
                for field in after
                if field not in before or not alike(before[field], after[field])
            ]
        names = {entry["name"] for entry in fresh}
        self.left += [f"{noun} `{name}`" for name in at if name not in names]
        return entries if fresh else None


def _change(old: object, new: object) -> str:
    return f"`{_shown(new)}`" if old is None else f"`{_shown(old)}` → `{_shown(new)}`"


def _shown(value: object) -> str:
    return shorten(str(value).lower() if isinstance(value, bool) else str(value), 40)


def _updated_parameter(old: Entry, fresh: Entry, plain: bool) -> Entry:
    """The default and the type follow the script; what people said besides stays."""
    if plain and old.get("multiple") not in (None, "none"):
        return old
    new = dict(old)
    if old.get("type", "string") != fresh.get("type", "string") and not (
        old.get("type") == "float" and fresh.get("type") == "integer"
    ):
        new["type"] = fresh.get("type", "string")
        if new["type"] == "flag" and not {"pass-as", "pass-true-as", "pass-false-as"} & old.keys():
            new |= _flag_templates(str(old["name"]))
    for key, value in fresh.items():
        if key in ("name", "type") or (plain and key != "default"):
            continue
        if key not in old or not _means(old[key], value):
            new[key] = value
    return new


def _means(old: object, new: object) -> bool:
    """Whether a file says a value already, be it as text (`1e-4`) or as an integer."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, str) and isinstance(new, int | float):
        try:
            return float(old) == new
        except ValueError:
            return False
    return old == new


def _updated_input(old: Entry, fresh: Entry, plain: bool) -> Entry:
    """The URIs follow the script if it has any."""
    new = dict(old)
    for key, value in fresh.items():
        if key == "name" or (key == "optional" and plain):
            continue
        if key == "default" and _listed(old.get(key)) == _listed(value):
            continue
        if key == "keep-directories" and key in old and plain:
            continue
        new[key] = value
    return new


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


_UPDATES: Mapping[str, _Update] = {
    "parameters": _updated_parameter,
    "inputs": _updated_input,
}
