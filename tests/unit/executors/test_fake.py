import threading
from dataclasses import replace

import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors.fake import FakeExecutor
from runner.job import Gang, Identity, InputFile, Job, JobInput, LogChunk, Network, Script, Staged, Workspace
from runner.state import Reason


@pytest.fixture
def executor():
    return FakeExecutor()


@pytest.fixture
def stage(tmp_path, executor):
    def make(*items, id="one", inputs=()):
        workspace = Workspace.below(tmp_path / id)
        for folder in (workspace.inputs, workspace.outputs, workspace.repository, workspace.config, workspace.control):
            folder.mkdir(parents=True, exist_ok=True)
        given = tuple(JobInput(name, (InputFile("file", "", 1, ""),)) for name in inputs)
        for name in inputs:
            (workspace.inputs / name).mkdir()
            (workspace.inputs / name / "file").write_bytes(b"x")
        job = Job(id, "s", "image:1", Script(items), "", {}, given, {})
        return Staged(job, workspace, {}, executor.resolve("image:1"))

    return make


def finish(handle):
    chunks = list(handle.logs())
    outcome = handle.wait()
    handle.close()
    return chunks, outcome


# --- it obeys


def test_it_prints_writes_and_reads(executor, stage):
    staged = stage("print hello world\nwarn careful", "write sub/a.txt some text", "read data/file", inputs=["data"])
    chunks, outcome = finish(executor.start(staged))

    assert chunks == [
        LogChunk("stdout", b"hello world\n"),
        LogChunk("stderr", b"careful\n"),
        LogChunk("stdout", b"x"),
    ]
    assert (staged.workspace.outputs / "sub" / "a.txt").read_text() == "some text"
    assert outcome.succeeded


@pytest.mark.parametrize(
    ("command", "reason", "code"),
    [
        ("true", Reason.EXIT, 0),
        ("exit 0", Reason.EXIT, 0),
        ("exit 7", Reason.EXIT, 7),
        ("oom", Reason.OOM, 137),
        ("die", Reason.KILLED, 137),
        ("restart", Reason.RUNTIME, None),
    ],
)
def test_it_ends_as_it_is_told(executor, stage, command, reason, code):
    chunks, outcome = finish(executor.start(stage(command + "\nprint later" if reason is not Reason.EXIT else command)))

    assert (outcome.reason, outcome.exit_code) == (reason, code)
    assert chunks == []


def test_it_waits_until_it_is_stopped(executor, stage):
    handle = executor.start(stage("print ready", "block", "print later"))
    thread = threading.Timer(0.05, handle.stop, (5,))
    thread.start()
    chunks, outcome = finish(handle)

    assert chunks == [LogChunk("stdout", b"ready\n")]
    assert (outcome.reason, outcome.exit_code) == (Reason.STOP, 143)


def test_a_stubborn_job_ends_only_when_it_is_killed(executor, stage):
    handle = executor.start(stage("stubborn", "block"))
    handle.stop(0.05)

    assert finish(handle)[1].exit_code == 137


def test_it_can_refuse_to_start(executor, stage):
    with pytest.raises(MlrunError) as refusal:
        executor.start(stage("refuse no room"))

    assert (refusal.value.code, refusal.value.message) == (ExitCode.EXECUTOR, "no room")
    assert executor.mine() == frozenset()


def test_only_images_that_are_here_resolve_and_others_can_be_pulled():
    executor = FakeExecutor(images=["a:1"], registry=["b:1"])

    assert executor.resolve("a:1") == Identity(executor.resolve("a:1").id, {"image": "a:1"})
    assert executor.resolve("b:1") is None
    assert [progress.done for progress in executor.pull("b:1")] == [1, 2]
    assert executor.resolve("b:1") is not None
    for ask in (lambda: list(executor.pull("c:1")), lambda: executor.resolve("c d")):
        with pytest.raises(MlrunError) as refusal:
            ask()
        assert refusal.value.code is ExitCode.IMAGE


