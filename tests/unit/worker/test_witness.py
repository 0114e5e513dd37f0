import errno
import fcntl
import os
import resource
import subprocess
import termios
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.crew import Crew
from runner.errors import ExitCode, MlrunError
from runner.executors.fake import FakeExecutor
from runner.job import Handle, Job, Staged, Workspace
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import Reading
from runner.worker import inotify
from runner.worker import witness as witness_module
from runner.worker.inotify import Inotify
from runner.worker.report import Finished
from runner.worker.run import Equipment, run_job
from runner.worker.stage import MODIFIED
from runner.worker.witness import Witness
from tests.patience import PATIENCE, not_for_ever, wait_for

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return filled(tmp_path / "work")


def filled(root: Path) -> Workspace:
    """A copy of some code, as staging leaves it, and one input."""
    workspace = Workspace.below(root)
    for folder in (workspace.repository / "pkg/deep", workspace.inputs / "data/sub"):
        folder.mkdir(parents=True)
    for name in ("a.py", "b.py", "pkg/c.py", "pkg/deep/d.py"):
        put(workspace.repository / name)
    (workspace.repository / "link").symlink_to("a.py")
    for name in ("one", "sub/two"):
        (workspace.inputs / "data" / name).write_text(name)
    return workspace


def put(path: Path) -> None:
    path.write_bytes(os.fsencode(path.name))
    os.utime(path, ns=(MODIFIED, MODIFIED))


def enter(workspace: Workspace) -> None:
    """What the shell around every step does first."""
    os.close(os.open(workspace.repository, os.O_RDONLY))


def seen(workspace: Workspace, act: Callable[[Path], object], **options: bool) -> Reading:
    """What is told of a step that does `act` in its copy."""
    witness = Witness(workspace, **options)
    enter(workspace)
    act(workspace.repository)
    return witness.close()


def nothing(_: Path) -> None:
    """A step that opens no file."""


def without_times(path: Path) -> None:
    """Read, and leave no trace in the access time."""
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    os.read(fd, 9)
    os.close(fd)


# --- what counts


def test_a_step_that_opens_nothing_has_read_nothing(workspace: Workspace) -> None:
    assert seen(workspace, nothing) == Reading((), None, ())


def test_what_was_opened_is_named_in_the_order_of_trees(workspace: Workspace) -> None:
    def act(code: Path) -> None:
        (code / "pkg/deep/d.py").read_text()
        (code / "b.py").read_text()
        (workspace.inputs / "data/sub/two").read_text()

    assert seen(workspace, act) == Reading(("b.py", "pkg/deep/d.py"), None, ("data/sub/two",))


def test_the_kernels_news_are_enough(workspace: Workspace) -> None:
    assert seen(workspace, lambda code: without_times(code / "pkg/c.py")).code == ("pkg/c.py",)


def test_access_times_are_enough(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_module, "_NEWS", inotify.ATTRIB)
    real = Inotify.watch
    told = [inotify.ATTRIB | inotify.OPEN]  # of the folder itself alone, which is watched first

    def watch(self: Inotify, folder: int, mask: int) -> int:
        return real(self, folder, told.pop() if told else mask)

    monkeypatch.setattr(Inotify, "watch", watch)
    assert seen(workspace, lambda code: (code / "pkg/c.py").read_text()).code == ("pkg/c.py",)


def test_looks_that_open_nothing_are_not_seen(workspace: Workspace) -> None:
    def act(code: Path) -> None:
        assert (code / "a.py").exists() and (code / "link").is_symlink() and (code / "a.py").stat().st_size == 4
        assert len(list(code.rglob("*"))) == 7
        os.close(os.open(code / "a.py", os.O_PATH))
        with pytest.raises(FileNotFoundError):
            (code / "missing.py").read_text()

    assert seen(workspace, act).code == ()


def move_away(code: Path) -> None:
    (code / "new").mkdir()
    (code / "pkg/c.py").rename(code / "new/other.py")
    without_times(code / "new/other.py")


def link_away(code: Path) -> None:
    (code / "new").mkdir()
    (code / "new/other.py").hardlink_to(code / "pkg/c.py")
    without_times(code / "new/other.py")


def link_away_and_remove(code: Path) -> None:
    link_away(code)
    (code / "pkg/c.py").unlink()


