"""A download in the store's cache: resumed, locked against others, and only whole files become objects.

Per address there are up to four files: `KEY.lock`, `KEY.part` with the bytes so far, `KEY.part.json` with the version
that they are of, and `KEY.json` with the version, digest and size of what arrived last. All may be deleted.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from runner.data.means import Means
from runner.digest import Digest, hash_bytes
from runner.process import boot_id
from runner.store.durable import disk_error, disk_errors, temporary_name, write_all

WAITS = (0.5, 2.0, 5.0)
"""Seconds before the second attempt and those after it; what moved a download on begins them anew."""
_MOST_RESTARTS = 100
_LONGEST_WAIT = 60.0

_FIRST_WORD = 1.0
"""Seconds after which a download is worth telling of."""
_BETWEEN_WORDS = 0.25
_RESERVE = 256 << 20
"""Bytes of a disk that a download leaves free while nobody knows how much will come."""
_CHECK_EVERY = 64 << 20


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of an address from another (RFC 9110, section 8.8), as its server says it.

    `strong` is the validator under which parts of one content may be put together, None when there is none.
    """

    etag: str | None = None
    modified: str | None = None
    size: int | None = None
    strong: str | None = None

    @property
    def tells(self) -> bool:
        """Whether an equal version means equal content."""
        return self.etag is not None or self.modified is not None


@dataclass(frozen=True, slots=True)
class Landed:
    """What arrived last from an address; `when` in seconds since 1970."""

    version: Version
    digest: Digest
    size: int
    when: float


class PassingFault(Exception):
    """A fault that may pass: `why` in words, `wait` the seconds that the server asks for."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.wait = wait


Result = TypeVar("Result")


def try_again(attempt: Callable[[], Result], received: Callable[[], int]) -> Result:
    """What `attempt` gives, repeated after passing faults; an attempt that brought bytes does not count as failed.

    Raises the last PassingFault.
    """
    failed = 0
    for _ in range(_MOST_RESTARTS):
        before = received()
        try:
            return attempt()
        except PassingFault as fault:
            failed = 0 if received() > before else failed + 1
            if failed > len(WAITS):
                raise
            time.sleep(min(_LONGEST_WAIT, max(WAITS[max(0, failed - 1)], fault.wait)))
    return attempt()


class Download:
    """The download of one address; entering it waits until no other process or thread has the same under way.

    `name` must tell apart whatever may be different content, and holds no password. Raises MlrunError (DISK, STORE).
    """

    def __init__(self, name: str, shown: str, means: Means) -> None:
        self._base = means.cache / "downloads" / hash_bytes(name.encode("utf-8", "surrogateescape"))
        self._shown = shown
        self._means = means
        self._part = -1
        self._lock = -1
        self._began = 0.0
        self._told = 0.0
        self._total = 0
        self._checked = 0
        self.offset = 0
        """Bytes that are here."""
        self.version: Version | None = None
        """What they are of; None when there are none that could be gone on with."""

    def __enter__(self) -> Self:
        with disk_errors(self._base.parent):
            self._base.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._lock = os.open(self._file("lock"), flags, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._part = os.open(self._file("part"), flags, 0o600)
        self._began = time.monotonic()
        if not self._means.fresh:
            self._find_part()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._told and kind is None:
            self._means.progress(self._shown, self._total or self.offset, self._total or self.offset)
        if self._part >= 0:
            empty = os.fstat(self._part).st_size == 0
            os.close(self._part)
            if empty:
                self._drop_part()
        os.close(self._lock)

    def landed(self) -> Landed | None:
        """What arrived last, if the store still has it."""
        if self._means.fresh:
            return None
        return self._last()

    def begin(self, version: Version) -> None:
        """Start over with a new content."""
        self.version, self.offset, self._total, self._checked = version, 0, version.size or 0, 0
        with disk_errors(self._base.parent, self._total):
            os.ftruncate(self._part, 0)
            os.lseek(self._part, 0, os.SEEK_SET)
            if version.strong is not None:
                self._write("part.json", {"boot": boot_id(), "version": asdict(version)})
            else:
                self._file("part.json").unlink(missing_ok=True)
            self._leave_room(self._total)

    def append(self, data: bytes) -> None:
        """Take the next bytes."""
        with disk_errors(self._base.parent, max(self._total - self.offset, len(data))):
            write_all(self._part, data)
            self.offset += len(data)
            if not self._total and self.offset - self._checked >= _CHECK_EVERY:
                self._checked = self.offset
                self._leave_room(_RESERVE)
        now = time.monotonic()
        if now - self._began >= _FIRST_WORD and now - self._told >= _BETWEEN_WORDS:
            self._told = now
            self._means.progress(self._shown, self.offset, self._total)

    def land(self) -> tuple[Digest, int]:
        """Make the whole file an object. Whoever asked is told if it is not what the address had before."""
        version = self.version or Version()
        os.close(self._part)
        self._part = -1
        digest, size = self._means.objects.adopt(self._file("part"))
        before = self._last()
        if before is not None and before.digest != digest:
            day = time.strftime("%Y-%m-%d %H:%M", time.localtime(before.when))
            self._means.notice(f"the content of `{self._shown}` is not what it was on {day}")
        with suppress(OSError):
            self._write("json", {**asdict(version), "digest": digest, "bytes": size, "when": time.time()})
        self._drop_part()
        return digest, size

    def forget_part(self) -> None:
        """What is here cannot be gone on with."""
        self.begin(Version())

    def _find_part(self) -> None:
        """Bytes of an earlier attempt count only within one boot: after a power cut a file may hold zeros."""
        try:
            note = json.loads(self._file("part.json").read_bytes())
            version = _version(note["version"])
            usable = note["boot"] == boot_id() and version.strong is not None
        except (OSError, ValueError, TypeError, KeyError):
            return
        size = os.fstat(self._part).st_size
        if usable and size:
            self.version, self.offset, self._total = version, os.lseek(self._part, 0, os.SEEK_END), version.size or 0

    def _last(self) -> Landed | None:
        try:
            note = json.loads(self._file("json").read_bytes())
            landed = Landed(_version(note), Digest(str(note["digest"])), int(note["bytes"]), float(note["when"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        objects = self._means.objects
        return landed if objects.has(landed.digest) and objects.size(landed.digest) == landed.size else None

    def _leave_room(self, needs: int) -> None:
        status = os.fstatvfs(self._part)
        if status.f_bavail * status.f_frsize < needs:
            raise disk_error(OSError(errno.ENOSPC, "no space"), self._base.parent, self._total or self.offset)

    def _file(self, kind: str) -> Path:
        return self._base.parent / f"{self._base.name}.{kind}"

    def _write(self, kind: str, note: dict[str, Any]) -> None:
        temporary = self._base.parent / temporary_name()
        temporary.write_text(json.dumps(note), encoding="ascii")
        temporary.replace(self._file(kind))

    def _drop_part(self) -> None:
        for kind in ("part.json", "part"):
            with suppress(OSError):
                self._file(kind).unlink(missing_ok=True)


def _version(note: dict[str, Any]) -> Version:
    return Version(**{field.name: note[field.name] for field in fields(Version)})
