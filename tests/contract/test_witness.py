"""Which files of the code a step read, whatever runs it: everything it did read, and as little else as can be."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from runner.executors import wrapper
from runner.job import Handle, LogChunk, Outcome, Staged
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import Reading
from runner.worker.report import clear
from runner.worker.run import Equipment, run_job
from runner.worker.stage import MODIFIED
from runner.worker.stopper import Stopper
from runner.worker.witness import Witness

TEXT = b"print(1)\n"


@dataclass(frozen=True)
class Case:
    """What a step does in a folder of its copy, what is in that folder, and what of it was read."""

    script: str
    files: Mapping[str, bytes] = field(default_factory=lambda: {"used": TEXT, "unused": TEXT})
    read: tuple[str, ...] = ("used",)


def python(code: str) -> str:
    return f"python3 -c '{code}'"


def library() -> bytes:
    """A shared library of this machine."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return Path(next(line.split()[-1] for line in lines if "libm.so" in line or "libm-" in line)).read_bytes()


MODULES = {"used.py": TEXT, "unused.py": TEXT}
PACKAGE = {"pkg/__init__.py": b"", "pkg/used.py": TEXT, "pkg/unused.py": TEXT}
SPACE = {"space/used.py": TEXT, "space/unused.py": TEXT}

CASES = {
    # by system call
    "opened": Case("read x <used"),
    "empty": Case("cat used", {"used": b"", "unused": b""}),
    "mmap": Case(python('import mmap; f = open("used", "rb"); mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)')),
    "sendfile": Case(python('import os; os.sendfile(os.open("new", 65), os.open("used", 0), 0, 9)')),
    "copied-by-kernel": Case(python('import os; os.copy_file_range(os.open("used", 0), os.open("new", 65), 9)')),
    "without-access-time": Case(
        python('import os; os.setuid(os.stat("used").st_uid); os.read(os.open("used", os.O_NOATIME), 9)')
    ),
    "by-folder": Case(python('import os; d = os.open(".", os.O_PATH); os.read(os.open("used", 0, dir_fd=d), 9)')),
    # by program
    "cat": Case("cat used"),
    "cp": Case('cp used "${TMPDIR:-/tmp}/copied"'),
    "tar": Case('tar cf "${TMPDIR:-/tmp}/archive" used'),
    "grep": Case("grep -c print used"),
    "script": Case("sh used || :"),
    "interpreter": Case("./used", {"used": b"#!/bin/sh\n", "unused": TEXT}),
    "program": Case("./used", {"used": Path("/bin/true").read_bytes(), "unused": TEXT}),
    "library": Case(python('import ctypes; ctypes.CDLL("./used")') + " || :", {"used": library(), "unused": TEXT}),
    # by Python
    "python": Case("python3 used.py", MODULES, ("used.py",)),
    "module": Case(python("import used"), MODULES, ("used.py",)),
    "module-twice": Case("for i in 1 2; do python3 -c 'import used'; done", MODULES, ("used.py",)),
    "module-as-program": Case("python3 -m used", MODULES, ("used.py",)),
    "package": Case(python("import pkg.used"), PACKAGE, ("pkg/__init__.py", "pkg/used.py")),
    "package-as-program": Case("python3 -m pkg.used", PACKAGE, ("pkg/__init__.py", "pkg/used.py")),
    "namespace": Case(python("import space.used"), SPACE, ("space/used.py",)),
    "failed-import": Case(python("import used") + " || :", {"used.py": b"import no_such", "no.py": b""}, ("used.py",)),
    "no-import": Case(python("import json, no_such") + " || :", MODULES, ()),
    "module-found": Case(python('import importlib.util as u; assert u.find_spec("used")'), MODULES, ()),
    # under another name
    "linked": Case("ln used new; cat new"),
    "linked-into-new-folder": Case("mkdir new; ln used new/x; cat new/x"),
    "linked-and-removed": Case("mkdir new; ln used new/x; rm used; cat new/x"),
    "renamed": Case("mv used new; cat new"),
    "moved-into-new-folder": Case("mkdir new; mv used new/x; cat new/x"),
    "moved-away-and-back": Case('away=${TMPDIR:-/tmp}/moved; mv used "$away"; cat "$away" >used'),
    "folder-renamed": Case("mv old new; cat new/used; mv new old", {"old/used": TEXT, "old/no": b""}, ("old/used",)),
    "folder-moved": Case("mv old new; cat new/used", {"old/used": TEXT, "old/no": b""}, ("old/no", "old/used")),
    "through-a-link": Case("ln -s used new; cat new"),
    "through-a-descriptor": Case("exec 3<used; cat /proc/self/fd/3"),
    "through-a-folder": Case(python('import os; d = os.open(".", os.O_PATH); open(f"/proc/self/fd/{d}/used").read()')),
    "through-the-root": Case('cat "/proc/self/cwd/used"'),
    # by whom
    "grandchild": Case("sh -c 'sh -c \"cat used; :\"; :'"),
    "by-whom-nobody-waits": Case(
        "sh -c '(until test -e go; do sleep 0.01; done; cat used; : >done) &'; : >go; "
        "until test -e done; do sleep 0.01; done"
    ),
    "another-user": Case(python('import os; os.getuid() or os.setuid(65534); open("used").read()')),
    # might have been read
    "other-rights": Case("chmod 600 used"),
    "other-times": Case("touch used"),
    "written": Case("echo 2 >used"),
    "removed": Case("rm used"),
    "replaced": Case("echo 2 >new; mv new used"),
    # what is no reading
    "looked-at": Case("test -e used; test used -nt unused; ls -l; find .; stat used", read=()),
    "missing": Case("cat no-such || :", read=()),
    "own": Case("echo 2 >new; cat new; mkdir made; echo 3 >made/new; cat made/new", read=()),
}
LAST = "at-the-very-end"


