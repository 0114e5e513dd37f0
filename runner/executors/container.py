"""One container with a step in it: its log, its end, how it is stopped and what is put right afterwards.

Knows an engine by its requests and how long to believe in one that does not answer; how an end is read is in
`inspection`.
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.executors import frames, secret, wrapper
from runner.executors.endpoint import EngineError, EngineGone
from runner.executors.engine import Engine, Pieces
from runner.executors.inspection import Watch, has_forgotten, is_over, may_be_engine, read_outcome
from runner.executors.limit import own_limits
from runner.executors.mount import VIEW
from runner.job import NO_DEVICES, Devices, LogChunk, Outcome, Stream
from runner.state import Reason

_SETTLE = 3.0
"""Seconds between the end of the log and the end of the container, beyond which the log must have broken off."""

_PAUSES = (0.002, 0.05)
"""Seconds between two looks at a container that is about to end: at first, at last."""

_ENGINE_BACK = 30.0
"""Seconds that an engine may be away; one takes ten to start again while it kills what ran before."""

_ENGINE_PAUSE = 0.25
_LEAVING = 2.0
"""Seconds between the end of an engine's containers and its own, when it is asked to stop."""

_GIVE_BACK_SECONDS = 60.0


class ContainerHandle:
    """One container, listened to from before its start; where the connection breaks off, the engine's own copy of the
    log is read from there on. `mounts` maps a path in the container to the folder that lies there; `has_init` tells
    that the container has an init process; Docker's passes a signal on to the whole group, Podman's to one process."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        image: str,
        mounts: Mapping[str, str],
        *,
        has_init: bool = True,
        devices: Devices = NO_DEVICES,
    ) -> None:
        self.devices = devices
        self._engine = engine
        self._container = container
        self._image = image
        self._mounts = mounts
        self._has_init = has_init
        self._attached: Pieces | None = None
        self._seen: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._lock = threading.Lock()
        self._timers: list[threading.Timer] = []
        self._give_up = threading.Event()
        self._inspection: dict[str, Any] | None = None
        self._over = False
        self._broken = False
        self._engine_lost = False
        self._stopped = False
        self._closed = False

    def start(self) -> None:
        """Listen, then start. Raises EngineError."""
        self._attached = self._engine.attach(self._container)
        self._engine.start(self._container)

    def logs(self) -> Iterator[LogChunk]:
        """See `runner.job.Handle`."""
        pieces: Iterable[bytes] = self._attached if self._attached is not None else self._recorded()
        while True:
            self._broken = False
            yield from self._count(frames.skip(frames.split(pieces), self._seen))
            if self._settle() and (self._inspection is None or not self._broken):
                return
            pieces = self._recorded()

    def wait(self) -> Outcome:
        """See `runner.job.Handle`."""
        while not self._over:
            self._settle()
        for timer in self._forget_timers():
            timer.cancel()
        if self._inspection is None:
            if self._engine_lost:
                return Outcome(Reason.RUNTIME, None, "the container engine went away and did not come back")
            return Outcome(Reason.KILLED, None, "somebody removed the container")
        self._give_back(VIEW.outputs)
        report = wrapper.read_report(Path(self._mounts[VIEW.control]))
        if not self._stopped and may_be_engine(self._inspection, report):
            self._engine_lost = self._engine_lost or self._engine_returned() or self._engine_leaves()
        watch = Watch(stopped=self._stopped, engine_lost=self._engine_lost)
        return replace(read_outcome(self._inspection, report, watch), peak_memory=report.peak_memory)

    def stop(self, grace: float) -> None:
        """See `runner.job.Handle`."""
        with self._lock:
            if self._over:
                return
            if grace > 0:
                self._later(0, "TERM")
            self._later(grace, "KILL")

    def close(self) -> None:
        """See `runner.job.Handle`; also gives back what the step left in the repository, whose evidence has been
        read by then, since giving it back touches every folder."""
        if self._closed:
            return
        self._closed = True
        for timer in self._forget_timers():
            timer.cancel()
        if self._attached is not None:
            self._attached.close()
        self._engine.remove(self._container)
        # One that never started may be tried again, in another way, and needs them still.
        if self._over and (secrets := self._mounts.get(f"{VIEW.control}/{secret.NAME}")) is not None:
            secret.discard(Path(secrets))
        self._give_back(VIEW.repository)
        self._give_back(VIEW.inputs)

    def _count(self, chunks: Iterable[LogChunk]) -> Iterator[LogChunk]:
        for chunk in chunks:
            self._seen[chunk.stream] += len(chunk.data)
            yield chunk

    def _recorded(self) -> Iterator[bytes]:
        """The engine's copy of the log from the start; what has been seen is left out by the caller."""
        try:
            yield from self._engine.logs(self._container)
        except EngineError:
            self._broken = True

    def _settle(self) -> bool:
        """Look until the container is over or gone, or the engine given up: True; False if it goes on running."""
        pause, deadline, away_since = _PAUSES[0], time.monotonic() + _SETTLE, None
        while not self._over:
            try:
                found = self._engine.inspect(self._container)
            except EngineError:
                self._broken = self._engine_lost = True
                away_since = away_since or time.monotonic()
                deadline = time.monotonic() + _SETTLE
                if time.monotonic() - away_since > _ENGINE_BACK or self._give_up.wait(_ENGINE_PAUSE):
                    self._end(None)
                continue
            if found is None or is_over(found):
                self._engine_lost = self._engine_lost and found is not None
                self._end(found)
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(pause)
                pause = min(1.5 * pause, _PAUSES[1])
        return True

    def _engine_returned(self) -> bool:
        """Whether the engine was started anew since the container was, while nobody watched."""
        with suppress(EngineError):
            if not self._engine.podman and not self._engine.spares:
                return has_forgotten(self._engine.remembered(), self._container)
        return False

    def _engine_leaves(self) -> bool:
        """Whether the engine goes away within a moment."""
        deadline = time.monotonic() + _LEAVING
        while self._engine.listens() and time.monotonic() < deadline:
            time.sleep(_PAUSES[1])
        return not self._engine.listens()

    def _end(self, inspection: dict[str, Any] | None) -> None:
        with self._lock:
            self._inspection = inspection
            self._over = True

    def _forget_timers(self) -> list[threading.Timer]:
        with self._lock:
            timers, self._timers = self._timers, []
        return timers

    def _later(self, seconds: float, signal: str) -> None:
        """Send a signal from another thread: an engine may take its time, who asks for a stop may not wait."""
        timer = threading.Timer(seconds, self._signal, (signal,))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _signal(self, signal: str) -> None:
        before, self._stopped = self._stopped, True
        try:
            if signal == "TERM" and (self._engine.podman or not self._has_init):
                self._engine.run_inside(self._container, ["/bin/sh", "-c", "kill -TERM -1"])
            elif not self._engine.signal(self._container, signal):
                self._stopped = before
        except EngineGone:
            self._stopped = before
            if signal == "KILL":
                self._give_up.set()

    def _give_back(self, target: str) -> None:
        """Make what the step left in a folder ours, where its user was another one. The wrapper does so at a normal
        end and where the step is root; the rest is done by a container that has root and nothing else."""
        folder = self._mounts.get(target)
        if os.getuid() == 0 or folder is None or not _has_foreign(folder):
            return
        owner = "0:0" if self._engine.rootless else f"{os.getuid()}:{os.getgid()}"
        config = {
            "Image": self._image,
            "User": "0:0",
            "Entrypoint": ["/bin/sh", "-c", 'chown -hR "$0" "$1"'],
            "Cmd": [owner, "/given"],
            "NetworkDisabled": True,
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": [{"Type": "bind", "Source": folder, "Target": "/given"}],
                **({"Ulimits": own_limits()} if self._engine.podman else {}),
            },
        }
        with suppress(EngineError):
            helper = self._engine.create(f"mlrun-give-back-{self._container[:12]}", config)
            try:
                self._engine.start(helper)
                deadline = time.monotonic() + _GIVE_BACK_SECONDS
                while (found := self._engine.inspect(helper)) and not is_over(found) and time.monotonic() < deadline:
                    time.sleep(_PAUSES[1])
            finally:
                self._engine.remove(helper)


def _has_foreign(folder: str) -> bool:
    """Whether anything below `folder` belongs to somebody else; a folder that cannot be read does."""
    pending, uid = [folder], os.getuid()
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.stat(follow_symlinks=False).st_uid != uid:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            return True
    return False
