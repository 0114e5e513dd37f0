"""For tests of what may not be read: the modes of files bind root, too, who else reads whatever there is."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = 0x20080522
"""Of the structures that the kernel exchanges: capset(2)."""
_READ_ANYTHING = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: capabilities(7)."""

_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """This thread, and those that it starts meanwhile, read only what the modes of files allow."""
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    _call("capget", header, sets)
    effective = sets[0]
    sets[0] = effective & ~_READ_ANYTHING
    _call("capset", header, sets)
    try:
        yield
    finally:
        sets[0] = effective
        _call("capset", header, sets)


def _call(name: str, header: object, sets: object) -> None:
    if getattr(_LIBC, name)(header, sets):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
