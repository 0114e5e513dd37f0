"""The page of every problem tells the truth: its wrong example has the problem, its right one has none."""

import re
from pathlib import Path

import pytest

from runner.errors import Problem
from runner.spec.check.code import CODES
from runner.spec.lint import lint
from runner.spec.mend import MENDS
from runner.spec.project import parse_project

PAGES = Path(__file__).parents[2] / "docs" / "problems"
BLOCK = re.compile(r"^```yaml (bad|good)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text("utf-8")


def data(text: str, info: str) -> bytes:
    """The bytes of an example: `encoding=` names what they are written in, `nest=` how many lists `[…]` stands for."""
    wishes = dict(word.split("=") for word in info.split())
    depth = int(wishes.get("nest", 0))
    return text.replace("[…]", "[" * depth + "]" * depth).encode(wishes.get("encoding", "utf-8"))


def problems(code: str, kind: str) -> list[list[Problem]]:
    found = [data(text, info) for word, info, text in BLOCK.findall(page(code)) if word == kind]
    assert found, f"{code}.md has no {kind} example"
    return [lint(parse_project(example, "f.yaml")) for example in found]


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {*CODES, "README"}


@pytest.mark.parametrize("code", CODES)
def test_the_wrong_example_has_the_problem(code: str) -> None:
    for found in problems(code, "bad"):
        assert code in {problem.code for problem in found}


@pytest.mark.parametrize("code", CODES)
def test_the_right_example_has_no_problem(code: str) -> None:
    for found in problems(code, "good"):
        assert [str(problem) for problem in found] == []


@pytest.mark.parametrize("code", CODES)
def test_a_page_is_named_after_its_code_and_says_whether_it_is_mended(code: str) -> None:
    assert page(code).startswith(f"# `{code}`: ")
    assert ("`mlrun lint --fix` does it" in page(code)) == (code in MENDS)


@pytest.mark.parametrize("code", CODES)
def test_the_links_of_a_page_lead_to_a_file(code: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page(code)):
        assert (PAGES / link).exists()


def test_the_index_links_every_page() -> None:
    assert re.findall(r"\]\((.+?)\.md\)", page("README")) == list(CODES)
