"""In what a machine and its programs are not those that an execution had. Pure.

A record may come from elsewhere: of what it tells of these, only the ids and names of the programs were checked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is not as it was, with short texts for both; empty for what was not there or is gone."""

    what: str
    before: str
    after: str


_HOST = {
    "machine": "architecture",
    "processor": "processor",
    "flags": "processor flags",
    "processors": "processors",
    "kernel": "kernel",
    "distribution": "distribution",
    "gpu": "GPU",
    "gpu_driver": "GPU driver",
}
"""What of a machine may change results (`runner.provenance.host`), and its name for people."""

_IDENTITY = {"version": "Python", "build": "build of Python", "platform": "platform", "engine": "engine"}
_SHOWN = 21
"""Digits of an id for people, with what stands before them."""

_SETS = {"distributions": "package", "editable": "editable package"}


def host_drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Drift]:
    """Between two descriptions of machines; what either does not know is no difference."""
    for key, what in _HOST.items():
        if key in before and key in after and before[key] != after[key]:
            yield from _change(what, before[key], after[key])


def identity_drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Drift]:
    """Between two records of what programs come from: the `id` and further facts. None for the same id."""
    if before.get("id") == after.get("id"):
        return
    found = [*_details(before, after)]
    yield from found or [Drift(_unnamed(after), str(before.get("id", ""))[:_SHOWN], str(after.get("id", ""))[:_SHOWN])]


def _unnamed(after: Mapping[str, Any]) -> str:
    """What must have changed where all names and versions are the same."""
    if folders := _listed(after.get("editable")):
        return f"files of an editable package ({', '.join(f'`{one}`' for one in folders)})"
    return "files of a package, its version is the same" if after.get("distributions") else "programs"


def _details(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Drift]:
    for key, what in _IDENTITY.items():
        one, other = (_without_kernel(side.get(key)) for side in (before, after))
        if key in before and key in after and one != other:
            yield from _change(what, one, other)
    for key, what in _SETS.items():
        yield from _set_changes(what, _listed(before.get(key)), _listed(after.get(key)))
    had, has = (_table(side.get("system_packages")) for side in (before, after))
    for path in sorted({*had, *has}):
        if had.get(path) != has.get(path):
            yield Drift(f"packages in `{path}`", str(had.get(path, ""))[:16], str(has.get(path, ""))[:16])


def _without_kernel(value: Any) -> Any:
    """A platform as `Linux-RELEASE-x86_64-with-LIBRARY`: the kernel is the machine's."""
    return value.rpartition("-with-")[2] if isinstance(value, str) and "-with-" in value else value


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _set_changes(what: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Drift]:
    """One per name of `name==version` texts."""
    had, has = (dict(str(one).partition("==")[::2] for one in side) for side in (before, after))
    for name in sorted({*had, *has}):
        one, other = had.get(name), has.get(name)
        if one != other:
            yield Drift(f"{what} `{name}`", "" if one is None else one or name, "" if other is None else other or name)


def _change(what: str, before: Any, after: Any) -> Iterator[Drift]:
    if isinstance(before, list) and isinstance(after, list):
        gone, new = (
            [str(one) for one in side if one not in other] for side, other in ((before, after), (after, before))
        )
        if gone or new:
            yield Drift(what, " ".join(gone), " ".join(new))
    else:
        yield Drift(what, "" if before is None else str(before), "" if after is None else str(after))