def test_an_open_job_is_ours_and_can_be_taken_over(executor, stage):
    executor.start(stage("print one", "exit 3"))
    assert executor.mine() == {"one"}
    chunks, outcome = finish(executor.reattach("one"))

    assert (chunks, outcome.exit_code) == ([LogChunk("stdout", b"one\n")], 3)
    assert executor.mine() == frozenset()
    assert executor.reattach("one") is None


# --- it polices


def test_waiting_before_the_log_was_read_is_blamed(executor, stage):
    with pytest.raises(AssertionError, match="`wait` is called once, after `logs` was read"):
        executor.start(stage("true")).wait()


def test_closing_before_the_end_is_blamed(executor, stage):
    with pytest.raises(AssertionError, match="`close` is called after `wait`"):
        executor.start(stage("true")).close()


def test_reading_twice_is_blamed(executor, stage):
    handle = executor.start(stage("true"))
    handle.logs()

    with pytest.raises(AssertionError, match="`logs` is called once"):
        handle.logs()


def test_another_thread_may_stop_but_not_read(executor, stage):
    handle = executor.start(stage("block"))
    caught = []

    def read():
        handle.stop(0)
        try:
            handle.logs()
        except AssertionError as error:
            caught.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()

    assert "thread that started it" in caught[0]


def test_starting_twice_is_blamed(executor, stage):
    staged = stage("true")
    executor.start(staged)

    with pytest.raises(AssertionError, match="started once"):
        executor.start(staged)


def test_a_job_that_is_not_staged_is_blamed(executor, stage):
    staged = stage("true", inputs=["data"])
    with pytest.raises(AssertionError, match="identity"):
        executor.start(replace(staged, identity=Identity("other", {})))
    (staged.workspace.inputs / "data" / "file").unlink()
    with pytest.raises(AssertionError, match="`data` is staged"):
        executor.start(staged)
    staged.workspace.outputs.rmdir()
    with pytest.raises(AssertionError, match="`outputs` is made"):
        executor.start(staged)


def test_pulling_what_is_here_is_blamed(executor):
    with pytest.raises(AssertionError, match="not here"):
        list(executor.pull("image:1"))


def test_closing_twice_is_allowed(executor, stage):
    handle = executor.start(stage("true"))
    finish(handle)

    handle.close()


def test_an_interactive_program_obeys_as_a_job_does(executor, stage, capfd):
    staged = stage("true")

    assert executor.interact(staged, ["print hello", "warn oh", "exit 3"]) == 3

    assert capfd.readouterr() == ("hello\n", "oh\n")
    assert executor.interacted == [staged]
    assert executor.started == []


# --- gangs


def gang(staged, addresses, index=0):
    return replace(staged, job=replace(staged.job, gang=Gang("gang", index, addresses)))


def test_the_members_of_a_gang_run_under_the_addresses_that_they_were_given(executor, stage):
    addresses = executor.connect("gang", 2, Network.DEFAULT)
    handles = [executor.start(gang(stage("true", id=str(index)), addresses, index)) for index in range(2)]

    assert executor.connect("gang", 2, Network.DEFAULT) == addresses
    assert executor.connected() == {"gang"}
    for handle in handles:
        finish(handle)
    executor.disconnect("gang")
    executor.disconnect("gang")
    assert executor.connected() == frozenset()


def test_a_gang_without_a_network_is_refused(executor):
    with pytest.raises(MlrunError, match="without a network"):
        executor.connect("gang", 2, Network.NONE)


def test_who_starts_a_member_that_is_not_connected_breaks_a_rule(executor, stage):
    with pytest.raises(AssertionError, match="addresses that `connect` gave"):
        executor.start(gang(stage("true"), ("127.0.0.9",)))


def test_who_disconnects_a_gang_that_runs_breaks_a_rule(executor, stage):
    handle = executor.start(gang(stage("true"), executor.connect("gang", 1, Network.DEFAULT)))
    with pytest.raises(AssertionError, match="when no job of it runs"):
        executor.disconnect("gang")
    finish(handle)


def test_who_connects_a_gang_again_with_more_members_breaks_a_rule(executor):
    executor.connect("gang", 1, Network.DEFAULT)
    with pytest.raises(AssertionError, match="same number"):
        executor.connect("gang", 2, Network.DEFAULT)
