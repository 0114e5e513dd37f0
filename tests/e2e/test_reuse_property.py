"""Whatever a step looks at: when reuse says that nothing has changed, running it anyway gives the same, byte for byte.

Steps, repositories and edits are made at random and run in the sandbox. What no witness can see is left out and named
in docs/reuse.md: the size of a file that is asked for without opening it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.app.place import locate
from runner.app.request import Request, open_project
from runner.app.run import run_plan
from runner.app.wish import NEVER, Wish
from runner.plan.compile import compile_step
from runner.plan.model import Arguments
from runner.reuse.content import CodeKey
from runner.settings import Settings
from runner.state import State
from runner.store.record import Execution
from runner.store.store import Store

YAML = """\
- step:
    name: s
    image: busybox:1
    command: {command}
    parameters: [{{name: p, type: string, default: {parameter}}}]
    inputs: [{{name: i, default: in/*, optional: true}}]
"""

PATHS = ["a.py", "b.py", "pkg/__init__.py", "pkg/c.py", "data.txt", "d/x.txt", "d/y.txt", "run.sh", "in/one", "in/two"]
MODULES = ["a", "b", "pkg", "pkg.c", "missing"]
FOLDERS = [".", "d", "pkg", "in", "nowhere"]
TEXTS = {
    "py": [
        "V = 1\n",
        "V = 2\n",
        "V = 1  # one\n",
        '"""Said."""\nV = 1\n',
        "V =  1\n",
        "import b\nV = b.V\n",
        "V = (\n",
        "",
    ],
    "sh": ["echo one\n", "echo one # one\n", "cat data.txt\n", "exit 3\n", ""],
    "txt": ["x\n", "y\n", "data.txt\n", ""],
}


class Given(NamedTuple):
    """A repository, the values of a step, and what it looks at."""

    files: dict[str, str]
    executable: frozenset[str]
    links: dict[str, str]
    parameter: str


TARGETS = ["data.txt", "d", "d/x.txt", "a.py", "../run.sh", "nowhere"]


def text_of(path: str) -> st.SearchStrategy[str]:
    return st.sampled_from(TEXTS[path.rpartition(".")[2] if path.rpartition(".")[2] in TEXTS else "txt"])


FILES = st.fixed_dictionaries({}, optional={path: text_of(path) for path in PATHS})
GIVEN = st.builds(
    Given,
    FILES,
    st.frozensets(st.sampled_from(PATHS), max_size=2),
    st.dictionaries(st.sampled_from(["link", "d/link"]), st.sampled_from(TARGETS), max_size=1),
    st.sampled_from(["one", "two"]),
)


@st.composite
def edits(draw: st.DrawFn, before: Given, program: str) -> Given:
    """The same but for one change, or none; more often of a file that the program names."""
    named = [path for path in PATHS if path in program]
    files, executable, links = dict(before.files), set(before.executable), dict(before.links)
    kind = draw(st.sampled_from(["write", "remove", "rename", "rights", "link", "parameter", "nothing"]))
    path = draw(st.sampled_from([*PATHS, *named * len(PATHS)]))
    there = [path] if path in files else sorted(files)
    if kind == "write":
        files[path] = draw(text_of(path))
    elif kind == "remove" and there:
        del files[draw(st.sampled_from(there))]
    elif kind == "rename" and there:
        files[draw(st.sampled_from(PATHS))] = files.pop(draw(st.sampled_from(there)))
    elif kind == "rights":
        executable ^= {path}
    elif kind == "link":
        links["link"] = draw(st.sampled_from(TARGETS))
    elif kind == "parameter":
        return before._replace(parameter="two" if before.parameter == "one" else "one")
    return Given(files, frozenset(executable), links, before.parameter)


PLACES = st.sampled_from([*PATHS, "link", "d/link", "nowhere", "/valohai/inputs/i/one"])
LOOKS = st.one_of(
    st.tuples(st.sampled_from(["read", "exists", "kind", "time", "mapped", "copied", "moved", "written"]), PLACES),
    st.tuples(st.sampled_from(["list", "walk"]), st.sampled_from([*FOLDERS, "link", "/valohai/inputs"])),
    st.tuples(st.just("import"), st.sampled_from(MODULES)),
    st.tuples(st.just("branch"), PLACES, PLACES, PLACES),
    st.tuples(st.just("follow"), PLACES),
    st.tuples(st.sampled_from(["value", "told"])),
    st.tuples(st.just("exit"), PLACES),
)

READER = """
import importlib, json, mmap, os, shutil, stat, sys
os.environ["PYTHONDONTWRITEBYTECODE"] = sys.dont_write_bytecode = "1"
sys.path.insert(0, ".")
out = open("/valohai/outputs/seen", "w")
def tell(*words):
    print(*words, file=out, flush=True)
def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return f"error {error.errno}"
def kind(path):
    try:
        found = os.lstat(path)
        return stat.S_IFMT(found.st_mode), found.st_mode & 0o100, os.readlink(path) if os.path.islink(path) else ""
    except OSError as error:
        return error.errno
code = 0
for what, *more in json.loads(sys.argv.pop(1)):
    path = more[0] if more else ""
    try:
        if what == "read": tell(what, path, read(path))
        elif what == "exists": tell(what, path, os.path.exists(path), os.access(path, os.X_OK))
        elif what == "kind": tell(what, path, kind(path))
        elif what == "time": tell(what, path, os.path.isfile(path) and os.path.getmtime(path) == 1e9)
        elif what == "mapped":
            with open(path, "rb") as file: tell(what, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:])
        elif what == "copied": shutil.copy(path, "copy"); tell(what, read("copy"))
        elif what == "moved": os.rename(path, "moved"); tell(what, read("moved"))
        elif what == "written": open(path, "a").write("more"); tell(what, read(path))
        elif what == "list": tell(what, path, sorted(os.listdir(path)))
        elif what == "walk": tell(what, sorted((top, sorted(names)) for top, _, names in os.walk(path)))
        elif what == "import": tell(what, path, importlib.import_module(path).V, importlib.import_module(path).__doc__)
        elif what == "branch": tell(what, read(more[1] if os.path.exists(path) else more[2]))
        elif what == "follow": tell(what, read(read(path).strip() or "."))
        elif what == "value": tell(what, sys.argv[1:])
        elif what == "told": tell(what, read("/valohai/config/parameters.json"))
        elif what == "exit": code = 3 if read(path).startswith("y") else code
    except Exception as error:
        tell(what, "failed", type(error).__name__)
print(json.dumps({"seen": out.tell()}))
sys.exit(code)
"""

WORDS = [
    "cat data.txt",
    "ls",
    "ls d",
    "find . | sort",
    "grep -r x .",
    "test -x run.sh && echo yes",
    ". ./run.sh",
    "sh run.sh",
]
WORDS += [
    "./run.sh",
    "cat d/*",
    "cat /valohai/inputs/i/*",
    "cp -r d /tmp/d && cat /tmp/d/*",
    "python -c 'import pkg.c; print(pkg.c.V)'",
]
WORDS += [
    "python a.py",
    "head -c 1 a.py",
    "tail -n +1 *.py",
    "mv data.txt z && cat z",
    "cd d && cat x.txt; cd ..",
    "wc -c < data.txt",
]
WORDS += [
    "echo $MODE {parameter-value:p}",
    "cat /valohai/config/parameters.json",
    "ls /valohai/inputs/i",
    "readlink link",
    "cat link",
    "test -e b.py || cat data.txt",
    "tar cf - d | tar tf -",
    "od -c < in/one",
]


class Program(NamedTuple):
    """The command of a step."""

    command: str


def _value(looks: list[tuple[str, ...]]) -> str:
    """The parameter in the command, where the program looks for it there."""
    return " {parameter-value:p}" if ("value",) in looks else ""


PROGRAMS = st.one_of(
    st.lists(LOOKS, min_size=1, max_size=4).map(
        lambda looks: Program(f"python /valohai/repository/look.py '{json.dumps(looks)}'{_value(looks)}")
    ),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(
        lambda words: Program("(" + "; ".join(words) + ") > /valohai/outputs/seen 2>&1")
    ),
)


@dataclass(frozen=True)
class Place:
    """Where all of this happens: one store, and a folder that becomes one repository after the other."""

    folder: Path
    store: Path

    def run(self, given: Given, program: Program, wish: Wish) -> tuple[Execution, bool]:
        """What stands for the step or how it ran; whether it was reused."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        text = YAML.format(command=json.dumps(program.command), parameter=given.parameter)
        self._write("valohai.yaml", text)
        self._write("look.py", READER)
        for path, text in {"in/one": "one\n", **given.files}.items():
            self._write(path, text)
            if path in given.executable:
                (self.folder / path).chmod(0o755)
        for path, target in given.links.items():
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).symlink_to(target)
        place = locate(self.folder)
        project = open_project(place, None)
        plan = compile_step(project.steps["s"], Arguments(str(self.folder)), str(self.folder))
        options = Settings(self.store, executor="sandbox")
        ended = run_plan(
            Request(plan, place, project, options, ("exec", "s"), git=False, reuse=wish), lambda event: None
        )
        node = ended.run.nodes["s"]
        if node.reused is None:
            return ended.run.executions[node.executions[-1]], False
        with Store.open(self.store, create=False) as store:
            return store.run(node.reused.run).executions[node.reused.execution], True

    def _write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(exist_ok=True, parents=True)
        (self.folder / path).write_text(text)


def result(execution: Execution) -> Any:
    """All that a step leaves and others can see."""
    outputs = {output.name: output.digest for output in execution.outputs}
    return execution.state, execution.exit_code, outputs, dict(execution.metrics)


@pytest.fixture(scope="module")
def place(sandbox: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One store for all examples, so that each may be taken for any of them."""
    top = tmp_path_factory.mktemp("reuse")
    config = tempfile.mkdtemp(dir=top)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", config)
        yield Place(top / "repository", top / "store")


EXAMPLES = int(os.environ.get("MLRUN_EXAMPLES", "30"))
HITS: dict[str, int] = {"reused": 0, "ran": 0}


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(GIVEN, PROGRAMS, st.data(), st.sampled_from(CodeKey))
def test_what_stands_for_a_step_is_what_running_it_gives(
    place: Place, given: Given, program: Program, data: st.DataObject, kind: CodeKey
) -> None:
    states: Sequence[Given] = [given]
    for _ in range(data.draw(st.integers(1, 3))):
        states = [*states, data.draw(edits(states[-1], program.command))]
    for state in states:
        stands, reused = place.run(state, program, Wish(code_key=kind))
        HITS["reused" if reused else "ran"] += 1
        if reused:
            assert stands.state is State.SUCCEEDED
            ran, again = place.run(state, program, NEVER)
            assert not again
            assert result(ran) == result(stands), (state, program)


def test_some_of_these_were_reused_and_some_ran(place: Place) -> None:
    """Else the test above would have shown nothing."""
    if not sum(HITS.values()):
        pytest.skip("no examples were run")
    assert HITS["reused"] > EXAMPLES // 10
    assert HITS["ran"] > EXAMPLES // 10
