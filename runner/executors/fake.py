"""An executor that starts nothing: for tests of what stands above executors. It obeys scripted commands and polices
its caller: whoever breaks the rules of `runner.job` gets an AssertionError that names the rule.

A command list is read line by line, and each line is one of

    print TEXT     warn TEXT        a line on stdout, on stderr
    echo WORDS                      the same on stdout, with the quotes of a shell
    metric NAME VALUE               a metadata event; the value is JSON
    write NAME TEXT                 a file below the outputs
    read INPUT/NAME                 an input file's content on stdout
    sleep SECONDS  block            wait; until stopped
    stubborn                        from here on only a kill ends it
    exit CODE      oom      die     end: by itself, out of memory, killed from outside
    restart                         end: the container engine was restarted
    refuse TEXT                     cannot be started at all (must come first)

and anything else, `true` for instance, does nothing.
"""

import os
import shlex
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.executors.gang import loopback, refuse_none
from runner.executors.site import Site
from runner.job import (
    Handle,
    Identity,
    LogChunk,
    Network,
    Outcome,
    Probe,
    PullProgress,
    Script,
    Staged,
    View,
    Workspace,
)
from runner.state import Reason

_ENDS = {
    "oom": Outcome(Reason.OOM, 137, "out of memory", oom_killed=True),
    "die": Outcome(Reason.KILLED, 137, "killed from outside (signal 9)"),
    "restart": Outcome(Reason.RUNTIME, None, "the container engine was restarted and killed the step"),
}


class FakeHandle:
    """One scripted job. It proceeds while its log is read, in the reader's thread."""

    def __init__(self, executor: "FakeExecutor", staged: Staged) -> None:
        self.staged = staged
        self.devices = staged.devices
        self._executor = executor
        self._owner = threading.get_ident()
        self._asked = threading.Event()
        self._killed = threading.Event()
        self._timers: list[threading.Timer] = []
        self._stubborn = False
        self._stage = "started"
        self._outcome = Outcome(Reason.EXIT, 0)

    def logs(self) -> Iterator[LogChunk]:
        """See `runner.job.Handle`."""
        self._move("started", "reading", "`logs` is called once")
        return self._read()

    def wait(self) -> Outcome:
        """See `runner.job.Handle`."""
        self._move("read", "waited", "`wait` is called once, after `logs` was read to its end")
        for timer in self._timers:
            timer.cancel()
        return self._outcome

    def stop(self, grace: float) -> None:
        """See `runner.job.Handle`."""
        _check(grace >= 0, "grace is not negative")
        if grace == 0:
            self._killed.set()
        else:
            timer = threading.Timer(grace, self._killed.set)
            timer.daemon = True
            self._timers.append(timer)
            timer.start()
        self._asked.set()

    def close(self) -> None:
        """See `runner.job.Handle`."""
        _check(self._stage in ("waited", "closed"), "`close` is called after `wait`")
        self._stage = "closed"
        self._executor.forget(self.staged.job.id)

    def _move(self, source: str, target: str, rule: str) -> None:
        _check(threading.get_ident() == self._owner, "a handle is used by the thread that started it")
        _check(self._stage == source, rule)
        self._stage = target

    def _read(self) -> Iterator[LogChunk]:
        for item in self.staged.job.script.items:
            for line in item.splitlines():
                yield from self._obey(*line.partition(" ")[::2])
                if self._stage == "read":
                    return
        self._end(Outcome(Reason.EXIT, 0))

    def _obey(self, word: str, rest: str) -> Iterator[LogChunk]:
        if word in ("print", "warn"):
            yield LogChunk("stdout" if word == "print" else "stderr", rest.encode() + b"\n")
        elif word == "echo":
            yield LogChunk("stdout", " ".join(shlex.split(rest)).encode() + b"\n")
        elif word == "metric":
            name, _, value = rest.partition(" ")
            yield LogChunk("stdout", f'{{"{name}": {value}}}\n'.encode())
        elif word == "read":
            yield LogChunk("stdout", (self.staged.workspace.inputs / rest).read_bytes())
        elif word == "write":
            name, _, text = rest.partition(" ")
            target = self.staged.workspace.outputs / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        elif word == "stubborn":
            self._stubborn = True
        elif word in ("sleep", "block"):
            (self._killed if self._stubborn else self._asked).wait(float(rest) if word == "sleep" else None)
        elif word == "exit":
            code = int(rest)
            self._end(Outcome(Reason.EXIT, code, f"the command failed (exit {code})" if code else None))
        elif word in _ENDS:
            self._end(_ENDS[word])
        if self._killed.is_set() or (self._asked.is_set() and not self._stubborn):
            self._end(Outcome(Reason.STOP, 137 if self._killed.is_set() else 143, "stopped on request"))

    def _end(self, outcome: Outcome) -> None:
        if self._stage == "reading":
            self._stage, self._outcome = "read", outcome


