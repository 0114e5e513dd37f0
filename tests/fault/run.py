"""Stops, starves and damages stores in every way, checks what is left, and prints the figures.

usage: run.py [--short] [--seed N] [SUITE…]

Suites: see `SUITES`; without any, all. The seed (also FAULT_SEED) is printed; `--short` takes small samples.
Exit code 0 if nothing was lost, 1 if something was, which is told with the point where it happened.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import scene
from collection import try_it
from crowd import Engine, commit, kill_with_containers, kill_writers, run_at_once
from cut import WRITERS, PowerCuts, Writer, failing_disk, tell_runs, without_sync
from flip import flips
from full import BYTES, INODES, starve
from ground import Figures, Stage, chosen, ground, side_by_side, timed, warm
from injection import MAKES, READS, SYNCS, WRITES, Fault, is_possible
from volume import Impossible, need_images, private_mounts

from runner.store.layout import Layout
from runner.store.removal import Removals


class Asked:
    """What the command line asks for: how much, by which chance."""

    def __init__(self, *, short: bool, seed: int) -> None:
        self.short = short
        self.seed = seed

    def sample(self, few: int, variable: str, many: int | None = None) -> int | None:
        """So many points: `few` in the short form, else what the variable says, else `many`, None for all."""
        if self.short:
            return few
        return int(os.environ[variable]) if variable in os.environ else many


def strike_scene(asked: Asked, stage: Stage, suite: str, variants: list[Fault], sample: int | None) -> Figures:
    """Strike a scene at a sample of its points with each variant of a fault (whose `at` does not count)."""
    with timed(Figures(f"{suite}: {stage.scene.name}")) as figures:
        faults = []
        for variant in variants:
            points = stage.count(variant)
            figures.points += points
            faults += [
                replace(variant, at=at) for at in chosen(points, sample and max(1, sample // len(variants)), asked.seed)
            ]
        figures.tried = len(faults)
        figures.struck, figures.losses = side_by_side(stage.strike, faults)
    return figures


def kill(asked: Asked) -> Iterator[Figures]:
    """SIGKILL at every change of the disk."""
    with ground() as here:
        for one in scene.RUNS:
            stage = Stage(one, here)
            yield strike_scene(asked, stage, "kill", [Fault(0)], asked.sample(14, "FAULT_KILLS"))


def upkeep(asked: Asked) -> Iterator[Figures]:
    """SIGKILL at every change that looking after a store makes, and while a kill is recovered from."""
    with ground() as here:
        for one in scene.UPKEEP:
            stage = Stage(one, here)
            yield strike_scene(asked, stage, "kill", [Fault(0)], asked.sample(3, "FAULT_KILLS"))


def error(asked: Asked) -> Iterator[Figures]:
    """Calls that fail: each once, and each with all later ones."""
    kinds = {
        "EIO at a sync": [Fault(0, "EIO", SYNCS), Fault(0, "EIO", SYNCS, lasting=True)],
        "EIO at a write": [Fault(0, "EIO", WRITES)],
        "no space": [
            Fault(0, kind, WRITES | MAKES, lasting) for kind in ("ENOSPC", "EDQUOT") for lasting in (False, True)
        ],
        "half a write": [Fault(0, "SHORT", frozenset({"write", "pwrite64"}))],
        "EINTR": [Fault(0, "EINTR", frozenset({"write", "pwrite64"}))],
        "no descriptor, no memory": [Fault(0, kind, frozenset({"openat"})) for kind in ("EMFILE", "ENFILE", "ENOMEM")],
    }
    with ground() as here:
        for one in scene.RUNS[0], scene.RUNS[2]:
            stage = Stage(one, here)
            for name, variants in kinds.items():
                yield strike_scene(asked, stage, name, variants, asked.sample(4, "FAULT_ERRORS", 100))


def read(asked: Asked) -> Iterator[Figures]:
    """Files that cannot be read."""
    places = {
        "an object": "/store/objects/",
        "a journal": "/store/runs/",
        "the index": "/store/index",
        "a name": "/store/refs/",
        "the project": "/project/",
    }
    with ground() as here:
        for one in scene.READS[:1] if asked.short else scene.READS:
            stage = Stage(one, here)
            for name, place in places.items():
                variants = [Fault(0, "EIO", READS, lasting, place) for lasting in (False, True)]
                figures = strike_scene(
                    asked, stage, f"EIO at a read of {name}", variants, asked.sample(4, "FAULT_READS", 100)
                )
                if figures.points:
                    yield figures


def cut(asked: Asked) -> Iterator[Figures]:
    """Power cuts, and the proof that they would show what is not durable."""
    need_images()
    private_mounts()
    with ground() as here:
        for kind in ("ext4",) if asked.short else ("ext4", "xfs"):
            with PowerCuts(here, kind, asked.seed) as cuts:
                for writer in WRITERS:
                    count = asked.sample(20, "FAULT_CUTS", 200)
                    assert count is not None
                    with timed(Figures(f"power cuts: {writer.name}, {kind}")) as figures:
                        figures.tried = figures.struck = share = -(-count // len(WRITERS))
                        figures.losses = cuts.many(writer, share)
                    yield figures
                for name, files in (("any", True), ("folders", False)):
                    with timed(Figures(f"power cuts: no sync of {name}, {kind}")) as figures:
                        careless = Writer(figures.suite, without_sync(tell_runs, files=files), 2)
                        figures.tried = figures.struck = 4 if asked.short else 20
                        lost = len(cuts.many(careless, figures.tried))
                        figures.note = f"control: {lost} of {figures.tried} cuts must lose"
                        if files and not lost:
                            figures.losses = ["a control without any sync lost nothing: the cuts prove nothing"]
                    yield figures


def failing(asked: Asked) -> Iterator[Figures]:
    """Disks that turn read-only under runs."""
    need_images()
    private_mounts()
    count = asked.sample(3, "FAULT_FAILING", 30)
    assert count is not None
    with ground() as here, timed(Figures("a disk that turns read-only")) as figures:
        for number in range(count):
            figures.tried += 1
            wrong = failing_disk(here, number, random.Random(asked.seed + number))
            figures.struck += "nobody noticed" not in wrong
            figures.losses += [wrong] if wrong else []
    yield figures


def full(asked: Asked) -> Iterator[Figures]:
    """Disks without room for bytes or files."""
    private_mounts()
    with ground() as here:
        for one in scene.FULL:
            if asked.short and one.name not in scene.FULL_SHORT:
                continue
            stage = Stage(one, here)
            for shortage in (BYTES, INODES):
                count = asked.sample(3, "FAULT_FULL", 20)
                assert count is not None
                with timed(Figures(f"{shortage.name}: {one.name}")) as figures:
                    figures.tried, figures.struck, figures.losses = starve(stage, shortage, count, asked.seed)
                yield figures


def flip(asked: Asked) -> Iterator[Figures]:
    """A flipped bit in every file."""
    with ground() as here:
        stage = Stage(scene.RUNS[3], here)
        count = asked.sample(24, "FAULT_FLIPS", 1000)
        assert count is not None
        with timed(Figures("flipped bits")) as figures:
            for wrong in flips(here, stage.prepared, count, asked.seed):
                figures.tried += 1
                figures.struck += not wrong
                figures.losses += [wrong] if wrong else []
        yield figures


def crowd(asked: Asked) -> Iterator[Figures]:
    """Many processes on one store."""
    with ground() as here:
        runs = asked.sample(16, "FAULT_RUNS", 64)
        each = asked.sample(5, "FAULT_COMMITS", 200)
        assert runs is not None
        assert each is not None
        for name, count, body in (
            (f"{runs} runs at once", runs, lambda place: run_at_once(here, place, runs)),
            (f"16 processes, {each} runs each", 16 * each, lambda place: commit(here, place, 16, each)),
        ):
            place = here.folder / name
            place.mkdir()
            with timed(Figures(name)) as figures:
                figures.tried = figures.struck = count
                figures.losses = body(place)
            yield figures


def collect(asked: Asked) -> Iterator[Figures]:
    """Removals, half of them killed, beside 16 writers that keep asking for what is being removed."""
    seconds = asked.sample(3, "FAULT_SECONDS", 60)
    assert seconds is not None
    with ground() as here, timed(Figures("gc beside 16 writers")) as figures:
        deadline = time.monotonic() + seconds
        root = here.folder / "store"
        try:
            runs, figures.losses = try_it(root, 16, asked.seed, lambda: time.monotonic() < deadline, least=2)
        except AssertionError as error:
            runs, figures.losses = 0, [str(error)]
        figures.tried = figures.struck = len(Removals(Layout(root)).read().batches)
        figures.note = f"{runs} runs"
    yield figures


def random_kill(asked: Asked) -> Iterator[Figures]:
    """SIGKILL of several writers at random moments."""
    rounds = asked.sample(15, "FAULT_ROUNDS", 200)
    assert rounds is not None
    with ground() as here, timed(Figures("kill: two writers, at random")) as figures:
        for begin in range(0, rounds, 25):
            place = here.folder / f"writers-{begin}"
            place.mkdir()
            for wrong in kill_writers(place, min(25, rounds - begin), asked.seed + begin):
                figures.tried += 1
                figures.struck += 1
                figures.losses += [wrong] if wrong else []
    yield figures


def container(asked: Asked) -> Iterator[Figures]:
    """SIGKILL at random moments with real containers."""
    if reason := Engine().why_not():
        raise Impossible(reason)
    count = asked.sample(5, "FAULT_CONTAINERS", 200)
    assert count is not None
    with ground() as here, timed(Figures("kill: containers, at random")) as figures:
        place = here.folder / "containers"
        place.mkdir()
        for wrong in kill_with_containers(here, place, count, asked.seed):
            figures.tried += 1
            figures.struck += 1
            figures.losses += [wrong] if wrong else []
    yield figures


SUITES: dict[str, Callable[[Asked], Iterator[Figures]]] = {
    "kill": kill,
    "upkeep": upkeep,
    "error": error,
    "read": read,
    "flip": flip,
    "crowd": crowd,
    "collect": collect,
    "random": random_kill,
    "container": container,
    "cut": cut,
    "failing": failing,
    "full": full,
}


def show(figures: Figures) -> None:
    """A line of the table, and what was lost."""
    line = f"{figures.suite:<44} {figures.points or '-':>7} {figures.tried:>7} {figures.struck:>7}"
    print(f"{line} {len(figures.losses):>7} {figures.seconds:>8.1f}  {figures.note}".rstrip(), flush=True)
    for loss in figures.losses[:5]:
        print("    " + loss.replace("\n", "\n    "), flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FAULT_SEED") or random.randrange(1 << 32)))
    parser.add_argument("suites", nargs="*", metavar="SUITE", choices=[*SUITES, []])
    given = parser.parse_args(arguments)
    if reason := is_possible():
        print(f"cannot be run here: {reason}", file=sys.stderr)
        return 10
    warm()
    print(f"seed {given.seed}")
    print(f"{'suite':<44} {'points':>7} {'tried':>7} {'struck':>7} {'losses':>7} {'seconds':>8}", flush=True)
    lost, began = 0, time.monotonic()
    for name in given.suites or SUITES:
        try:
            for figures in SUITES[name](Asked(short=given.short, seed=given.seed)):
                show(figures)
                lost += len(figures.losses)
        except Impossible as reason:
            print(f"{name}: skipped: {reason}", flush=True)
    print(f"{lost} losses in {time.monotonic() - began:.0f} s")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
