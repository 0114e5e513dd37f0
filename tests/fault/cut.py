"""Power cuts without a machine to switch off.

An ext4 or XFS image lies in an outer XFS image with reflinks, and writers work in it. A cut is a reflink copy of the
inner image: what was not yet given to the block layer is missing there, as after a power cut. The copy is mounted,
which replays its journal, and everything that was acknowledged before the copy was begun must be in it. What a disk
loses out of its own cache is not part of this.
"""

import fcntl
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import script
from check import acknowledgements
from ground import Ground, checked
from volume import administrator, make_image, mounted, run, unmount

from runner.process import boot_id
from runner.store import durable, objects
from runner.store.store import Store

_FICLONE = 0x40049409
_PIPE_SIZE = 1 << 20
_OUTER, _INNER = 6 << 30, 400 << 20
_CUTS_EACH = 8
"""Cuts of one store before its writers begin with another one: a large store takes longer to check."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Writer:
    """A process that writes until it is killed, told which pipe its acknowledgements go to."""

    name: str
    work: Callable[[Ground, Path], None]
    together: int = 1


def tell_runs(here: Ground, place: Path) -> None:
    """Objects in every way, runs, names."""
    script.Volume.pays = lambda *_: True  # type: ignore[method-assign]
    number = 0
    with Store.open(place / "store", create=True) as store:
        while True:
            script.tell_a_run(store, f"{os.getpid()}-{number}")
            number += 1


def use_command(*commands: tuple[str, ...]) -> Callable[[Ground, Path], None]:
    """Commands of `mlrun`, one after the other, again and again."""

    def work(here: Ground, place: Path) -> None:
        while True:
            for arguments in commands:
                child = os.fork()
                if child == 0:
                    os.dup2(1, 2)
                    os._exit(here.command(place, *arguments)())
                os.waitpid(child, 0)

    return work


def without_sync(work: Callable[[Ground, Path], None], *, files: bool) -> Callable[[Ground, Path], None]:
    """A writer that leaves out the sync of folders, or every sync: what it acknowledges must get lost."""

    def careless(here: Ground, place: Path) -> None:
        durable.sync_folder = objects.sync_folder = lambda _: None
        if files:
            os.fsync = lambda _: None
            script.Volume.sync = lambda _: None  # type: ignore[method-assign]
            script.Volume.pays = lambda *_: False  # type: ignore[method-assign]
        work(here, place)

    return careless


def failing_disk(here: Ground, number: int, chance: random.Random) -> str:
    """A disk that fails under runs, so that the kernel makes it read-only; what was wrong when it works again."""
    image, place = here.folder / f"failing-{number}.img", here.folder / f"failing-{number}"
    make_image(image, "ext4", _INNER)
    text = here.folder / f"failing-{number}.txt"
    with mounted(image, place, "loop,errors=remount-ro"), text.open("wb") as out:
        writer = Writer("exec", use_command(("exec", "make")))
        child = start(writer, here, place, out.fileno())
        time.sleep(chance.uniform(0.2, 1.5))
        device = subprocess.run(["findmnt", "-no", "SOURCE", place], capture_output=True, text=True, check=True).stdout
        Path("/sys/fs/ext4", Path(device.strip()).name, "trigger_fs_error").write_text("1")
        time.sleep(1)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    shown = text.read_text()
    # 1: it found errors and mended them, as a machine does when it starts.
    mended = subprocess.run(["e2fsck", "-fy", image], capture_output=True, text=True, env=administrator())
    if mended.returncode > 1:
        return f"the file system is lost: {mended.stdout}"
    with mounted(image, place):
        wrong = "a bug" if "Traceback" in shown or "this is a bug" in shown else ""
        wrong = wrong or ("" if "Read-only file system" in shown else "nobody noticed")
        wrong = wrong or checked(place / "store", acknowledgements(shown))
    image.unlink()
    return wrong and f"failing disk {number}: {wrong}: {shown[-1500:]}"


def start(writer: Writer, here: Ground, place: Path, out: int) -> int:
    """A writer in a process group of its own."""
    child = os.fork()
    if child:
        with suppress(OSError):
            os.setpgid(child, child)
        return child
    try:
        os.setpgid(0, 0)
        os.dup2(out, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        writer.work(here, place)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


class PowerCuts:
    """An inner file system that can be cut as often as wanted; to be used in a mount namespace of one's own."""

    def __init__(self, here: Ground, kind: str, seed: int) -> None:
        self._here = here
        self._kind = kind
        self._chance = random.Random(seed)
        self._stack = ExitStack()

    def __enter__(self) -> "PowerCuts":
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._here.folder)))
            make_image(folder / "outer.img", "xfs", _OUTER)
            outer = stack.enter_context(mounted(folder / "outer.img", folder / "outer"))
            # The mount holds it: nothing is left of it when this process is killed.
            (folder / "outer.img").unlink()
            self._image, self._cut_image = outer / "inner.img", outer / "cut.img"
            make_image(self._image, self._kind, _INNER)
            self._inner = stack.enter_context(mounted(self._image, folder / "inner"))
            self._cut_place = folder / "cut"
            self._boot_id = folder / "boot_id"
            self._boot_id.write_text("00000000-0000-4000-8000-000000000000\n")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def many(self, writer: Writer, count: int) -> list[str]:
        """Cut the power `count` times under a writer; what was wrong with the copies."""
        losses = []
        for begin in range(0, count, _CUTS_EACH):
            place = Path(tempfile.mkdtemp(dir=self._inner))
            subprocess.run(["sync", "-f", place], check=True)
            with self._writing(writer, place) as (lines, children):
                for number in range(begin, min(begin + _CUTS_EACH, count)):
                    time.sleep(self._chance.uniform(0.005, 0.3))
                    if wrong := self._cut(place, lines, children):
                        losses.append(f"{writer.name} on {self._kind}, cut {number}: {wrong}")
            shutil.rmtree(place, ignore_errors=True)
        return losses

    def _cut(self, place: Path, lines: "Lines", children: list[int]) -> str:
        acknowledged = lines.so_far()
        with self._image.open("rb") as source, self._cut_image.open("wb") as copy:
            fcntl.ioctl(copy, _FICLONE, source.fileno())
        # They stand still meanwhile, or the store would grow faster than it is checked.
        _signal(children, signal.SIGSTOP)
        options = "loop,nouuid" if self._kind == "xfs" else "loop"
        with mounted(self._cut_image, self._cut_place, options):
            wrong = self._checked(self._cut_place / place.name / "store", acknowledged)
        _signal(children, signal.SIGCONT)
        return wrong

    def _checked(self, root: Path, acknowledged: list[str]) -> str:
        """As after a new start of the machine: the writers, which still live, have another boot id."""
        if not root.exists():
            return "the store is gone" if acknowledged else ""
        run("mount", "--bind", self._boot_id, _BOOT_ID)
        boot_id.cache_clear()
        try:
            return checked(root, acknowledged)
        finally:
            unmount(_BOOT_ID)

    @contextmanager
    def _writing(self, writer: Writer, place: Path) -> Iterator[tuple["Lines", list[int]]]:
        receive, send = os.pipe()
        fcntl.fcntl(send, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        children = [start(writer, self._here, place, send) for _ in range(writer.together)]
        os.close(send)
        try:
            yield Lines(receive), children
        finally:
            _signal(children, signal.SIGKILL)
            for child in children:
                os.waitpid(child, 0)
            os.close(receive)


def _signal(groups: list[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, number)


class Lines:
    """What writers acknowledged."""

    def __init__(self, receive: int) -> None:
        self._receive = receive
        self._data = b""

    def so_far(self) -> list[str]:
        """Every whole line up to this moment, in the words of `check`."""
        while select.select([self._receive], [], [], 0)[0]:
            data = os.read(self._receive, _PIPE_SIZE)
            if not data:
                break
            self._data += data
        text = self._data[: self._data.rfind(b"\n") + 1].decode()
        direct = [line for line in text.splitlines() if line.startswith(("object ", "alias ", "run 0", "run f"))]
        return direct + acknowledgements(text)


WRITERS = (
    Writer("objects, runs and names", tell_runs, 2),
    Writer("exec", use_command(("exec", "make")), 2),
    Writer(
        "exec, gc, pack",
        use_command(
            ("exec", "make"),
            ("pipeline", "both"),
            ("store", "pack"),
            ("gc", "--keep-last", "1", "--keep-within", "0d", "--yes"),
            ("exec", "make"),
            ("gc", "--undo"),
            ("gc", "--keep-last", "1", "--keep-within", "0d", "--now"),
        ),
    ),
)
