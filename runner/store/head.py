"""What the file of a name holds, and what an entry of `refs/log` makes of it. Pure."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from runner.store.datum import Datum
from runner.store.record import Entry
from runner.store.ref import KINDS, Acceptance, Alias, Author, Collection, CollectionKind, Pin, Tagging, Version

REF_ENTRY_TYPES = (
    "alias-set",
    "alias-removed",
    "version-made",
    "version-aliased",
    "pinned",
    "unpinned",
    "tagged",
    "untagged",
    "accepted",
    "unaccepted",
    "name-kept",
)

ALIAS, PIN, TAG, ACCEPTED = "alias", "pin", "tag", "accepted"

Key = tuple[str, str]
"""Folder and name."""
Head = dict[str, Any]
"""The content of a file, a JSON object."""


def key_of(entry: Entry) -> Key:
    """Which file an entry is about."""
    match entry["type"]:
        case "pinned" | "unpinned":
            return PIN, str(entry["id"])
        case "tagged" | "untagged":
            return TAG, str(entry["name"])
        case "accepted" | "unaccepted":
            return ACCEPTED, str(entry["name"])
    return str(entry.get("kind", ALIAS)), str(entry["name"])


def applied(head: Head | None, entry: Entry) -> Head | None:
    """The file's content after an entry, None for no file; applying one twice changes nothing more."""
    if entry["type"] == "name-kept":
        kept_head: Head = deepcopy(entry["head"])
        return kept_head
    said = {"time": entry["time"], "by": entry["by"]}
    match entry["type"]:
        case "alias-set":
            return {"name": entry["name"], "datum": entry["datum"], **said}
        case "alias-removed" | "unpinned":
            return None
        case "pinned":
            facts = {name: entry[name] for name in ("note", "datum") if entry.get(name) is not None}
            return {"id": entry["id"], "what": entry["what"], **facts, **said}
        case "tagged" | "untagged":
            return _tagged(head or {"name": entry["name"], "has": {}, "without": {}}, entry)
        case "accepted" | "unaccepted":
            return _accepted(head or {"name": entry["name"], "stands": []}, entry, said)
    before = head or {"name": entry["name"], "versions": [], "aliases": {}}
    if entry["type"] == "version-aliased":
        return {**before, "aliases": {**before["aliases"], entry["alias"]: entry["version"]}}
    if any(version["name"] == entry["version"] for version in before["versions"]):
        return before
    return {**before, "versions": [*before["versions"], _made(entry)]}


def heads_of(entries: Iterable[Entry]) -> dict[Key, Head | None]:
    """What the entries of a log come to, by `applied`; the time grows with their number only."""
    heads: dict[Key, Head | None] = {}
    names: dict[Key, set[str]] = {}
    for entry in entries:
        key = key_of(entry)
        head = heads.get(key)
        if head is None or entry["type"] != "version-made":
            heads[key] = applied(head, entry)
            if entry["type"] == "name-kept":
                names.pop(key, None)
            continue
        if key not in names:
            names[key] = {version["name"] for version in head["versions"]}
        if entry["version"] not in names[key]:
            names[key].add(entry["version"])
            head["versions"].append(_made(entry))
    return heads


def kept(key: Key, head: Head, by: Author) -> Entry:
    """The entry that tells all that a file holds, though nobody knows any more how that came."""
    return {"type": "name-kept", "kind": key[0], "name": key[1], "head": head, "by": by}


def name_in(folder: str, head: Head) -> str:
    """The name whose file this is. Raises KeyError."""
    return str(head["id" if folder == PIN else "name"])


def _made(entry: Entry) -> Head:
    facts = {key: entry[key] for key in ("manifest", "files", "size", "notes", "time", "by")}
    return {"name": entry["version"], **facts}


def _tagged(before: Head, entry: Entry) -> Head | None:
    """`own` tells whether the thing began with the tag: then only what was taken away is kept, else what was given."""
    id = entry["id"]
    has, without = ({one: what for one, what in before[part].items() if one != id} for part in ("has", "without"))
    if entry["type"] == "tagged" and not entry["own"]:
        has[id] = entry["what"]
    if entry["type"] == "untagged" and entry["own"]:
        without[id] = entry["what"]
    return {**before, "has": has, "without": without} if has or without else None


def _accepted(before: Head, entry: Entry, said: Head) -> Head | None:
    """`name` is the base key of the work; for one state of the code one execution stands."""
    stands = [one for one in before["stands"] if one["code"] != entry["code"]]
    if entry["type"] == "accepted":
        stands.append({"code": entry["code"], "execution": entry["execution"], "run": entry["run"], **said})
    return {**before, "stands": stands} if stands else None


def alias_in(head: Head) -> Alias:
    """The alias that a file holds. Raises KeyError, TypeError or ValueError, as all of these do."""
    return Alias(str(head["name"]), Datum(**head["datum"]), head["time"], head["by"])


def collection_in(kind: CollectionKind, head: Head) -> Collection:
    """The dataset or model that a file holds."""
    return Collection(kind, str(head["name"]), tuple(Version(**one) for one in head["versions"]), head["aliases"])


def pin_in(head: Head) -> Pin:
    """The pin that a file holds."""
    datum = head.get("datum")
    return Pin(**head | {"id": str(head["id"]), "datum": None if datum is None else Datum(**datum)})


def tagging_in(head: Head) -> Tagging:
    """The tag that a file holds."""
    return Tagging(str(head["name"]), dict(head["has"]), dict(head["without"]))


def acceptances_in(head: Head) -> tuple[Acceptance, ...]:
    """What the user has accepted for work of one base key, oldest first."""
    str(head["name"])
    return tuple(Acceptance(**one) for one in head["stands"])


READERS: Mapping[str, Callable[[Head], object]] = {
    ALIAS: alias_in,
    PIN: pin_in,
    TAG: tagging_in,
    ACCEPTED: acceptances_in,
    **{kind: partial(collection_in, kind) for kind in KINDS},
}
"""By folder: how its files are understood."""