def fill(staged: Staged, files: Mapping[str, bytes]) -> None:
    """Put code into the copy as staging does."""
    for name, content in files.items():
        path = staged.workspace.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
    for path in (staged.workspace.repository, *staged.workspace.repository.rglob("*")):
        if path.is_dir():
            path.chmod(0o777)
        os.utime(path, ns=(MODIFIED, MODIFIED))


def watched(bench, staged: Staged, files: Mapping[str, bytes], listen=None) -> tuple[Reading, bytes]:
    """What is told of a step over `files`, whatever else it might read, and what it prints."""
    fill(staged, files)
    witness = Witness(staged.workspace)
    result = bench.finish(staged, listen)
    return witness.close(), result.stdout


TOLD: dict[str, Reading] = {}
"""Of each executor: all cases are one step."""


def told(bench) -> Reading:
    if bench.name not in TOLD:
        files = {f"{name}/{path}": data for name, case in CASES.items() for path, data in case.files.items()}
        items = [f"({case.script}\n) >/dev/null || echo {name}" for name, case in CASES.items()]
        items = [f"cd {name}\n{item}\ncd .." for name, item in zip(CASES, items, strict=True)]
        staged = bench.stage(*items, f"cat {LAST}/used", image=bench.python_image)
        reading, failed = watched(bench, staged, {**files, f"{LAST}/used": b"", f"{LAST}/unused": b""})
        assert failed == b"", "these did not work"
        TOLD[bench.name] = reading
    return TOLD[bench.name]


def test_nothing_is_in_doubt(bench) -> None:
    assert told(bench).doubt is None


@pytest.mark.parametrize("name", CASES)
def test_what_was_read_is_known(bench, name: str) -> None:
    code = told(bench).code or ()
    assert {path for path in code if path.startswith(f"{name}/")} == {f"{name}/{path}" for path in CASES[name].read}


def test_what_is_read_last_is_known(bench) -> None:
    assert [path for path in told(bench).code or () if path.startswith(LAST)] == [f"{LAST}/used"]


def test_a_step_that_reads_nothing_has_read_nothing(bench) -> None:
    reading, _ = watched(bench, bench.stage("true"), {})
    assert reading == Reading((), None, ())


def test_files_of_inputs_are_seen_though_nobody_may_write_there(bench) -> None:
    staged = bench.stage(
        'cat "$VH_INPUTS_DIR/data/one"', inputs={"data": {"one": b"1", "two": b"2"}, "more": {"x": b""}}
    )
    assert watched(bench, staged, {}) == (Reading((), None, ("data/one",)), b"1")


