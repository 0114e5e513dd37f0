"""The GitHub Action and pull requests that want more than to be read: a fork's file is data."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Job = Hub = Any
Propose = Callable[..., Any]

GOOD = Path(__file__).with_name("good.yaml").read_text()
CHANGED = GOOD.replace("default: 5", "default: 50")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that exists as soon as something of the pull request was executed."""
    return tmp_path / "pwned"


def test_no_file_of_the_pull_request_is_executed(propose: Propose, trap: Path) -> None:
    program = f"import pathlib\npathlib.Path({str(trap)!r}).touch()\n"
    modules = ("venv", "pip", "json", "runner", "yaml", "typer", "sitecustomize", "usercustomize", "pullrequest")
    after = {"valohai.yaml": CHANGED} | {f"{name}.py": program for name in modules}
    after |= {"runner/__init__.py": program, "setup.py": program, "conftest.py": program}
    after |= {"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'setup'\nbackend-path = ['.']\n"}
    after |= {".gitattributes": "*.yaml filter=evil diff=evil textconv=evil\n"}
    programs = ("git", "python", "python3", "mlrun", "bash", ".envrc")
    after |= dict.fromkeys(programs, f"#!/bin/sh\ntouch {trap}\n")

    def executable(folder: Path) -> None:
        for name in programs:
            (folder / name).chmod(0o755)

    job = propose({"valohai.yaml": GOOD}, after, prepare=executable)
    done = job.run()
    assert done.code == 0, done.log
    assert not trap.exists()
    assert done.outputs["changed"] == "true"


def test_no_program_that_the_repository_configures_is_executed(propose: Propose, trap: Path) -> None:
    after = {"valohai.yaml": CHANGED, ".gitattributes": "* filter=evil diff=evil merge=evil\n"}
    job = propose({"valohai.yaml": GOOD}, after)
    touch = f"touch {trap}; cat"
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "diff.external",
        "diff.evil.textconv",
        "diff.evil.command",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "gpg.program",
        "remote.origin.uploadpack",
        "uploadpack.packObjectsHook",
    ):
        job.repository.git("config", name, touch, folder=job.checkout)
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        hook = job.checkout / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
        hook.chmod(0o755)
    done = job.run()
    assert done.code == 0, done.log
    assert done.outputs["changed"] == "true"
    assert not trap.exists()


EVIL_NAMES = (
    "::set-output name=errors::7",
    "a\n::error::spoofed\n##[add-mask]x",
    "\x1b[31mred\x1b]0;title\x07",
    "<img src=x onerror=alert(1)></details><!--",
    "@everyone [click](https://evil.example) #1 ![x](https://evil.example/x.png)",
    "``` \n</details>\n# heading",
    "\u202eevil\u2066",
)


def test_names_in_the_file_are_shown_and_do_nothing(propose: Propose, hub: Hub) -> None:
    steps = [{"step": {"name": name, "image": f"python {name}", "command": "true"}} for name in EVIL_NAMES]
    nodes = [{"name": f"n{number}", "type": "execution", "step": name + "?"} for number, name in enumerate(EVIL_NAMES)]
    text = json.dumps([*steps, {"pipeline": {"name": EVIL_NAMES[3], "nodes": nodes, "edges": []}}])
    done = propose({"valohai.yaml": GOOD}, {"valohai.yaml": text}).run()
    assert done.code == 1
    assert all(line.startswith(("::error file=", "::warning file=")) for line in done.commands()), done.log
    assert "\x1b" not in done.log
    assert int(done.outputs["errors"]) >= len(EVIL_NAMES)
    (comment,) = hub.comments
    for body in (comment["body"], done.summary):
        bare = re.sub(r"(?s)(`{3,})mermaid\n.*?\n\1", "", body)
        bare = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)|<code>[^<]*</code>", "", bare)
        assert bare.count("<details") == bare.count("</details>")
        for word in ("@everyone", "<img", "](", "\x1b", "\u202e", "# heading", "evil.example"):
            assert word not in bare


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "../../../etc/passwd", "pipe"])
def test_a_file_that_is_a_link_is_not_followed(propose: Propose, hub: Hub, target: str) -> None:
    def link(folder: Path) -> None:
        (folder / "valohai.yaml").unlink()
        (folder / "valohai.yaml").symlink_to(target)

    job = propose({"valohai.yaml": GOOD}, {}, prepare=link)
    os.mkfifo(job.checkout / "pipe")
    done = job.run()
    assert done.code == 1
    assert "::error title=mlrun,file=valohai.yaml::valohai.yaml: this is a symbolic link" in done.log
    for text in (done.log, done.summary, *[comment["body"] for comment in hub.comments]):
        assert "root:" not in text


def test_a_pipe_in_the_place_of_the_file_is_not_read(changed: Job) -> None:
    (changed.checkout / "valohai.yaml").unlink()
    os.mkfifo(changed.checkout / "valohai.yaml")
    assert changed.run().code == 0


def test_a_huge_file_is_refused_before_it_is_read(propose: Propose, hub: Hub) -> None:
    done = propose({"valohai.yaml": GOOD}, {"valohai.yaml": GOOD + "# " + "x" * (17 << 20)}).run()
    assert done.code == 1
    assert "::error title=mlrun,file=valohai.yaml::valohai.yaml: the file has more than 16 MiB" in done.log


def test_a_huge_change_fits_into_a_comment(propose: Propose, hub: Hub) -> None:
    steps = [{"step": {"name": f"step {'x' * 200} {n}", "image": "a:1", "command": "true"}} for n in range(1000)]
    done = propose({"valohai.yaml": GOOD}, {"valohai.yaml": json.dumps(steps)}).run(fail_on="never")
    assert done.code == 0, done.log
    (comment,) = hub.comments
    assert 1000 < len(comment["body"]) <= 65_536


def test_a_file_that_is_no_yaml_is_told_at_its_place(propose: Propose) -> None:
    done = propose({"valohai.yaml": GOOD}, {"valohai.yaml": "- step: [\n"}).run()
    assert done.code == 1
    assert "::error file=valohai.yaml,line=" in done.log


# --- pull_request_target


def test_with_a_trusted_token_a_forks_commit_is_compared_without_ever_being_checked_out(
    propose: Propose, hub: Hub
) -> None:
    job = propose({"valohai.yaml": GOOD}, {"valohai.yaml": CHANGED, "train.py": "raise SystemExit\n"}, target=True)
    done = job.run()
    assert done.code == 0, done.log
    assert "epochs" in hub.comments[0]["body"]
    assert sorted(path.name for path in job.checkout.iterdir()) == [".git", "README.md", "valohai.yaml"]
    assert (job.checkout / "valohai.yaml").read_text() == GOOD
