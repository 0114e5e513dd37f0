"""`python -m benchmarks`: runs benchmarks one after the other and prints what they found."""

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import runner
from benchmarks import (
    chaining,
    collecting,
    container,
    keeping,
    linting,
    logging,
    parallel,
    pipeline,
    planning,
    reading,
    repository,
    reusing,
    sandbox,
    scheduling,
    staging,
    startup,
    storing,
    sweeping,
    unchanged,
    versions,
    witnessing,
)
from benchmarks.chain import StepFailed
from benchmarks.machine import describe
from benchmarks.report import LeftOut
from benchmarks.setting import Setting, surroundings
from runner.errors import MlrunError

BENCHMARKS: Mapping[str, ModuleType] = {
    "startup": startup,
    "reading": reading,
    "linting": linting,
    "sandbox": sandbox,
    "docker": container,
    "repository": repository,
    "pipeline": pipeline,
    "parallel": parallel,
    "chaining": chaining,
    "planning": planning,
    "scheduling": scheduling,
    "sweeping": sweeping,
    "reusing": reusing,
    "storing": storing,
    "staging": staging,
    "witnessing": witnessing,
    "collecting": collecting,
    "logging": logging,
    "tending": keeping,
    "versions": versions,
    "unchanged": unchanged,
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    "inside": ("staging", "witnessing", "collecting", "logging"),
    "keeping": ("tending", "versions", "unchanged", "reading"),
}
"""Names for several at once: `inside` is what lies between a step's program and the store, `keeping` what is done with
data that is kept."""


def main() -> None:
    """Run what the command line names, or everything."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="mlrun-benchmark-", dir=arguments.folder) as scratch:
        top = Path(scratch)
        os.environ |= surroundings(top)
        # As where it was installed: otherwise a source that has just changed may be compiled at every start.
        compileall.compile_dir(runner.__path__[0], quiet=1)
        print("\n".join(describe(top)))
        names = [one for name in arguments.names for one in GROUPS.get(name, (name,))]
        for name in dict.fromkeys(names or BENCHMARKS):
            folder = top / name
            folder.mkdir()
            os.environ["MLRUN_STORE"] = str(folder / "store")
            setting = Setting(folder, arguments.cache, arguments.peers, arguments.quick, arguments.rounds)
            _print(name, BENCHMARKS[name], setting)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=sys.modules["benchmarks"].__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*BENCHMARKS, *GROUPS)))
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds, to see that it works")
    parser.add_argument("--peers", action="store_true", help="install peers into the cache and measure them too")
    parser.add_argument("--rounds", type=int, metavar="N", help="measure N rounds of everything")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="work below DIR: the disk that is measured")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = caches / "mlrun-benchmarks"
    parser.add_argument("--cache", type=Path, metavar="DIR", default=cache, help="where peers are installed")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    for name in arguments.names:
        if name not in BENCHMARKS and name not in GROUPS:
            parser.error(f"there is no benchmark `{name}`: there are {', '.join((*BENCHMARKS, *GROUPS))}")
    return arguments


def _print(name: str, module: ModuleType, setting: Setting) -> None:
    print(f"\n{name}: {module.measure.__doc__.splitlines()[0]}", flush=True)
    try:
        print(module.measure(setting).text(), flush=True)
    except LeftOut as reason:
        print(f"  left out: {reason}", flush=True)
    except (StepFailed, MlrunError) as error:
        print(f"  failed: {error}", flush=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip()
        print(f"  failed: {error}\n{said}", flush=True)


if __name__ == "__main__":
    main()
