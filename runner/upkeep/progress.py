"""How far checks of a store came, kept in its cache so that the next one goes on there. Losing it costs time only."""

from dataclasses import asdict, dataclass
from pathlib import Path

from runner.store.journal import timestamp
from runner.store.memo import keep, recall


@dataclass(slots=True)
class Progress:
    """`run` is the last run whose records were looked at, `digest` the last object that was read, both empty at the
    start of a round; `begun` is when the round of reading began and `last_full` when one was complete last, in UTC
    (ISO 8601)."""

    run: str = ""
    digest: str = ""
    begun: str = ""
    last_full: str | None = None

    @classmethod
    def load(cls, path: Path) -> "Progress":
        """What is kept at `path`; the start of everything where that is nothing."""
        try:
            told = recall(path)
            words = {key: str(told[key]) for key in ("run", "digest", "begun")}
            return cls(**words, last_full=told["last_full"] and str(told["last_full"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def save(self, path: Path) -> None:
        """Keep it; where that cannot be, the next check begins anew."""
        keep(path, asdict(self))

    def begin_round(self) -> None:
        """Start to read from the first object, unless a round is under way."""
        self.begun = self.begun or timestamp()

    def end_round(self) -> None:
        """Every object was read."""
        self.last_full, self.digest, self.begun = timestamp(), "", ""
