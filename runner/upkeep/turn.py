"""One command at a time removes, packs or restores objects: the others wait for their turn."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from runner.errors import ExitCode, MlrunError
from runner.store.layout import Layout
from runner.store.packed import Packed

PATIENCE = 60.0
"""Seconds that the others wait."""
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Turn:
    """Proof that nobody else moves objects of the store at `layout` about. Made by `alone` only, good within its block;
    what needs it takes it."""

    layout: Layout


@contextmanager
def alone(layout: Layout, patience: float = PATIENCE) -> Iterator[Turn]:
    """Be the only command that moves objects of this store about; runs go on meanwhile. The lock falls with the
    process. Raises MlrunError: LOCKED after `patience` seconds, STORE."""
    deadline = time.monotonic() + patience
    with ExitStack() as held:
        while not _taken(layout, held, last=time.monotonic() > deadline):
            time.sleep(_PAUSE)
        yield Turn(layout)


def _taken(layout: Layout, held: ExitStack, *, last: bool) -> bool:
    try:
        held.enter_context(Packed(layout.packed).alone())
    except MlrunError as error:
        if error.code is not ExitCode.LOCKED or last:
            raise
        return False
    return True
