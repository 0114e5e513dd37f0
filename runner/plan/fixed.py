"""The variables that every step has unless somebody sets them, so that its results stay the same. Pure.

Random numbers, the order of Python's sets, times and their zone, the order of texts, and how sums are shared out among
threads change results from run to run without anybody having changed anything. What programs of the field agree on to
hold them still is set here. The values are the same for every step, in every project and at every commit, but for the
number of threads, which follows what the step may use: so none of them makes work different that is the same.
"""

from collections.abc import Collection, Mapping

from runner.job import Allowance

SEED = "MLRUN_SEED"
THREADS = "OMP_NUM_THREADS"
LOCALE = "LC_ALL"

_CONSTANT: Mapping[str, str] = {
    # Not 0, which a program may take for none at all.
    SEED: "1",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    LOCALE: "C.UTF-8",
    # The modification time of all files of the code (`runner.worker.stage`), and not the time of the commit: a program
    # may write it into its outputs, so every commit would make other work of what is the same.
    "SOURCE_DATE_EPOCH": "1000000000",
    # One of the two with which cuBLAS promises the same results in every run (NVIDIA's "Results reproducibility").
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


def fixed_variables(taken: Collection[str], allowance: Allowance, processors: int) -> dict[str, str]:
    """The variables by name, without those in `taken`, which the step, its image or a secret sets.

    `LC_ALL` wins over all other variables of the locale, so it is left out where any of them is set. OpenBLAS, MKL,
    BLIS and NumExpr follow `OMP_NUM_THREADS`, and a program that sets that by itself means them all: so there are none
    of their own here. `processors` is how many the machine gives to whoever has no bound.
    """
    values = {**_CONSTANT, THREADS: str(_threads(allowance, processors))}
    if any(name.startswith("LC_") or name in ("LANG", "LANGUAGE") for name in taken):
        del values[LOCALE]
    return {name: value for name, value in values.items() if name not in taken}


def _threads(allowance: Allowance, processors: int) -> int:
    """As many as the step gets processors, at least one; of a share of one, one."""
    bound = len(allowance.cpu_set) or allowance.cpus
    return max(1, min(processors, int(bound))) if bound else max(1, processors)
