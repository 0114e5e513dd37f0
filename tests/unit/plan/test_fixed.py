"""The variables that hold results still: what they are, and who wins over them."""

import pytest

from runner.job import Allowance
from runner.plan.fixed import fixed_variables


def test_the_values_are_the_same_for_every_step_but_for_the_number_of_threads() -> None:
    assert fixed_variables((), Allowance(), 8) == {
        "MLRUN_SEED": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": "1000000000",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "OMP_NUM_THREADS": "8",
    }


@pytest.mark.parametrize(
    ("allowance", "threads"),
    [
        (Allowance(cpus=2), "2"),
        (Allowance(cpus=2.9), "2"),
        (Allowance(cpus=0.5), "1"),
        (Allowance(cpus=64), "8"),
        (Allowance(cpu_set=(0, 2, 5)), "3"),
    ],
)
def test_there_are_as_many_threads_as_the_step_gets_whole_processors(allowance: Allowance, threads: str) -> None:
    assert fixed_variables((), allowance, 8)["OMP_NUM_THREADS"] == threads


def test_what_somebody_sets_is_left_alone() -> None:
    left = fixed_variables({"TZ", "MLRUN_SEED", "OMP_NUM_THREADS"}, Allowance(), 8)

    assert left.keys() == {"PYTHONHASHSEED", "LC_ALL", "SOURCE_DATE_EPOCH", "CUBLAS_WORKSPACE_CONFIG"}


@pytest.mark.parametrize("name", ["LANG", "LC_NUMERIC", "LC_ALL", "LANGUAGE"])
def test_whoever_sets_any_part_of_the_locale_has_all_of_it(name: str) -> None:
    assert "LC_ALL" not in fixed_variables({name}, Allowance(), 8)
