"""The check of a whole store: what fits together, what every byte says, what is damaged and whom that concerns.

A store that can be written is also mended: damaged objects are set aside and restored where good bytes can be found,
leases are written again from the journals, and what was purged stays destroyed. No record is ever changed.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runner.digest import Digest
from runner.errors import MlrunError
from runner.escape import printable
from runner.store.durable import disk_errors
from runner.store.history import recorded_run
from runner.store.lease import write_owner
from runner.store.removal import Removed
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.anomaly import Anomaly, Report, note, place_of
from runner.upkeep.batch import trash_batches
from runner.upkeep.chain import read_removed, store_journals
from runner.upkeep.inventory import FORBIDDEN, Found, Inventory
from runner.upkeep.mention import Mention, Namers, mentions
from runner.upkeep.progress import Progress
from runner.upkeep.purge import finish_purges
from runner.upkeep.quarantine import Quarantine, quarantined, restore
from runner.upkeep.reading import Examined, Reader
from runner.upkeep.ref import ref_files
from runner.upkeep.stranger import strangers
from runner.upkeep.survey import Survey

_SHARE = 0.5
"""Of a limited time the part that the records may take when the objects are to be read, too."""

_REMEDY = "put the file back from a backup or `mlrun pull` it; running again what made or read it brings it back, too"
_READ_ONLY = "the store cannot be written here: nothing was moved or restored"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a check is to do. `seconds` bounds its time; `tell` gets the objects and bytes read so far."""

    read_data: bool = False
    seconds: float | None = None
    writable: bool = True
    tell: Callable[[int, int], None] = lambda objects, size: None


def check(store: Store, wish: Wish) -> tuple[Report, bool]:
    """Check a store; what was found, and whether Ctrl-C ended the reading. Raises MlrunError (STORE, DISK)."""
    with disk_errors(store.layout.root):
        return _Check(store, wish).run()


