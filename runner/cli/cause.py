"""How the causes for which something runs are told: each in one line, and at length with the lines that differ.

Pure but for what the evidence reads. What comes from files and records is made harmless here.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.comparison.patch import added_and_removed, text_of, unified
from runner.escape import printable, printable_lines
from runner.quantity import age_text, exact_text
from runner.reuse.decide import (
    Cause,
    CodeDiffers,
    FactsDiffer,
    NamesDiffer,
    NothingEarlier,
    OutputsGone,
    TooOld,
    Unreusable,
)
from runner.reuse.fact import Difference, Fact, Kind
from runner.spec.phrase import counted
from runner.store.tree import EXECUTABLE, LINK, TreeEntry

_SHOWN = 3
"""Files of an input, or packages, that one line names."""
_DIGITS = 19
"""Characters of the id of an image: those of `sha256:` and twelve digits."""
_NAMED = ("version", "platform", "executable", "interpreter")


class Evidence(Protocol):
    """What stands behind the causes (`runner.app.why`)."""

    @property
    def was(self) -> Mapping[str, object]:
        """What is known of the image or interpreter of the earlier execution."""
        ...

    @property
    def now(self) -> Mapping[str, object]:
        """The same of this one."""
        ...

    def entries(self, path: str) -> tuple[TreeEntry | None, TreeEntry | None]:
        """The file at `path` in the code of both."""
        ...

    def texts(self, path: str) -> tuple[bytes | None, bytes | None]:
        """What the file holds in both, None where it is not to be had."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that differs: which kind of thing, in one line, and the lines of a unified diff where there are any."""

    kind: str
    sentence: str
    diff: tuple[str, ...] = ()


def tell(causes: Sequence[Cause], evidence: Evidence | None) -> Iterator[Told]:
    """Everything that is in the way, each with the lines that show it."""
    for cause in causes:
        match cause:
            case Unreusable(why):
                yield Told("policy", printable(why))
            case NothingEarlier():
                yield Told("nothing-earlier", "no earlier execution of the step that succeeded is recorded")
            case OutputsGone(name):
                yield Told("output", f"its output {printable(name)} is gone or damaged")
            case TooOld(age, bound):
                yield Told("policy", f"policy: it is {age_text(age)} old, older than {age_text(bound)}")
            case NamesDiffer():
                yield from _names(cause, evidence)
            case CodeDiffers(paths, doubt):
                yield from (_file(path, evidence) for path in paths)
                if doubt is not None:
                    yield Told("doubt", f"every file counts, because nobody knows which were read: {printable(doubt)}")
            case FactsDiffer(differences):
                yield from (told for one in differences for told in _fact(one, evidence))


def summary(causes: Sequence[Cause], evidence: Evidence | None, most: int = 2) -> str:
    """The causes in one line, with no more than so many of them named, and none that only follows from another."""
    everything = list(tell(causes, evidence))
    told = [one.sentence for one in everything if one.kind != "doubt" and not _follows(one, causes)]
    rest = len(told) - most
    return ", ".join(told[:most]) + (f", and {counted(rest, 'more cause')}" if rest > 0 else "")


def _follows(one: Told, causes: Sequence[Cause]) -> bool:
    """Whether a command differs only in words that have a name or a value of parameters that differ."""
    if one.kind != Kind.COMMAND:
        return False
    parameters = [
        difference
        for cause in causes
        if isinstance(cause, FactsDiffer)
        for difference in cause.differences
        if difference.fact.kind is Kind.PARAMETER
    ]
    was, now = _words(one.diff, "-"), _words(one.diff, "+")
    lost, new = was - now, now - was
    return bool(lost or new) and all(
        any(_tells(word, fact) for fact in facts)
        for words, facts in (
            (lost, [difference.before for difference in parameters]),
            (new, [difference.after for difference in parameters]),
        )
        for word in words
    )


def _words(diff: Sequence[str], sign: str) -> Counter[str]:
    """The words of a shell that lines of a diff have."""
    lines = [line[1:] for line in diff[2:] if line.startswith(sign)]
    try:
        return Counter(word for line in lines for word in shlex.split(line))
    except ValueError:
        return Counter(word for line in lines for word in line.split())


