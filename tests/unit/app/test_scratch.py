"""Folders of what nobody records."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from runner.app import scratch
from runner.store.identity import new_id

PROGRAM = """
import sys, time
from pathlib import Path
from runner.app.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "01a1fdcd-c942-70f7-aff0-0f93ee9cba3b").mkdir()
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_scratch_folder_is_gone_at_the_end_with_all_that_is_in_it(tmp_path: Path) -> None:
    with scratch.scratch_folder(tmp_path) as folder:
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er").chmod(0)
        assert scratch.abandoned(tmp_path) == []

    assert os.listdir(tmp_path) == []


def test_a_kept_folder_stays_and_is_no_scratch_any_more(tmp_path: Path) -> None:
    with scratch.scratch_folder(tmp_path) as folder:
        (folder / "note.txt").write_text("note")
        kept = scratch.keep(folder)

    assert (kept / "note.txt").read_text() == "note"
    assert scratch.abandoned(tmp_path) == []


def test_the_folder_of_a_killed_process_is_found_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        folder = Path(process.stdout.readline().strip())
        assert scratch.abandoned(tmp_path) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert scratch.abandoned(tmp_path) == [folder]
        assert scratch.jobs(folder) == ["01a1fdcd-c942-70f7-aff0-0f93ee9cba3b"]
        scratch.remove(folder)
        assert not folder.exists()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_folders_of_executions_are_never_taken_for_scratch(tmp_path: Path) -> None:
    (tmp_path / new_id()).mkdir()
    (tmp_path / "scratch-without-a-lock").mkdir()

    assert scratch.abandoned(tmp_path) == []
