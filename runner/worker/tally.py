"""What is to be told about many outputs: the first few by name, the rest by number. Pure."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from runner.escape import printable

_NAMED = 20


@dataclass(slots=True)
class Tally:
    """Sentences about outputs of one kind; `verb` says what became of each."""

    verb: str
    named: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, path: bytes | str, why: str) -> None:
        """Tell why of one more output; `why` is clean."""
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(f"output `{printable(os.fsdecode(path))}` {why}")

    def warnings(self) -> Iterator[str]:
        """The sentences."""
        for entry in self.named:
            yield f"{entry}; it {self.verb}"
        if self.count > len(self.named):
            yield f"{self.count - len(self.named):,} more outputs like these: each {self.verb}"
