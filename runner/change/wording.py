"""What a change means, in words: phrases whose foreign pieces whoever shows them has to make harmless. Pure."""

from collections import Counter
from collections.abc import Sequence

from runner.change.model import Change, Detail, Fate, Foreign, ItemChange, Kind, Phrase, Verdict
from runner.change.shape import SORTS
from runner.spec.phrase import counted

_PLURALS = {"policy": "policies", "item of an unknown kind": "items of unknown kinds"}


def headline(change: Change) -> Phrase:
    """The whole change in one line."""
    if change.empty:
        return ("no difference",)
    parts = [f"the file cannot be understood on the {side} side" for side in change.unreadable]
    parts += _item_counts(change.items)
    if change.files:
        parts.append(f"{counted(len(change.files), 'other file')} changed")
    if change.problems:
        parts.append(counted(len(change.problems), "new error"))
    fates = _fates(change)
    return (", ".join(parts) + (f": {fates}" if fates else ""),)


def _item_counts(items: Sequence[ItemChange]) -> list[str]:
    parts = []
    for (noun, word), count in Counter((_noun(item), _word(item)) for item in items).items():
        parts.append(f"{counted(count, noun, _PLURALS.get(noun))} {word}")
    return parts


def _noun(item: ItemChange) -> str:
    return item.sort if item.sort in SORTS else "item of an unknown kind"


def _word(item: ItemChange) -> str:
    return "described otherwise" if _only_described(item) else str(item.kind)


def _only_described(item: ItemChange) -> bool:
    return item.kind is Kind.CHANGED and not item.details


def _fates(change: Change) -> str:
    """How many nodes run again; single steps are counted where there are no nodes."""
    verdicts = [verdict for pipeline in change.pipelines for verdict in pipeline.verdicts]
    noun = "node" if verdicts else "step"
    verdicts = verdicts or list(change.steps)
    if not verdicts:
        return ""
    counts = Counter(verdict.fate for verdict in verdicts)
    total = counted(len(verdicts), noun)
    again = counts[Fate.RUNS_AGAIN]
    words = [
        f"{again} of {total} {'runs' if again == 1 else 'run'} again" if again else f"none of {total} must run again"
    ]
    for fate, one, many in (
        (Fate.DEPENDS, "depends on what others write", "depend on what others write"),
        (Fate.MAY_RUN_AGAIN, "may run again", "may run again"),
        (Fate.UNKNOWN, "cannot be told", "cannot be told"),
    ):
        if count := counts[fate]:
            words.append(f"{count} {one if count == 1 else many}")
    return ", ".join(words)


def item_phrase(item: ItemChange) -> Phrase:
    """What happened to an item as a whole."""
    sort: Phrase = (f"{item.sort} ",) if item.sort in SORTS else (Foreign(item.sort), " ")
    name: Phrase = (*sort, Foreign(item.name))
    if item.was is not None:
        return (*name, " was called ", Foreign(item.was), *_broken(item))
    if _only_described(item):
        return (*name, " is described otherwise")
    return (*name, f" {item.kind}", *_broken(item))


def _broken(item: ItemChange) -> Phrase:
    return (", and has errors",) if item.broken else ()


def remarks_phrase(item: ItemChange) -> Phrase:
    """The keys that differ and only describe."""
    words: list[str] = []
    for key in item.remarks:
        words += [", " if words else "", Foreign(key)]
    return (*(word for word in words if word), " changed, without effect on results")


def detail_phrase(detail: Detail) -> Phrase:
    """One thing that differs within an item."""
    words: list[str] = []
    for part in detail.path:
        words.append((", " if words else "") + part.noun)
        words += [" ", Foreign(part.name)] if part.name is not None else []
    if detail.key is not None:
        words += [": " if words else "", Foreign(detail.key)]
    return tuple(word for word in [*words, *_happened(detail)] if word)


def _happened(detail: Detail) -> list[str]:
    before, after = (None if text is None else Foreign(text) for text in (detail.before, detail.after))
    whole = detail.key is None and bool(detail.path) and detail.path[-1].name is not None
    match detail.kind:
        case Kind.RENAMED:
            return [" was called ", before or ""]
        case Kind.MOVED:
            return [" in another order: ", before or "", " → ", after or ""]
        case Kind.CHANGED if before is not None and after is not None:
            return [" ", before, " → ", after]
        case Kind.ADDED if after is not None:
            return [" added (", after, ")"] if whole else [" added: ", after]
        case Kind.REMOVED if before is not None:
            return [" removed: ", before]
        case _ if whole:
            return [f" {detail.kind}"]
        case _:
            return [f" {detail.kind} (not shown)"]


MANY = 20
"""Of more verdicts than this, those of what stays valid are counted, not told."""


def notable(verdicts: Sequence[Verdict]) -> tuple[list[Verdict], int]:
    """The verdicts to tell, and how many others there are, which stay valid."""
    told = [verdict for verdict in verdicts if len(verdicts) <= MANY or verdict.fate is not Fate.STAYS_VALID]
    return told, len(verdicts) - len(told)


def verdict_phrase(verdict: Verdict) -> Phrase:
    """What becomes of a node, and why."""
    heads = {
        Fate.RUNS_AGAIN: "runs again",
        Fate.DEPENDS: "",
        Fate.MAY_RUN_AGAIN: "may run again",
        Fate.STAYS_VALID: "stays valid",
        Fate.UNKNOWN: "cannot be told",
    }
    head = heads[verdict.fate]
    words: list[str] = [head] if head else []
    for index, reason in enumerate(verdict.reasons):
        words.append(", " if index else ": " if head else "")
        words += reason
    return tuple(word for word in words if word)