def _tells(word: str, fact: Fact | None) -> bool:
    """Whether a word of a command has the name of a parameter, or one of its values, and no more of their kind."""
    if fact is None:
        return False
    values = fact.value if isinstance(fact.value, list) else [fact.value]
    told = [fact.name, *(exact_text(value) for value in values)]
    return any(text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", word) for text in told)


# Code ---------------------------------------------------------------------------------------------------------------


def _names(cause: NamesDiffer, evidence: Evidence | None) -> Iterator[Told]:
    yield from (Told("file", f"new file {printable(path)}") for path in cause.added)
    yield from (Told("file", f"file {printable(path)} is gone") for path in cause.removed)
    for path in cause.other:
        before, after = evidence.entries(path) if evidence is not None else (None, None)
        yield Told("file", f"{printable(path)}: {_entry_text(before)} → {_entry_text(after)}")


def _entry_text(entry: TreeEntry | None) -> str:
    if entry is None:
        return "nothing"
    if entry.mode == LINK:
        return f"a link to {printable(entry.content)}"
    return "executable" if entry.mode == EXECUTABLE else "not executable"


def _file(path: str, evidence: Evidence | None) -> Told:
    before, after = map(text_of, evidence.texts(path)) if evidence is not None else (None, None)
    if before is None or after is None:
        return Told("code", f"{printable(path)} changed")
    diff = _diff(before, after, path)
    return Told("code", f"{printable(path)} changed ({counted(_changed(diff), 'line')})", diff)


def _diff(before: str, after: str, name: str) -> tuple[str, ...]:
    return tuple(map(printable_lines, unified(before, after, name)))


def _changed(diff: Sequence[str]) -> int:
    """How many lines a diff changes: one that is another now counts once."""
    return max(added_and_removed(diff))


# Facts --------------------------------------------------------------------------------------------------------------


def _fact(one: Difference, evidence: Evidence | None) -> Iterator[Told]:
    before, after, kind = one.before, one.after, one.fact.kind
    name = printable(one.fact.name)
    match kind:
        case Kind.ENVIRONMENT:
            yield Told(kind, _environment(before, after, evidence))
        case Kind.COMMAND:
            yield _command(before, after)
        case Kind.INPUT:
            yield Told(kind, f"input {name}: {_files(before, after)}")
        case Kind.SECRET:
            yield Told(kind, f"secret {name} is {'new' if before is None else 'gone'}")
        case Kind.PARAMETER | Kind.VARIABLE | Kind.DEVICE:
            yield Told(kind, f"{kind} {name}: {_value(before)} → {_value(after)}")
        case Kind.RESOURCE:
            yield Told(kind, f"{name}: {_value(before)} → {_value(after)}")
        case Kind.ORDER:
            yield Told(kind, f"order of {name}: {_order(before)} → {_order(after)}")
        case _:
            yield Told(kind, f"{kind}: {_value(before)} → {_value(after)}")


def _value(fact: Fact | None) -> str:
    if fact is None:
        return "not set"
    return exact_text(fact.value) if fact.value != "" else "empty"


def _order(fact: Fact | None) -> str:
    return ", ".join(map(exact_text, fact.value)) if fact is not None and isinstance(fact.value, list) else "none"


def _command(before: Fact | None, after: Fact | None) -> Told:
    was, now = (_script(before), _script(after))
    diff = _diff(was[0], now[0], "command")
    if not diff:
        return Told(Kind.COMMAND, "command: " + ("--keep-going is gone" if now[1] else "--keep-going is new"))
    return Told(Kind.COMMAND, f"command changed ({counted(_changed(diff), 'line')})", diff)


def _script(fact: Fact | None) -> tuple[str, bool]:
    """The text of a command, and whether the first failure ends it."""
    if fact is None or not isinstance(fact.value, list):
        return "", True
    items, stop_at_failure = fact.value
    return "".join(f"{item}\n" for item in items), bool(stop_at_failure)


def _files(before: Fact | None, after: Fact | None) -> str:
    """Which files of an input came, went, are others or have other properties."""
    was, now = _by_name(before), _by_name(after)
    pieces: list[str] = []
    for word, names in (
        ("new", [name for name in now if name not in was]),
        ("gone", [name for name in was if name not in now]),
        ("changed", [name for name in now if name in was and was[name][1] != now[name][1]]),
        ("has other properties", [name for name in now if name in was and _only_properties(was[name], now[name])]),
    ):
        if names:
            shown = ", ".join(map(printable, names[:_SHOWN]))
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            noun = "file" if len(names) == 1 else "files"
            pieces.append(f"{noun} {shown}{more} {word}")
    return "; ".join(pieces) or "its files come in another order"


def _by_name(fact: Fact | None) -> dict[str, list[object]]:
    value = fact.value if fact is not None else []
    return {str(file[0]): file for file in value} if isinstance(value, list) else {}


def _only_properties(was: list[object], now: list[object]) -> bool:
    return was[1] == now[1] and was[2] != now[2]


# Where programs come from -------------------------------------------------------------------------------------------


def _environment(before: Fact | None, after: Fact | None, evidence: Evidence | None) -> str:
    was, now = _made_by(before), _made_by(after)
    if was[0] != now[0]:
        return f"executor {was[0]} → {now[0]}"
    if was[1].startswith("host:") or now[1].startswith("host:"):
        return _interpreter(evidence)
    return f"image {was[1][:_DIGITS]} → {now[1][:_DIGITS]}"


def _made_by(fact: Fact | None) -> tuple[str, str]:
    if fact is None or not isinstance(fact.value, list):
        return "", ""
    return printable(str(fact.value[0])), printable(str(fact.value[1]))


def _interpreter(evidence: Evidence | None) -> str:
    """What of this machine's Python is another."""
    if evidence is None:
        return "this machine's Python or its packages changed"
    pieces = [
        f"{name} {exact_text(evidence.was.get(name))} → {exact_text(evidence.now.get(name))}"
        for name in _NAMED
        if evidence.was.get(name) != evidence.now.get(name)
    ]
    was, now = _packages(evidence.was), _packages(evidence.now)
    names = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    pieces += [f"{name} {was.get(name, 'not installed')} → {now.get(name, 'not installed')}" for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        pieces.append(f"{len(names) - _SHOWN} more packages")
    if not pieces and evidence.was.get("system_packages") != evidence.now.get("system_packages"):
        pieces.append("the packages of the system changed")
    if pieces:
        return "packages: " + ", ".join(pieces)
    folders = evidence.now.get("editable")
    if isinstance(folders, list | tuple) and folders:
        return f"packages: files of an editable install changed: {', '.join(printable(str(one)) for one in folders)}"
    return "packages: files of one changed, its version did not"


def _packages(details: Mapping[str, object]) -> dict[str, str]:
    """Versions by distribution, of `NAME==VERSION` in the record."""
    listed = details.get("distributions")
    pairs = (printable(str(one)).partition("==") for one in listed) if isinstance(listed, list | tuple) else ()
    return {name: version for name, _, version in pairs}