def move_folder(code: Path) -> None:
    (code / "pkg").rename(code / "other")
    without_times(code / "other/c.py")
    (code / "other").rename(code / "pkg")


def replace_file(code: Path) -> None:
    os.link(code / "pkg/c.py", code.parent / "elsewhere")
    put(code / "new.py")
    (code / "new.py").rename(code / "pkg/c.py")
    without_times(code.parent / "elsewhere")


@pytest.mark.parametrize("act", [move_away, link_away, link_away_and_remove, move_folder, replace_file])
def test_a_file_that_was_read_under_another_name_counts(workspace: Workspace, act: Callable[[Path], None]) -> None:
    reading = seen(workspace, act)
    assert reading.doubt is None
    assert reading.code == ("pkg/c.py",)


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.chmod(0o600),
        lambda path: os.utime(path),
        lambda path: path.unlink(),
        lambda path: path.write_text("new"),
    ],
    ids=["other rights", "other times", "removed", "written"],
)
def test_a_file_that_was_changed_counts_for_it_might_have_been_read(
    workspace: Workspace, act: Callable[[Path], object]
) -> None:
    assert seen(workspace, lambda code: act(code / "a.py")).code == ("a.py",)


def test_what_a_step_adds_to_its_copy_is_no_code(workspace: Workspace) -> None:
    def act(code: Path) -> None:
        (code / "pkg/new.py").write_text("1")
        (code / "pkg/new.py").read_text()
        (code / "made").mkdir()
        (code / "made/new.py").write_text("2")
        (code / "made/new.py").read_text()
        (workspace.inputs / "data/new").write_text("3")

    assert seen(workspace, act) == Reading((), None, ())


def test_a_folder_that_was_replaced_counts_with_all_that_was_in_it(workspace: Workspace) -> None:
    def act(code: Path) -> None:
        (code / "pkg").rename(code / "old")
        (code / "pkg/deep").mkdir(parents=True)
        for name in ("pkg/c.py", "pkg/deep/d.py"):
            put(code / name)

    assert seen(workspace, act).code == ("pkg/c.py", "pkg/deep/d.py")


def test_names_that_are_no_text_are_written_as_trees_write_them(workspace: Workspace) -> None:
    put(Path(os.fsdecode(os.fsencode(workspace.repository) + b"/\xff\xc3\xa4.py")))
    reading = seen(workspace, lambda code: [path.read_bytes() for path in code.glob("*.py")])
    assert reading.code == ("a.py", "b.py", b"\xff\xc3\xa4.py".decode("utf-8", "surrogateescape"))


def test_other_processes_are_seen_and_those_that_nobody_waits_for_too(workspace: Workspace) -> None:
    script = "cat a.py >/dev/null; (exec 3<pkg/c.py; cat /proc/self/fd/3 >/dev/null) & (cat link >/dev/null &); wait"
    assert seen(workspace, lambda code: subprocess.run(["sh", "-c", script], cwd=code, check=True)).code == (
        "a.py",
        "pkg/c.py",
    )


def test_where_a_step_may_read_the_code_elsewhere_nothing_is_sure(workspace: Workspace) -> None:
    reading = seen(workspace, lambda _: (workspace.inputs / "data/one").read_text(), confined=False)
    assert reading == Reading(None, "nothing keeps it from reading the code elsewhere", ("data/one",))


# --- any doubt


