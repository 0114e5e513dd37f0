"""The GitHub Action: what its steps say, and what reviewers see."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Job = Hub = Any
Propose = Callable[..., Any]

ROOT = Path(__file__).parents[3]
GOOD = Path(__file__).with_name("good.yaml").read_text()
CHANGED = GOOD.replace("default: 5", "default: 50")
WARNED = GOOD.replace("evaluate.input.model", "evaluate.input.mode")
BROKEN = GOOD.replace("step: evaluate}", "step: evalute}")


# --- what action.yml says


def test_no_script_of_the_action_has_an_expression_in_it() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_python_is_started_isolated_and_outside_the_checkout(changed: Job) -> None:
    changed.run()
    lines = (changed.folder / "python.log").read_text().splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{changed.folder / 'temp'}: -I ") for line in lines)
    assert lines[2].endswith(f"--disable-pip-version-check {ROOT}")


def test_a_second_use_in_a_job_installs_nothing_again(changed: Job) -> None:
    changed.run()
    changed.run()
    assert (changed.folder / "python.log").read_text().count("-m venv") == 1


def test_a_partial_clone_gets_what_the_comparison_reads(propose: Propose) -> None:
    def allow(folder: Path) -> None:
        with (folder / ".git" / "config").open("a") as file:
            file.write("[uploadpack]\nallowFilter = true\n")

    job = propose({"valohai.yaml": GOOD}, {"valohai.yaml": CHANGED}, prepare=allow, depth="--filter=blob:none")
    done = job.run()
    assert "not compared" not in done.log
    assert done.outputs["changed"] == "true"


def test_a_release_can_be_asked_for(changed: Job) -> None:
    changed.run(version="1.2.3")
    assert "mlrun-yaml==1.2.3" in (changed.folder / "python.log").read_text()


@pytest.mark.parametrize("version", ["--index-url=http://x", "1 --pre", "git+https://x", "1.0;x", "$(touch x)"])
def test_a_version_that_is_none_installs_nothing(changed: Job, version: str) -> None:
    done = changed.run(version=version)
    assert done.code == 1
    assert done.log == "::error title=mlrun::the input `version` is no version of mlrun\n"


def test_the_action_installs_itself_with_an_ordinary_python(changed: Job) -> None:
    passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
    changed.variables |= passed | {"INPUT_PYTHON": sys.executable, "HOME": os.environ.get("HOME", "/")}
    done = changed.run(comment="false")
    if "Could not find a version" in done.log or "No matching distribution" in done.log:
        pytest.skip("no package index is in reach to install from")
    assert done.code == 0, done.log
    assert (changed.folder / "temp" / "mlrun-action" / "bin" / "mlrun").is_file()
    assert "epochs" in done.summary


def test_the_page_names_every_input_and_output_and_its_workflows_use_no_others() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    page = (ROOT / "docs" / "pull-requests.md").read_text()
    for name in (*action["inputs"], *action["outputs"]):
        assert re.search(rf"^\|.*`{name}`.*\|", page, flags=re.MULTILINE), name
    workflows = [yaml.safe_load(text) for text in re.findall(r"```yml\n(.*?)```", page, flags=re.DOTALL)]
    uses = [step for flow in workflows for job in flow.get("jobs", {}).values() for step in job["steps"]]
    ours = [step for step in uses if "/mlrun@" in step["uses"]]
    assert len(ours) == 3
    for step in ours:
        assert step.get("with", {}).keys() <= action["inputs"].keys()


# --- what reviewers see


def test_a_change_is_told_in_one_comment(changed: Job, hub: Hub) -> None:
    done = changed.run()
    assert done.code == 0, done.log
    (comment,) = hub.comments
    assert comment["body"].startswith("<!-- mlrun-action ")
    for word in ("epochs", "5", "50", "train", "mermaid", "0 errors, 0 warnings"):
        assert word in comment["body"]
    assert done.outputs == {"errors": "0", "warnings": "0", "changed": "true", "comment-url": comment["html_url"]}
    assert "epochs" in done.summary
    assert "README" not in comment["body"], "what main did meanwhile is no change of the pull request"
    assert hub.asked[-1].headers["Authorization"].startswith("Bearer ghs_")


def test_the_next_push_updates_the_comment_on_whatever_page_it_is(changed: Job, hub: Hub) -> None:
    changed.run()
    said = hub.comments.pop()["body"]
    for number in range(70):
        hub.add(f"discussion {number}", "somebody")
    ours = hub.add(said.partition("\n")[0] + "\nwhat it said before")
    hub.asked.clear()
    changed.run()
    assert hub.changes() == ["PATCH"]
    assert "epochs" in ours["body"]
    assert len(hub.comments) == 71


def test_a_comment_of_somebody_else_with_our_marker_stays_theirs(changed: Job, hub: Hub) -> None:
    changed.run()
    theirs = hub.comments.pop()
    theirs |= {"user": {"login": "mallory"}, "body": theirs["body"] + "and my words"}
    hub.comments.append(theirs)
    hub.asked.clear()
    changed.run()
    assert hub.changes() == ["POST"]
    assert theirs["body"].endswith("and my words")


def test_nothing_to_say_makes_no_comment(propose: Propose, hub: Hub) -> None:
    done = propose({"valohai.yaml": GOOD}, {}).run()
    assert (done.code, done.outputs["changed"], hub.changes()) == (0, "false", [])


def test_a_comment_that_has_become_void_says_so(changed: Job, hub: Hub) -> None:
    changed.run()
    head = changed.repository.git("rev-parse", "HEAD", folder=changed.checkout)
    changed.run(base=head)
    assert hub.changes() == ["POST", "PATCH"]
    (comment,) = hub.comments
    assert "no longer changes" in comment["body"]
    assert "epochs" not in comment["body"]


def test_problems_annotate_the_file(propose: Propose) -> None:
    done = propose({"valohai.yaml": GOOD}, {"valohai.yaml": BROKEN}).run()
    assert done.code == 1
    assert re.search(r"^::error file=valohai\.yaml,line=17,.*evalute", done.log, flags=re.MULTILINE), done.log
    assert int(done.outputs["errors"]) == 1


def test_a_comment_is_posted_even_if_the_file_has_errors(propose: Propose, hub: Hub) -> None:
    done = propose({"valohai.yaml": GOOD}, {"valohai.yaml": BROKEN}).run()
    assert done.code == 1
    assert "1 error," in hub.comments[0]["body"]


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [(BROKEN, "error", 1), (BROKEN, "never", 0), (WARNED, "error", 0), (WARNED, "warning", 1), (GOOD, "warning", 0)],
)
def test_the_workflow_decides_what_fails_the_job(propose: Propose, text: str, fail_on: str, code: int) -> None:
    assert propose({"valohai.yaml": GOOD}, {"valohai.yaml": text}).run(fail_on=fail_on).code == code


def test_a_strict_check_calls_old_forms_errors(propose: Propose) -> None:
    flat = "- step:\n  name: train\n  image: python:3.11\n  command: python train.py\n"
    job = propose({"valohai.yaml": GOOD}, {"valohai.yaml": flat})
    assert job.run(comment="false").code == 0
    assert job.run(comment="false", strict="true").code == 1


def test_several_files_share_a_comment(propose: Propose, hub: Hub) -> None:
    job = propose({"a/valohai.yaml": GOOD, "b.yaml": GOOD}, {"a/valohai.yaml": CHANGED, "b.yaml": BROKEN})
    done = job.run(yaml="a/valohai.yaml\nb.yaml\n")
    assert "::error file=b.yaml," in done.log
    (comment,) = hub.comments
    assert "a/valohai.yaml" in comment["body"]
    assert "b.yaml" in comment["body"]


def test_a_file_that_is_not_there_is_an_error_at_its_name(propose: Propose) -> None:
    done = propose({"other.yaml": GOOD}, {}).run(comment="false")
    assert done.code == 1
    assert "::error title=mlrun,file=valohai.yaml::valohai.yaml: the file does not exist" in done.log


def test_a_push_is_checked_and_compared_with_nothing(changed: Job, hub: Hub) -> None:
    changed.name, changed.event = "push", {}
    done = changed.run()
    assert (done.code, done.outputs["changed"], hub.asked) == (0, "", [])


def test_a_base_by_name_replaces_the_events(changed: Job, hub: Hub) -> None:
    changed.name, changed.event = "push", {}
    done = changed.run(base="main")
    assert (done.code, done.outputs["changed"], hub.asked) == (0, "true", [])
    assert "epochs" in done.summary
