"""Policies and the steps that they are for."""

from runner.errors import Problem
from runner.spec.check.sheet import MAX_COMPARISONS
from runner.spec.lint import lint
from runner.spec.project import parse_project

STEP = "- step: {name: train, image: 'i:1', command: c}\n"


def problems(text: str) -> list[Problem]:
    return lint(parse_project(text.encode(), "f.yaml"))


def test_a_policy_for_a_step_that_does_not_exist_is_a_warning() -> None:
    [problem] = problems(f"{STEP}- policy: {{step: trian}}\n")
    assert (problem.code, problem.severity, str(problem.location)) == ("dangling-policy", "warning", "f.yaml:2:18")
    assert problem.hint == "did you mean `train`?"


def test_a_policy_may_stand_before_its_step() -> None:
    assert problems(f"- policy: {{step: train}}\n{STEP}") == []


def test_a_broken_step_is_there_for_its_policy() -> None:
    assert [problem.code for problem in problems("- policy: {step: bad}\n- step: {name: bad, image: 'i:1'}\n")] == [
        "missing-key"
    ]


def test_close_names_are_looked_for_so_long_as_the_file_is_small() -> None:
    steps = "".join(f"- step: {{name: s{number}, image: 'i:1', command: c}}\n" for number in range(300))
    policies = "".join(f"- policy: {{step: t{number}}}\n" for number in range(300))
    hints = [problem.hint for problem in problems(steps + policies)]
    assert len(hints) == 300
    assert sum(hint is not None for hint in hints) == MAX_COMPARISONS // 300
