"""Feeds mutants of the example files to everything that reads one; each in a process of its own, with limits.

usage: run.py [--count N] [--seed N] [--only NUMBER] [--use FILE] [--shrinkings N] [FOLDER…]

Without folders the examples of this checkout are taken, and those of `valohai-yaml` if they are or can be fetched. The
seed (also FUZZ_SEED) is printed; with it and the number of a mutant the mutant is made again. A mutant fails when the
process that reads it raises, is ended by a signal or reaches a limit; then it is made smaller, as long as it fails in
the same way, and written to a file. `--use` names another file with a function `use(data: bytes)`.
"""

import argparse
import gc
import importlib.util
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutation import mutant

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
OFFICIAL = HERE.parent / "machine" / "official.py"
SECONDS = 10
MEGABYTES = 200
SHRINKINGS = 400
"""Attempts at making a failing mutant smaller, unless the command line says another number."""

Use = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """How a process failed: `kind` is what must stay the same while its file is made smaller."""

    kind: str
    text: str


def main() -> int:
    """0 when no mutant fails, 1 when one does."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"MLRUN_DEBUG": "1", "MLRUN_STORE": home, "XDG_CACHE_HOME": home}
        return fuzz(arguments)


def fuzz(arguments: argparse.Namespace) -> int:
    """Make and read every mutant; 1 when one failed."""
    originals = read_originals(arguments.folders or default_folders())
    use = load_use(arguments.use)
    for data in originals.values():
        use(data)
    gc.freeze()
    numbers = range(arguments.count) if arguments.only is None else [arguments.only]
    print(f"seed {arguments.seed}: {len(numbers)} mutants of {len(originals)} files", flush=True)
    start = time.monotonic()
    failures = 0
    for number in numbers:
        made = mutant(arguments.seed, number, originals)
        if failure := attempt(use, made.data):
            failures += 1
            print(f"mutant {number} of seed {arguments.seed}, from {made.original}: {failure.kind}\n{failure.text}")
            small = shrink(use, made.data, failure.kind, arguments.shrinkings)
            path = write(small, f"mutant-{arguments.seed}-{number}-")
            print(f"{len(small)} of its {len(made.data)} bytes still do it: {path}", flush=True)
    print(f"{failures} failed, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED") or random.randrange(10**9)))
    parser.add_argument("--only", type=int)
    parser.add_argument("--shrinkings", type=int, default=SHRINKINGS)
    parser.add_argument("--use", type=Path, default=HERE / "use.py")
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    return parser.parse_args()


def default_folders() -> list[Path]:
    """The examples of this checkout and, where they can be had, the official ones."""
    done = subprocess.run([sys.executable, str(OFFICIAL)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        return [EXAMPLES]
    return [EXAMPLES, Path(done.stdout.strip())]


def read_originals(folders: Sequence[Path]) -> Mapping[str, bytes]:
    """Every YAML file below the folders, by a name that is the same on every machine."""
    return {
        f"{number}/{path.relative_to(folder)}": path.read_bytes()
        for number, folder in enumerate(folders)
        for path in sorted(folder.rglob("*.yaml"))
    }


def load_use(path: Path) -> Use:
    """The function `use` of a file."""
    spec = importlib.util.spec_from_file_location("use", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    use: Use = module.use
    return use


def attempt(use: Use, data: bytes) -> Failure | None:
    """Read a file in a child process with limits."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        _child(use, data, sender)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        limits = {"SIGXCPU": f"more than {SECONDS} s of work", "SIGALRM": f"more than {2 * SECONDS} s of waiting"}
        return Failure(limits.get(name, name), said)
    return Failure(said.splitlines()[0], said) if said else None


def _child(use: Use, data: bytes, sender: int) -> None:
    """Never returns. What failed goes to the pipe, its kind on the first line."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (MEGABYTES << 20, MEGABYTES << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        signal.alarm(2 * SECONDS)
        use(data)
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.name}"
        os.write(sender, f"{kind}\n{''.join(traceback.format_exception(error, limit=-8))}".encode("utf-8", "replace"))
    finally:
        os._exit(0)


def shrink(use: Use, data: bytes, kind: str, attempts: int) -> bytes:
    """A smaller file that fails in the same way: lines are left out, then bytes."""
    left = attempts
    for cut in (lambda data: data.splitlines(keepends=True), lambda data: [bytes([byte]) for byte in data]):
        kept = cut(data)
        size = len(kept) // 2
        while size and left > 0:
            at, before = 0, len(kept)
            while at < len(kept) and left > 0:
                left -= 1
                shorter = kept[:at] + kept[at + size :]
                failure = attempt(use, b"".join(shorter))
                if failure and failure.kind == kind:
                    kept = shorter
                else:
                    at += size
            size = size // 2 if size > 1 else int(len(kept) < before)
        data = b"".join(kept)
    return data


def write(data: bytes, prefix: str) -> Path:
    """Write a file of a new name into the current folder."""
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".yaml", dir=Path.cwd())
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return Path(name)


if __name__ == "__main__":
    sys.exit(main())
