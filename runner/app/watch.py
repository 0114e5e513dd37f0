"""Files whose reading ends when somebody asks for it: what compares large ones cannot be asked itself."""

import io
from collections.abc import Callable
from typing import BinaryIO, cast

_PIECE = 1 << 20


class Over(Exception):
    """Nobody waits for what is being read any more."""


class _Watched(io.RawIOBase):
    def __init__(self, file: BinaryIO, is_over: Callable[[], bool]) -> None:
        self._file = file
        self._is_over = is_over

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._is_over():
            raise Over
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def close(self) -> None:
        super().close()
        self._file.close()


def watched(file: BinaryIO, is_over: Callable[[], bool]) -> BinaryIO:
    """The same file, a piece at a time; reading raises Over once `is_over`. Closes the file with itself."""
    return cast(BinaryIO, io.BufferedReader(_Watched(file, is_over), _PIECE))