def test_a_shell_that_opens_nothing_leaves_everything_in_doubt(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nothing else opens the folder of the code: what the shell does is a proof."""
    opening, rest = wrapper._OUTER.split("\n", 1)
    assert opening.endswith("<.")
    monkeypatch.setattr(wrapper, "_OUTER", rest)
    reading, _ = watched(bench, bench.stage("cat code.txt"), {})
    assert reading == Reading(None, "the kernel told nothing of what it opened", None)


@pytest.mark.parametrize("change", ["chmod -R a+r .", "chown -R 65534 ."])
def test_a_step_that_changes_all_of_its_copy_counts_as_having_read_it(bench, change: str) -> None:
    reading, _ = watched(bench, bench.stage(f"{change} || chmod -R a+r ."), {"a": b"", "sub/b": b""})
    assert reading == Reading(("a", "code.txt", "sub/b"), None, ())


def test_a_step_that_lets_git_look_at_its_copy_has_read_it(bench) -> None:
    staged = bench.stage("command -v git || exit 0", "git init -q .", "git add -A", "git status")
    reading, said = watched(bench, staged, {"a": b"", "sub/b": b""})
    if not said:
        pytest.skip("the step finds no git")
    assert reading == Reading(("a", "code.txt", "sub/b"), None, ())


def test_of_a_step_that_is_killed_it_is_known_too(bench) -> None:
    def kill(handle: Handle, chunk: LogChunk) -> None:
        handle.stop(0)

    staged = bench.stage("cat code.txt", "sleep 60")
    assert watched(bench, staged, {"a": b""}, kill)[0] == Reading(("code.txt",), None, ())


def test_a_step_that_reads_very_much_counts_as_having_read_everything(sandbox_bench) -> None:
    files = {f"{number % 20}/{number}": b"" for number in range(20_000)}
    reading, _ = watched(sandbox_bench, sandbox_bench.stage("cat */*"), files)
    assert reading.code is None
    assert reading.doubt in {
        "it opened more than 10,000 files of the code",
        "it opened more files at once than the kernel tells of",
    }


def test_an_executor_confines_if_a_step_cannot_find_the_live_checkout(bench) -> None:
    assert bench.site.checkout is not None
    found = bench.run(f"if test -e '{bench.site.checkout}/secret.txt'; then echo found; fi").stdout
    assert (found == b"") is bench.executor.confines


@pytest.mark.docker
def test_an_image_with_a_user_of_its_own_proves_as_well_what_it_reads(docker_bench) -> None:
    from docker import APIClient

    docker_bench.executor.probe()
    api = APIClient(base_url=docker_bench.executor._url, version="auto")
    name = "mlrun-test/made:reader"
    container = api.create_container("mlrun-test/busybox:1", "true")
    api.commit(container, "mlrun-test/made", "reader", changes=["USER 1234:1234"])
    api.remove_container(container)
    try:
        staged = docker_bench.stage("id -u", "cat a/b", image=name)
        reading, said = watched(docker_bench, staged, {"a/b": b"read", "a/c": b""})
    finally:
        api.remove_image(name, force=True)
        api.close()
    assert (reading, said) == (Reading(("a/b",), None, ()), b"1234\nread")


# --- as part of a job


class Ear:
    """Does not listen."""

    def __getattr__(self, _: str) -> object:
        return lambda *_: None


def run(bench, tmp_path: Path, *items: str, pause=None) -> Reading:
    """What is recorded of a job over two files."""
    layout = Layout.create_or_open(tmp_path / "a store")
    objects = Objects(layout)
    snapshot = objects.put_tree([(name, "100644", objects.put_bytes(TEXT), len(TEXT)) for name in ("a.py", "b.py")])
    staged = bench.stage(*items)
    job = replace(staged.job, snapshot=snapshot)
    equipment = Equipment(bench.executor, objects, layout.work, pause=pause)
    finished = run_job(job, equipment, staged.identity, tmp_path / "logs", Ear(), Stopper())  # type: ignore[arg-type]
    assert clear(finished) is None
    objects.close()
    return finished.read


def test_a_job_tells_what_its_step_read(bench, tmp_path: Path) -> None:
    expected = Reading(("b.py",), None, ())
    if not bench.executor.confines:
        expected = Reading(None, "nothing keeps it from reading the code elsewhere", ())
    assert run(bench, tmp_path, "cat b.py") == expected


def test_what_somebody_reads_who_looks_at_a_failure_is_not_the_steps(sandbox_bench, tmp_path: Path) -> None:
    looked: list[str] = []

    def pause(staged: Staged, outcome: Outcome, stopper: Stopper) -> None:
        looked.append((staged.workspace.repository / "a.py").read_text())

    assert run(sandbox_bench, tmp_path, "cat b.py", "false", pause=pause) == Reading(("b.py",), None, ())
    assert looked == [TEXT.decode()]