class _Check:
    def __init__(self, store: Store, wish: Wish) -> None:
        self._store = store
        self._wish = wish
        self._report = Report()
        self._inventory = Inventory(store.layout)
        self._quarantine = Quarantine(store.layout, self._inventory)
        self._kept = store.layout.cache / "check.json"
        self._progress = Progress.load(self._kept)
        self._begun = time.monotonic()
        self._removed = Removed()
        self._damaged: dict[Digest, list[Anomaly]] = {}

    def run(self) -> tuple[Report, bool]:
        layout = self._store.layout
        if self._wish.writable:
            self._report.anomalies += [
                note("purged", place, "was purged, and is destroyed") for place in finish_purges(self._store)
            ]
        self._removed = read_removed(layout)
        self._report.anomalies += store_journals(layout, writable=self._wish.writable)
        self._report.anomalies += ref_files(layout)
        survey = self._survey()
        self._report.anomalies += strangers(layout)
        self._report.anomalies += trash_batches(layout)
        set_aside_before = list(quarantined(layout))
        interrupted = self._read() if self._wish.read_data else False
        self._save()
        self._conclude(survey)
        self._report.anomalies += set_aside_before
        self._mend_owners()
        return self._report, interrupted

    def _is_over(self, share: float = 1.0) -> bool:
        seconds = self._wish.seconds
        return seconds is not None and time.monotonic() - self._begun > seconds * share

    def _survey(self) -> Survey:
        share = _SHARE if self._wish.read_data else 1.0
        survey = Survey(self._store, self._inventory, self._report, lambda: self._is_over(share), removed=self._removed)
        survey.names()
        self._progress.run = survey.runs(self._progress.run)
        return survey

    def _save(self) -> None:
        if self._wish.writable:
            self._progress.save(self._kept)

    def _read(self) -> bool:
        reader = Reader(self._inventory, self._progress, self._save, self._handle, self._wish.tell, self._is_over)
        self._report.reading = reader.read()
        return reader.interrupted

    def _handle(self, examined: Examined) -> None:
        """Set the bad copies of an object aside at once: whoever goes on here later does not look at it again."""
        for found, problem in examined.bad:
            done = ""
            source = self._bad_source(found)
            if source is not None:
                problem = f"is made of the object `{source}`, which is damaged"
            elif self._wish.writable and _is_its_own(found) and problem != FORBIDDEN:
                aside = self._quarantine.take(examined.digest, found)
                if aside is None:
                    continue
                done = f"moved to `{self._place(aside)}`"
            anomaly = Anomaly(_code(found), self._place(found.path), problem, digest=examined.digest, done=done)
            self._damaged.setdefault(examined.digest, []).append(anomaly)

    def _bad_source(self, found: Found) -> Digest | None:
        """The object that is to blame for what a recipe makes; None when it is the recipe itself."""
        sources = sorted(found.recipe.sources) if found.recipe is not None and found.problem is None else ()
        for source in sources:
            whole = self._inventory.whole_copy(source)
            if whole is None or self._inventory.problem(whole, source) is not None:
                return source
        return None

    def _conclude(self, survey: Survey) -> None:
        """Look at everything suspicious once more, find out whom it concerns, and restore what can be restored."""
        digests = {*survey.suspects, *survey.waiting, *self._damaged}
        if not digests:
            return
        self._removed = read_removed(self._store.layout)
        named = mentions(self._store, self._inventory, digests, self._removed)
        for digest in sorted(digests):
            if digest in self._removed.purged:
                continue
            if digest in self._damaged:
                self._report.anomalies += self._restored(digest, self._damaged[digest], named)
            elif digest in named:
                self._report.anomalies += self._looked_at_again(digest, survey, named)

    def _looked_at_again(self, digest: Digest, survey: Survey, named: Namers) -> list[Anomaly]:
        found = self._inventory.find(digest)
        if digest in survey.waiting:
            if not self._wish.writable or not Trash(self._store.layout).bring_back(digest):
                return []
            return [note("brought-back", self._place(self._inventory.whole(digest)), "is in use: it was in the trash")]
        what = survey.suspects[digest]
        if found is not None and found.problem is None and what == "is missing":
            # It was moved, or has come back.
            return []
        place = self._place(found.path if found else self._inventory.whole(digest))
        done = ""
        if found is None:
            aside = self._inventory.set_aside(digest)
            what += f"; a damaged copy is in `{self._place(aside[-1])}`" if aside else ""
        elif self._wish.writable and _is_its_own(found):
            if (path := self._quarantine.take(digest, found)) is None:
                what, done = f"{what} where it is named, though its content is right", ""
            else:
                done = f"moved to `{self._place(path)}`"
        code = "object-missing" if found is None else _code(found)
        return self._restored(digest, [Anomaly(code, place, what, digest=digest, done=done)], named)

    def _restored(self, digest: Digest, anomalies: list[Anomaly], named: Namers) -> list[Anomaly]:
        """The anomalies of an object with whom they concern; the last of them tells what it was restored from."""
        who = named.get(digest, [])
        touched = tuple(dict.fromkeys(mention.touch for mention in who))
        can = self._wish.writable and touched and all(anomaly.what != FORBIDDEN for anomaly in anomalies)
        source = self._source(digest, who) if can else None
        remedy = ""
        if source is None and touched:
            remedy = _REMEDY if self._wish.writable else f"{_READ_ONLY}; {_REMEDY}"
        told = [replace(anomaly, touched=touched, remedy=remedy) for anomaly in anomalies]
        if source is not None:
            done = "; ".join(filter(None, (told[-1].done, printable(source))))
            told[-1] = replace(told[-1], done=done)
        return told

    def _source(self, digest: Digest, who: list[Mention]) -> str | None:
        candidates: list[Path] = [path for mention in who for path in mention.elsewhere]
        return restore(self._store, self._inventory, digest, candidates)

    def _mend_owners(self) -> None:
        """Write the leases that say something else than the journals."""
        for number, anomaly in enumerate(self._report.anomalies):
            if anomaly.code == "owner-damaged" and anomaly.place.startswith("runs/") and self._wish.writable:
                folder = self._store.layout.run(anomaly.place.split("/")[1])
                with suppress(MlrunError, OSError):
                    run = recorded_run(folder)
                    if run is not None:
                        write_owner(folder.owner, run.owner)
                        done = "written again from the journal"
                        self._report.anomalies[number] = replace(anomaly, done=done, remedy="")

    def _place(self, path: Path) -> str:
        return place_of(self._store.layout, path)


def _is_its_own(found: Found) -> bool:
    """Whether a copy itself is bad: a recipe that can be read, and whose source is missing, heals with that."""
    return found.recipe is None or found.problem is None


def _code(found: Found) -> str:
    return "recipe-damaged" if found.is_recipe else "object-damaged"
