"""How far checks of a store came, kept in its cache so that the next one goes on there. Losing it costs time only."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runner.store.durable import temporary_name
from runner.store.journal import timestamp


@dataclass(slots=True)
class Progress:
    """`run` is the last run whose records were looked at, `digest` the last object that was read, both empty at the
    start of a round; `begun` is when the round of reading began and `last_full` when one was complete last, in UTC
    (ISO 8601). `chains` has per journal of the store how long it was, and the digits of its last line."""

    run: str = ""
    digest: str = ""
    begun: str = ""
    last_full: str | None = None
    chains: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Progress":
        """What is kept at `path`; the start of everything where that is nothing."""
        try:
            told: dict[str, Any] = json.loads(path.read_bytes())
            chains = {str(name): (int(size), str(last)) for name, (size, last) in told["chains"].items()}
            words = {key: str(told[key]) for key in ("run", "digest", "begun")}
            return cls(**words, last_full=told["last_full"] and str(told["last_full"]), chains=chains)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def save(self, path: Path) -> None:
        """Keep it; where that cannot be, the next check begins anew."""
        temporary = path.parent / temporary_name()
        with suppress(OSError):
            temporary.write_text(json.dumps(asdict(self)), encoding="ascii")
            temporary.replace(path)

    def begin_round(self) -> None:
        """Start to read from the first object, unless a round is under way."""
        self.begun = self.begun or timestamp()

    def end_round(self) -> None:
        """Every object was read."""
        self.last_full, self.digest, self.begun = timestamp(), "", ""