class FakeExecutor:
    """See `runner.job.Executor`. `images` are the images that are here, None for all; `registry` those that `pull` can
    bring. `started` and `interacted` list the jobs in the order in which that was done to them."""

    name: ClassVar[str] = "fake"
    confines: ClassVar[bool] = True

    def __init__(
        self, site: Site | None = None, *, images: Iterable[str] | None = None, registry: Iterable[str] = ()
    ) -> None:
        self._images = None if images is None else set(images)
        self._registry = frozenset(registry)
        self._lock = threading.Lock()
        self._open: dict[str, FakeHandle] = {}
        self._ids: set[str] = set()
        self._gangs: dict[str, tuple[str, ...]] = {}
        self.started: list[Staged] = []
        self.interacted: list[Staged] = []

    def probe(self) -> Probe:
        """See `runner.job.Executor`."""
        return Probe(True, "nothing is really run")

    def resolve(self, image: str) -> Identity | None:
        """See `runner.job.Executor`; a name with a blank can never be an image."""
        if not image or " " in image:
            raise MlrunError(f"`{image}` is not the name of an image", code=ExitCode.IMAGE)
        if self._images is not None and image not in self._images:
            return None
        return Identity(f"fake:{hash_bytes(image.encode())}", {"image": image})

    def pull(self, image: str) -> Iterator[PullProgress]:
        """See `runner.job.Executor`."""
        _check(self.resolve(image) is None, "only an image that is not here is fetched")
        if image not in self._registry or self._images is None:
            raise MlrunError(f"image `{image}` is not to be had", code=ExitCode.IMAGE)
        yield PullProgress("1 layer", 1, 2)
        yield PullProgress("1 layer", 2, 2)
        self._images.add(image)

    def disks(self) -> tuple[Path, ...]:
        """See `runner.job.Executor`."""
        return ()

    def view(self, workspace: Workspace) -> View:
        """The folders where they are: nothing moves them."""
        folders = (workspace.inputs, workspace.outputs, workspace.repository, workspace.config, workspace.control)
        return View(*map(str, folders))

    def connect(self, gang: str, count: int, network: Network) -> tuple[str, ...]:
        """See `runner.job.Executor`."""
        refuse_none(network)
        with self._lock:
            known = self._gangs.setdefault(gang, loopback(gang, count))
        _check(len(known) == count, "a gang is connected again with the same number of jobs")
        return known

    def disconnect(self, gang: str) -> None:
        """See `runner.job.Executor`."""
        with self._lock:
            there = [one.staged.job.gang for one in self._open.values()]
            _check(not any(one and one.id == gang for one in there), "a gang is disconnected when no job of it runs")
            self._gangs.pop(gang, None)

    def connected(self) -> frozenset[str]:
        """See `runner.job.Executor`."""
        with self._lock:
            return frozenset(self._gangs)

    def start(self, staged: Staged) -> Handle:
        """See `runner.job.Executor`."""
        job = staged.job
        self._check_staged(staged)
        word, _, rest = job.script.items[0].partition(" ") if job.script.items else ("", "", "")
        with self._lock:
            _check(job.id not in self._ids, "a job is started once")
            self._ids.add(job.id)
            if job.gang is not None:
                known = self._gangs.get(job.gang.id)
                _check(known == job.gang.addresses, "a job of a gang starts with the addresses that `connect` gave")
            self.started.append(staged)
            if word == "refuse":
                raise MlrunError(rest, code=ExitCode.EXECUTOR)
            handle = self._open[job.id] = FakeHandle(self, staged)
        return handle

    def interact(self, staged: Staged, argv: Sequence[str] = (), until: int | None = None) -> int:
        """See `runner.job.Executor`. Each word is one line of a script; what it prints goes to our streams, and `exit`
        tells the code. Nothing stops it."""
        self._check_staged(staged)
        job = replace(staged.job, script=Script(tuple(argv)))
        handle = FakeHandle(self, replace(staged, job=job))
        for chunk in handle.logs():
            os.write(1 if chunk.stream == "stdout" else 2, chunk.data)
        outcome = handle.wait()
        self.interacted.append(staged)
        return 137 if outcome.exit_code is None else outcome.exit_code

    def reattach(self, id: str) -> Handle | None:
        """See `runner.job.Executor`; the job is told again from its beginning."""
        with self._lock:
            if id not in self._open:
                return None
            handle = self._open[id] = FakeHandle(self, self._open[id].staged)
        return handle

    def mine(self) -> frozenset[str]:
        """See `runner.job.Executor`."""
        with self._lock:
            return frozenset(self._open)

    def _check_staged(self, staged: Staged) -> None:
        job, workspace = staged.job, staged.workspace
        for folder in (workspace.outputs, workspace.repository, workspace.config, workspace.control):
            _check(folder.is_dir(), f"`{folder.name}` is made before the start")
        for given in job.inputs:
            for file in given.files:
                _check((workspace.inputs / given.name / file.name).is_file(), f"input `{given.name}` is staged")
        _check(staged.identity == self.resolve(job.image), "a job starts with the identity that `resolve` gave")

    def forget(self, id: str) -> None:
        """A handle was closed."""
        with self._lock:
            self._open.pop(id, None)


def _check(kept: bool, rule: str) -> None:
    if not kept:
        raise AssertionError(f"a caller of the executor broke a rule: {rule}")
