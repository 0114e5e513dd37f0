"""Which of the things that are gone are those that came, under another name. Pure.

Told from what they are made of: things that are the same but for their names, else those that share at least
`ALIKE` of their pieces (Jaccard index).
"""

from collections.abc import Mapping

ALIKE = 0.6
_PAIRS = 1 << 12
"""More pairs than this are not compared; only equal things are found then."""

Pieces = Mapping[str, frozenset[object]]


def renamed(gone: Pieces, come: Pieces, alike: float = ALIKE) -> dict[str, str]:
    """Old names by new ones; each is used once, the most alike first, in doubt in the order of the file."""
    found: dict[str, str] = {}
    equal: dict[frozenset[object], list[str]] = {}
    for name, pieces in gone.items():
        if pieces:
            equal.setdefault(pieces, []).append(name)
    for name, pieces in come.items():
        if candidates := equal.get(pieces):
            found[name] = candidates.pop(0)
    taken = set(found.values())
    left = {name: pieces for name, pieces in gone.items() if name not in taken}
    new = {name: pieces for name, pieces in come.items() if name not in found}
    if len(left) * len(new) > _PAIRS:
        return found
    scores = [(likeness(pieces, others), name, was) for name, pieces in new.items() for was, others in left.items()]
    for score, name, was in sorted(scores, key=lambda row: -row[0]):
        if score >= alike and name not in found and was not in taken:
            found[name] = was
            taken.add(was)
    return found


def likeness(one: frozenset[object], other: frozenset[object]) -> float:
    """From 0, nothing in common, to 1, the same."""
    every = len(one | other)
    return len(one & other) / every if every else 0.0