def test_without_news_of_the_folder_itself_nothing_is_known(workspace: Workspace) -> None:
    witness = Witness(workspace)
    (workspace.repository / "a.py").read_text()
    assert witness.close() == Reading(None, "the kernel told nothing of what it opened", None)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nobody hears anything before this is set."""
    heard = threading.Event()
    real = Inotify.take

    def take(self: Inotify) -> bytes:
        assert heard.wait(PATIENCE)
        return real(self)

    monkeypatch.setattr(Inotify, "take", take)
    yield heard
    heard.set()


def open_often(folder: Path, names: tuple[str, str], times: int) -> None:
    """Two in turn: the kernel takes equal news that follow each other for one."""
    fd = os.open(folder, os.O_PATH)
    for _ in range(times // 2):
        for name in names:
            os.close(os.open(name, os.O_RDONLY, dir_fd=fd))
    os.close(fd)


def test_more_news_than_the_kernel_keeps_are_a_doubt(workspace: Workspace, deaf: threading.Event) -> None:
    witness = Witness(workspace)
    enter(workspace)
    open_often(workspace.repository, ("a.py", "b.py"), QUEUE + 100)
    deaf.set()
    assert witness.close() == Reading(None, "it opened more files at once than the kernel tells of", ())


def test_too_many_news_of_inputs_are_no_doubt_about_the_code(workspace: Workspace, deaf: threading.Event) -> None:
    witness = Witness(workspace)
    enter(workspace)
    put(workspace.inputs / "data/sub/three")
    open_often(workspace.inputs / "data", ("one", "sub/two"), QUEUE + 100)
    (workspace.repository / "b.py").read_text()
    deaf.set()
    assert witness.close() == Reading(("b.py",), None, None)


def test_news_are_heard_while_all_of_the_runner_computes(workspace: Workspace) -> None:
    """Twice as many as the kernel keeps, and never is the next half opened before the queue is empty."""
    witness = Witness(workspace)
    enter(workspace)
    for _ in range(4):
        open_often(workspace.repository, ("a.py", "b.py"), QUEUE // 2)
        with not_for_ever():
            while waiting(witness._code.fileno()):
                sum(range(10_000))
    assert witness.close() == Reading(("a.py", "b.py"), None, ())


def waiting(queue: int) -> int:
    """Bytes of news that nobody has taken."""
    count = array("i", [0])
    fcntl.ioctl(queue, termios.FIONREAD, count)
    return count[0]


def test_the_last_of_many_news_is_heard_however_long_they_are(workspace: Workspace, deaf: threading.Event) -> None:
    long = (250 * "a", 250 * "b")
    for name in long:
        put(workspace.repository / name)
    witness = Witness(workspace)
    enter(workspace)
    open_often(workspace.repository, long, QUEUE // 2)
    without_times(workspace.repository / "b.py")
    assert waiting(witness._code.fileno()) > inotify._BUFFER
    deaf.set()
    assert witness.close().code == (long[0], "b.py", long[1])


def test_many_files_are_not_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_module, "_MOST_NAMED", 2)

    def act(count: int) -> Callable[[Path], None]:
        def read(code: Path) -> None:
            for path in sorted(code.rglob("*.py"))[:count]:
                path.read_text()

        return read

    assert len(seen(workspace, act(2)).code or ()) == 2
    assert seen(workspace, act(3)) == Reading(None, "it opened more than 2 files of the code", ())


def test_many_files_of_inputs_are_not_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_module, "_MOST_NAMED", 1)

    def act(_: Path) -> None:
        for name in ("one", "sub/two"):
            (workspace.inputs / "data" / name).read_text()

    assert seen(workspace, act) == Reading((), None, None)


def test_more_folders_than_are_watched_are_a_doubt(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_module, "_MOST_FOLDERS", 3)
    assert seen(workspace, nothing) == Reading((), None, ())
    (workspace.repository / "more").mkdir()
    assert seen(workspace, nothing).doubt is None, "a folder without files is not watched"
    put(workspace.repository / "more/e.py")
    assert seen(workspace, nothing) == Reading(None, "it has more than 3 folders", None)


@pytest.mark.parametrize(
    ("call", "number", "why"),
    [
        ("__init__", errno.EMFILE, "too many open files or queues of news"),
        ("__init__", errno.ENOSYS, "Function not implemented"),
        ("watch", errno.ENOSPC, "watches as many folders as the kernel allows"),
        ("watch", errno.EACCES, "Permission denied"),
        ("take", errno.EIO, "Input/output error"),
    ],
)
def test_a_kernel_that_refuses_is_a_doubt_with_its_reason(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, call: str, number: int, why: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Inotify, call, refuse)
    reading = seen(workspace, nothing)
    assert reading.code is None
    assert reading.doubt is not None and reading.doubt.endswith(why)
    assert reading.inputs is None


def test_a_user_without_watches_left_for_inputs_still_knows_the_code(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = Inotify.watch, [3]

    def watch(self: Inotify, folder: int, mask: int) -> int:
        count[0] -= 1
        if count[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, folder, mask)

    monkeypatch.setattr(Inotify, "watch", watch)
    assert seen(workspace, lambda code: (code / "a.py").read_text()) == Reading(("a.py",), None, None)


def refuse_descriptors(_: int) -> tuple[int, int]:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def refuse_threads(crew: object, work: object) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(("owner", "name", "refuse"), [(os, "pipe2", refuse_descriptors), (Crew, "do", refuse_threads)])
def test_where_nobody_can_listen_everything_counts(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    new_descriptors: Callable[[], list[str]],
    owner: object,
    name: str,
    refuse: Callable[..., object],
) -> None:
    monkeypatch.setattr(owner, name, refuse)
    assert seen(workspace, nothing) == Reading(None, "nobody could listen to what it opened", None)
    assert not new_descriptors()


def test_where_the_listener_breaks_everything_counts(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def broken(_: bytes) -> Iterator[inotify.Event]:
        raise ZeroDivisionError

    monkeypatch.setattr(inotify, "parse", broken)
    assert seen(workspace, nothing) == Reading(None, "nobody could listen to what it opened", None)
    wait_for(lambda: told, "word of the bug")


def test_a_copy_that_is_gone_is_a_doubt(tmp_path: Path) -> None:
    reading = Witness(Workspace.below(tmp_path / "work")).close()
    assert reading.doubt == "the kernel could not be asked what it opened: No such file or directory"


def test_a_copy_that_goes_away_counts_as_read(workspace: Workspace) -> None:
    def act(code: Path) -> None:
        subprocess.run(["rm", "-r", code], check=True)

    assert seen(workspace, act).code == ("a.py", "b.py", "pkg/c.py", "pkg/deep/d.py")


# --- what it takes


def test_nothing_stays_open_and_no_thread_goes_on(
    workspace: Workspace,
    new_descriptors: Callable[[], list[str]],
    new_threads: Callable[[], list[threading.Thread]],
) -> None:
    seen(workspace, nothing)
    # The kernel takes its time to let watches go, for which nobody waits.
    wait_for(lambda: not new_threads() and not new_descriptors(), "end of the listener")


def test_high_descriptors_are_no_hindrance(workspace: Workspace) -> None:
    """Beyond what select(2) takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2048:
        pytest.skip("nobody here may open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [os.open("/dev/null", os.O_RDONLY)]
    try:
        while held[-1] < 1024:
            held.append(os.dup(held[0]))
        reading = seen(workspace, lambda code: (code / "a.py").read_text())
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert reading == Reading(("a.py",), None, ())


def test_a_step_without_inputs_takes_one_queue(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Inotify] = []
    real = Inotify.__init__

    def note(self: Inotify) -> None:
        made.append(self)
        real(self)

    monkeypatch.setattr(Inotify, "__init__", note)
    subprocess.run(["rm", "-r", *workspace.inputs.iterdir()], check=True)
    assert seen(workspace, nothing) == Reading((), None, ())
    assert len(made) == 1


# --- as part of a job


class Refusing(FakeExecutor):
    """Starts nothing, for the reason that it is given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def start(self, staged: Staged) -> Handle:
        raise self._error


class Deaf:
    """A listener of a job that does not listen."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_: None


@pytest.fixture
def run(layout: Layout, objects: Objects, job: Job, tmp_path: Path) -> Callable[[FakeExecutor], Finished]:
    def run(executor: FakeExecutor) -> Finished:
        identity = executor.resolve(job.image)
        assert identity is not None
        equipment = Equipment(executor, objects, layout.work)
        return run_job(job, equipment, identity, tmp_path / "logs", Deaf())  # type: ignore[arg-type]

    return run


def test_where_no_shell_ran_it_is_not_known_what_a_job_read(run: Callable[[FakeExecutor], Finished]) -> None:
    assert run(FakeExecutor()).read == Reading(None, "the kernel told nothing of what it opened", None)


@pytest.mark.parametrize(
    "error", [MlrunError("no", code=ExitCode.EXECUTOR), ZeroDivisionError()], ids=["ours", "a bug"]
)
def test_nobody_goes_on_listening_to_a_job_that_did_not_start(
    run: Callable[[FakeExecutor], Finished], new_threads: Callable[[], list[threading.Thread]], error: Exception
) -> None:
    if isinstance(error, MlrunError):
        assert run(Refusing(error)).read == Reading()
    else:
        with pytest.raises(ZeroDivisionError):
            run(Refusing(error))
    wait_for(lambda: not new_threads(), "end of the listener")
