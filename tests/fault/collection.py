"""Removals beside writers: any number of processes record runs, others remove what may go, and nothing named is lost.

    python tests/fault/collection.py --seconds 600 --writers 16

The removals are as harsh as can be: nothing is too young for them, half of them leave no trash, and half are killed at
some moment. Contents are few, so writers keep asking for what is being removed in that moment.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from runner.app.upkeep import remove, undo
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.settings import Settings
from runner.store.history import recorded_run, run_folders
from runner.store.identity import new_id
from runner.store.layout import Layout
from runner.store.reach import FILES, named_by
from runner.store.record import Code, ProjectRef
from runner.store.removal import Removals
from runner.store.store import Store
from runner.upkeep import plan
from runner.upkeep.retention import Policy

CONTENTS = 40
STEPS = 3


def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--writers", type=int, default=16)
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlrun-collection-") as folder:
        deadline = time.monotonic() + options.seconds
        root = Path(folder) / "store"
        runs, lost = try_it(root, options.writers, options.seed, lambda: time.monotonic() < deadline)
        removals = len(Removals(Layout(root)).read().batches)
    print(
        f"{options.writers} writers, {runs} runs, {removals} removals beside them, {len(lost)} named objects lost "
        f"(seed {options.seed})"
    )
    return 1 if lost else 0


def try_it(root: Path, writers: int, seed: int, going_on: Callable[[], bool], least: int = 5) -> tuple[int, list[str]]:
    """Write and remove as long as `going_on` says, each process at least `least` times.

    Gives the number of runs, and the objects that records name and that are nowhere though nobody removed them.
    """
    Store.open(root, create=True).close()
    works = [partial(write, root)] * writers + [partial(take_away, root), partial(take_away_and_be_killed, root)]
    children = [_start(work, random.Random(f"{seed} {number}"), going_on, least) for number, work in enumerate(works)]
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(ends):
        raise AssertionError(f"processes ended with {ends} (seed {seed})")
    return sum(1 for _ in run_folders(Store.open(root, create=False).layout)), find_lost(root)


def write(root: Path, source: random.Random) -> None:
    """A run of one execution, with an input if one is to be had."""
    step = f"step {source.randrange(STEPS)}"
    with Store.open(root, create=True) as store:
        objects = store.objects
        code = objects.put_bytes(b"code %d" % source.randrange(CONTENTS))
        header: dict[str, Any] = {
            "kind": "exec",
            "name": step,
            "project": ProjectRef("p", "p", "/", "valohai.yaml"),
            "title": None,
            "tags": (),
            "argv": (),
            "code": Code(objects.put_tree([("a", "100644", code, 7)])),
            "spec": objects.put_bytes(b"spec"),
            "plan": {"nodes": [{"name": step, "step": step}]},
            "executor": "fake",
            "host": {},
            "version": "1",
        }
        wanted = hash_bytes(b"output %d" % source.randrange(CONTENTS))
        given = (
            [{"name": "a", "digest": wanted, "size": 0, "origin": "", "metadata": {}}] if objects.has(wanted) else []
        )
        with store.begin_run(header) as writer:
            id = new_id()
            job = {"inputs": [{"name": "in", "files": given}]}
            counter = writer.new_execution_counter()
            writer.append([{"type": "execution-created", "id": id, "node": step, "counter": counter, "job": job}])
            outputs = []
            for number in range(source.randrange(4)):
                data = b"output %d" % source.randrange(CONTENTS)
                outputs.append({"name": f"{number}", "digest": objects.put_bytes(data), "size": len(data)})
            ended = {"type": "execution-finished", "id": id, "state": "succeeded", "outputs": outputs}
            writer.append([ended, {"type": "run-finished", "state": "succeeded"}])


def take_away(root: Path, source: random.Random) -> None:
    """Remove what may go, or bring back what went last."""
    plan.GRACE = 0.0
    settings, moment = Settings(root), datetime.now(UTC)
    try:
        if source.random() < 0.1:
            undo(settings)
        else:
            remove(settings, Policy(source.randrange(3), None), moment, at_once=source.random() < 0.5)
    except MlrunError as error:
        if error.code not in {ExitCode.USAGE, ExitCode.LOCKED}:
            raise


def take_away_and_be_killed(root: Path, source: random.Random) -> None:
    """The same in a process that is killed after a moment, wherever it is then."""
    child = os.fork()
    if not child:
        try:
            take_away(root, source)
        finally:
            os._exit(0)
    time.sleep(source.random() ** 2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def find_lost(root: Path) -> list[str]:
    """What records name and nobody removed, and that is nowhere."""
    dropped = Removals(Layout(root)).read().dropped
    with Store.open(root, create=False) as view:

        def files(tree: Digest) -> Iterator[tuple[str, Digest, int]]:
            return ((entry.path, Digest(entry.content), entry.size) for entry in view.objects.read_tree(tree))

        named = [
            named.digest
            for folder in run_folders(view.layout)
            if (run := recorded_run(folder)) is not None
            for named in named_by(run, files)
            if named.kind not in FILES or named.execution not in dropped
        ]
        return sorted({digest for digest in named if not view.objects.has(digest)})


def _start(
    work: Callable[[random.Random], None], source: random.Random, going_on: Callable[[], bool], least: int
) -> int:
    child = os.fork()
    if child:
        return child
    try:
        done = 0
        while done < least or going_on():
            work(source)
            done += 1
    except BaseException as error:
        traceback.print_exception(error)
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
