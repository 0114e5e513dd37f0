import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from runner.executors import wrapper
from runner.job import Identity, InputFile, Job, JobInput, Network, Script, View, Workspace
from runner.store.objects import Objects
from runner.worker.rerun import NAME, write_rerun
from runner.worker.stage import fill, make_folders

HOSTILE = '\'; touch /tmp/pwned; echo "$(touch /tmp/pwned)" `touch /tmp/pwned` \\ \n #'


def own_view(workspace: Workspace) -> View:
    folders = (workspace.inputs, workspace.outputs, workspace.repository, workspace.config, workspace.control)
    return View(*map(str, folders))


@pytest.fixture
def kept(tmp_path: Path, objects: Objects) -> Callable[..., Path]:
    """The work folder of a job as a failure leaves it."""

    def make(
        job: Job, executor: str, *, own: bool = False, below: str = "work", secrets: Mapping[str, str] | None = None
    ) -> Path:
        workspace = Workspace.below(tmp_path / below / job.id)
        make_folders(workspace)
        view = own_view(workspace) if own else View()
        staged, _ = fill(job, workspace, view, Identity("sha256:" + "ab" * 32, {}), objects)
        staged = replace(staged, secrets=secrets or {})
        wrapper.prepare(staged, view)
        write_rerun(staged, view, executor)
        return workspace.root

    return make


Kept = Callable[..., Path]


