"""What an executor is told once about the machine and the user it works for. Pure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Site:
    """The surroundings of one executor object.

    `store` is the user's store, which no step may see; `cache` a folder for what can be found out again; `checkout` the
    live project, hidden as well; `environment` the runner's own variables: where programs, sockets and Python are.
    Without `keep` nothing is written to the cache.
    """

    store: Path
    cache: Path
    checkout: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    keep: bool = True

    @property
    def home(self) -> Path:
        """The caller's home folder."""
        return Path(self.environment.get("HOME") or os.path.expanduser("~"))