def rerun(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", NAME], cwd=root, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def failing(job: Job, input_file: Callable[..., InputFile]) -> Job:
    """Looks at all it was given, writes an output and fails."""
    return replace(
        job,
        script=Script(
            (
                'cat train.py "$VH_INPUTS_DIR/data/a.csv"',
                'cp "$VH_CONFIG_DIR/parameters.json" "$VH_OUTPUTS_DIR/found.json"',
                'echo "$MODE" && echo oh >&2 && false',
                "echo never",
            )
        ),
        inputs=(JobInput("data", (input_file("a.csv", b"1,2\n"),)),),
        environment={"MODE": HOSTILE},
    )


def assert_repeated(root: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.stdout == f"print(1)\n1,2\n{HOSTILE}\n"
    assert done.stderr.splitlines()[-1] == "oh"
    assert done.returncode == 1
    assert (root / "outputs" / "found.json").read_bytes() == (root / "config" / "parameters.json").read_bytes()
    assert not os.path.exists("/tmp/pwned")


def test_a_process_is_repeated_in_the_kept_folder(kept: Kept, failing: Job) -> None:
    root = kept(failing, "process", own=True)
    assert_repeated(root, rerun(root))


def test_it_works_from_anywhere_and_after_the_folder_was_moved(kept: Kept, failing: Job, tmp_path: Path) -> None:
    root = kept(failing, "process", own=True)
    moved = tmp_path / "a 'new' \"place\""
    root.rename(moved)
    done = subprocess.run(["bash", moved / NAME], cwd="/", capture_output=True, text=True, timeout=60)
    assert_repeated(moved, done)


@pytest.mark.sandbox
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_sandboxed_step_is_repeated_below_its_own_paths(kept: Kept, failing: Job) -> None:
    script = Script(("test -d /valohai/repository -a -d /inputs/data", *failing.script.items))
    root = kept(replace(failing, script=script), "sandbox")
    assert_repeated(root, rerun(root))


@pytest.mark.sandbox
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_what_ran_before_does_not_disturb_it(kept: Kept, failing: Job) -> None:
    root = kept(failing, "sandbox")
    assert_repeated(root, rerun(root))
    assert_repeated(root, rerun(root))


def test_without_bubblewrap_a_sandboxed_step_is_repeated_as_a_process(kept: Kept, failing: Job, tmp_path: Path) -> None:
    root = kept(failing, "sandbox")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "cat", "cp", "env", "dirname", "mkdir", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [str(tools / "bash"), NAME], cwd=root, env={"PATH": str(tools)}, capture_output=True, text=True, timeout=60
    )
    assert "bwrap is not installed" in done.stderr
    assert_repeated(root, done)


def test_the_last_item_decides_where_it_did_before(kept: Kept, job: Job) -> None:
    script = Script(("false", "echo still here", "(exit 7)"), stop_at_failure=False)
    done = rerun(kept(replace(job, script=script), "process", own=True))
    assert (done.stdout, done.returncode) == ("still here\n", 7)


def test_another_interpreter_runs_its_own_script(kept: Kept, job: Job) -> None:
    script = Script(("#!/usr/bin/env -S awk -f", 'BEGIN { print "from awk"; exit 3 }'))
    done = rerun(kept(replace(job, script=script), "process", own=True))
    assert (done.stdout, done.returncode) == ("from awk\n", 3)


@pytest.fixture
def docker(tmp_path: Path) -> dict[str, str]:
    """A PATH on which `docker` notes its arguments."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "docker").write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {tools}/arguments\n')
    (tools / "docker").chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "ARGUMENTS": str(tools / "arguments")}


@pytest.mark.parametrize("below", ["work", 'odd "name", with:colon'])
def test_a_container_gets_the_same_image_mounts_and_variables(
    kept: Kept, failing: Job, docker: dict[str, str], below: str
) -> None:
    root = kept(replace(failing, network=Network.NONE), "docker", below=below)
    done = rerun(root, **docker)
    assert done.returncode == 0, done.stderr
    arguments = Path(docker["ARGUMENTS"]).read_text().split("\0")[:-1]
    options, (image, *command) = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    assert options[:2] == ["run", "--rm"]
    assert image == "sha256:" + "ab" * 32
    assert command[0] == "-c"
    assert command[2:] == ["/valohai/control/script", "-e"]
    pairs = list(pairwise(options))
    assert ("--network", "none") in pairs
    assert ("--workdir", "/valohai/repository") in pairs
    assert ("--env", f"MODE={HOSTILE}") in pairs
    mounts = [value for option, value in pairs if option == "--mount"]
    source = str(root).replace('"', '""')
    assert f'type=bind,"source={source}/inputs/data","target=/valohai/inputs/data",readonly' in mounts
    assert f'type=bind,"source={source}/outputs","target=/valohai/outputs"' in mounts
    assert not os.path.exists("/tmp/pwned")


@pytest.mark.parametrize("executor", ["docker", "sandbox", "process"])
def test_no_name_or_value_can_break_out_of_the_script(kept: Kept, job: Job, executor: str) -> None:
    hostile = replace(job, step="x\ntouch /tmp/pwned\n\x1b[2J", environment={"A": HOSTILE, "B": os.fsdecode(b"\xff'")})
    root = kept(hostile, executor)
    text = (root / NAME).read_bytes()
    assert text.splitlines()[1].startswith(rb"# Repeats step `x\ntouch /tmp/pwned\n\x1b[2J`")
    subprocess.run(["bash", "-n", root / NAME], check=True)


def test_only_the_owner_may_read_it_for_it_holds_the_variables(kept: Kept, failing: Job) -> None:
    root = kept(failing, "process", own=True)
    assert stat.S_IMODE((root / NAME).stat().st_mode) == 0o700


def test_it_says_what_it_does(kept: Kept, failing: Job) -> None:
    lines = (kept(failing, "docker") / NAME).read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "by hand: bash rerun.sh" in lines[1]


SHOWN = Script(('printf \'%s|\' "$TOKEN" "$OTHER"', "cat", "exit 4"))
ODD = 'it\'s \\ "$(touch /tmp/pwned)" é'


def test_secrets_are_asked_for_and_not_in_the_script(kept: Kept, job: Job) -> None:
    root = kept(replace(job, script=SHOWN), "process", own=True, secrets={"TOKEN": "stored-before", "OTHER": "x"})
    done = subprocess.run(
        ["bash", NAME], cwd=root, input=f"{ODD}\nsecond\n", capture_output=True, text=True, timeout=60
    )

    assert (done.stdout, done.returncode) == (f"{ODD}|second|", 4)
    assert "stored-before" not in (root / NAME).read_text()
    assert not os.path.exists("/tmp/pwned")


def test_a_secret_from_the_environment_is_not_asked_for(kept: Kept, job: Job) -> None:
    root = kept(replace(job, script=SHOWN), "process", own=True, secrets={"TOKEN": "a", "OTHER": "b"})

    assert rerun(root, TOKEN="one\ntwo", OTHER="").stdout == "one\ntwo||"


def test_a_secret_that_is_not_given_ends_with_its_name(kept: Kept, job: Job) -> None:
    root = kept(replace(job, script=SHOWN), "process", own=True, secrets={"TOKEN": "a"})
    done = subprocess.run(["bash", NAME], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    assert done.returncode == 2
    assert "TOKEN" in done.stderr


def test_a_sandbox_is_repeated_with_its_secrets(kept: Kept, job: Job) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    root = kept(replace(job, script=SHOWN), "sandbox", secrets={"TOKEN": "a", "OTHER": "b"})
    done = rerun(root, TOKEN=ODD, OTHER="x")
    if "bwrap:" in done.stderr:
        pytest.skip(done.stderr)

    assert (done.stdout, done.returncode) == (f"{ODD}|x|", 4)


def test_a_container_gets_its_secrets_through_its_standard_input(kept: Kept, job: Job) -> None:
    root = kept(replace(job, script=SHOWN), "docker", secrets={"TOKEN": "a"})
    text = (root / NAME).read_text()

    assert "docker run --rm --init -i " in text
    assert "--env TOKEN" not in text
    assert text.rstrip().endswith("< <(secrets)")
