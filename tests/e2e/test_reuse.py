"""Nothing is computed twice, and nothing that differs is taken for the same."""

import http.server
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

YAML = """\
- step:
    name: make
    image: busybox:1
    command: python make.py {parameters}
    parameters: [{name: level, type: integer, default: 1}]
- step:
    name: use
    image: busybox:1
    command: cp /valohai/inputs/data/made.txt /valohai/outputs/used.txt && cat use.txt >> /valohai/outputs/used.txt
    inputs: [{name: data}]
- pipeline:
    name: p
    nodes:
      - {name: make, type: execution, step: make}
      - {name: use, type: execution, step: use}
    edges: [[make.output.made.txt, use.input.data]]
"""
FILES = {
    "make.py": "# makes\nimport sys, lib\nopen('/valohai/outputs/made.txt', 'w').write(lib.text(sys.argv))\n",
    "lib.py": "def text(argv):\n    return str(len(argv))\n",
    "use.txt": "used\n",
    "README": "hello\n",
}


@pytest.fixture
def project(made, sandbox):
    """A pipeline of two nodes, run once. Only the sandbox can tell which files were read."""
    project = made(YAML, FILES, MLRUN_EXECUTOR="sandbox")
    project.succeeds("pipeline", "p")
    return project


def fates(project, *more: str) -> dict[str, str]:
    """What became of the nodes of another run."""
    done = project.succeeds("pipeline", "p", "--json", *more)
    return {name: node["state"] for name, node in done.json()["nodes"].items()}


BOTH = {"make": "reused", "use": "reused"}
NONE = {"make": "succeeded", "use": "succeeded"}


def edit(path: str, before: str, after: str) -> Callable[[Any], object]:
    def change(project) -> object:
        text = (project.folder / path).read_text()
        assert before in text
        return project.write(path, text.replace(before, after))

    return change


def touch(project) -> None:
    for path in project.folder.glob("*.*"):
        os.utime(path, (1, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda project: None,
        touch,
        edit("make.py", "# makes", "# really makes\n\n"),
        edit("README", "hello", "good bye"),
        edit("valohai.yaml", "- step:\n    name: make\n", "# a comment\n- step:\n    name: make\n    time-limit: 1h\n"),
        lambda project: project.commit(),
        lambda project: project.git("checkout", "--quiet", "-b", "other"),
    ],
    ids=["nothing", "times", "a comment", "a file nobody reads", "a comment and a limit", "a commit", "a branch"],
)
def test_what_changes_nothing_runs_nothing(project, change):
    change(project)
    assert fates(project, "--title", "another") == BOTH


def test_a_checkout_elsewhere_of_the_same_code_runs_nothing(project, tmp_path):
    project.git("clone", "--quiet", ".", tmp_path / "clone")
    done = project.succeeds("pipeline", "p", "--json", folder=tmp_path / "clone")
    assert {name: node["state"] for name, node in done.json()["nodes"].items()} == BOTH


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (edit("make.py", "'w'", "'wb+'[:1]"), {"make": "succeeded", "use": "reused"}),
        (edit("lib.py", "len(argv)", "len(argv) + 5"), NONE),
        (edit("use.txt", "used", "other"), {"make": "reused", "use": "succeeded"}),
        (edit("valohai.yaml", "default: 1", "default: 2"), {"make": "succeeded", "use": "reused"}),
        (edit("valohai.yaml", "python make.py", "python -B make.py"), {"make": "succeeded", "use": "reused"}),
        (lambda project: project.write("new", ""), {"make": "succeeded", "use": "succeeded"}),
        (lambda project: (project.folder / "README").unlink(), NONE),
        (lambda project: (project.folder / "README").chmod(0o755), NONE),
    ],
    ids=["code", "a module", "a file that is read", "a parameter", "a command", "a new file", "one less", "rights"],
)
def test_what_changes_something_runs_what_it_changes_and_cuts_off_what_comes_out_the_same(project, change, expected):
    change(project)
    assert fates(project) == expected
    assert fates(project) == BOTH


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--no-reuse"], NONE),
        (["--refresh", "make"], {"make": "succeeded", "use": "reused"}),
        (["--refresh", "*"], NONE),
        (["--network", "none"], NONE),
        (["--var", "X=1"], NONE),
        (["--code-key", "bytes"], BOTH),
    ],
)
def test_the_command_line_says_what_is_reused(project, option, expected):
    assert fates(project, *option) == expected


def test_bytes_of_python_files_count_where_the_user_says_so(project):
    project.write("make.py", FILES["make.py"] + "# more\n")
    assert fates(project, "--code-key", "bytes") == {"make": "succeeded", "use": "reused"}
    config = project.command.scratch / "config" / "mlrun"
    config.mkdir(parents=True)
    (config / "settings.toml").write_text('code-key = "bytes"\n')
    project.write("make.py", FILES["make.py"] + "# even more\n")
    careful = project.with_variables(XDG_CONFIG_HOME=str(config.parent))
    assert fates(careful) == {"make": "succeeded", "use": "reused"}
    assert fates(project) == BOTH
    config.joinpath("settings.toml").unlink()
    config.rmdir()
    config.parent.rmdir()


def test_a_pipeline_that_wants_no_reuse_has_none(project):
    edit("valohai.yaml", "    name: p\n", "    name: p\n    reuse-executions: false\n")(project)
    assert fates(project) == NONE
    assert fates(project) == NONE


def test_a_single_step_is_reused_only_if_asked_and_by_what_a_pipeline_did(project):
    assert project.succeeds("exec", "make", "--json").json()["nodes"]["make"]["state"] == "succeeded"
    found = project.succeeds("exec", "make", "--reuse", "--json").json()
    assert found["nodes"]["make"]["state"] == "reused"
    assert found["executions"] == {}


def test_a_policy_says_never_or_for_how_long_and_what_counts(project):
    text = (project.folder / "valohai.yaml").read_text()
    project.write("valohai.yaml", text + "- policy: {step: make, reuse: never}\n")
    assert fates(project) == {"make": "succeeded", "use": "reused"}
    project.write("valohai.yaml", text + "- policy: {step: make, reuse: 1d}\n")
    assert fates(project) == BOTH
    project.write("valohai.yaml", text + "- policy: {step: make, reuse: 0.001}\n")
    assert fates(project) == {"make": "succeeded", "use": "reused"}
    # What was recorded before there was a policy stands all the same.
    project.write("valohai.yaml", text + '- policy: {step: make, code: ["*.py"]}\n')
    project.write("new", "")
    assert fates(project) == {"make": "reused", "use": "succeeded"}
    project.write("new.py", "")
    assert fates(project)["make"] == "succeeded"


def test_yaml_that_a_step_reads_is_code_to_it(made, sandbox):
    text = "- step: {name: s, image: 'busybox:1', command: 'cp valohai.yaml /valohai/outputs'}\n"
    project = made(text, MLRUN_EXECUTOR="sandbox")

    def state() -> str:
        return project.succeeds("exec", "s", "--reuse", "--json").json()["nodes"]["s"]["state"]

    assert [state(), state()] == ["succeeded", "reused"]
    project.write("valohai.yaml", text + "# a comment\n")
    assert [state(), state()] == ["succeeded", "reused"]


def test_a_step_of_which_nobody_knows_what_it_read_runs_after_any_change(made):
    project = made(YAML, FILES, MLRUN_EXECUTOR="process")
    assert [fates(project), fates(project)] == [NONE, BOTH]
    project.write("README", "good bye")
    assert fates(project) == NONE


def last(project, node: str) -> dict[str, Any]:
    """The newest execution of a node of run 1."""
    run = project.show("run:1")
    (id,) = run["nodes"][node]["executions"]
    return {"id": id, **run["executions"][id]}


def test_an_output_that_was_lost_or_tampered_with_is_made_again(project):
    digest = last(project, "make")["outputs"][0]["digest"]
    path = project.command.store / "objects" / digest[:2] / digest
    before, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(bytes(byte ^ 1 for byte in data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(0o444)
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert fates(project)["make"] == "succeeded"
    assert path.read_bytes() == data
    path.unlink()
    assert fates(project)["make"] == "succeeded"
    assert fates(project) == BOTH


def test_a_forged_row_of_the_index_finds_nothing_that_its_record_does_not_say(project):
    edit("valohai.yaml", "default: 1", "default: 2")(project)
    edit("use.txt", "used", "other")(project)
    assert fates(project) == NONE
    newest = project.show("run:latest")["executions"].values()
    wanted = {one["node"]: one["key"] for one in newest}
    old = {name: last(project, name)["id"] for name in wanted}
    with sqlite3.connect(project.command.store / "index.sqlite") as index:
        for name, key in wanted.items():
            index.execute("DELETE FROM keys WHERE base = ?", (bytes.fromhex(key),))
            index.execute("INSERT INTO keys VALUES (?, ?)", (bytes.fromhex(key), old[name]))
            index.execute("DELETE FROM steps WHERE execution <> ?", (old[name],))
    index.close()
    assert fates(project)["make"] == "succeeded"


def test_a_journal_that_was_edited_stands_for_nothing(project):
    run = project.show("run:1")
    path = project.command.store / "runs" / run["id"] / "journal"
    data = path.read_bytes()
    edit("valohai.yaml", "default: 1", "default: 2")(project)
    path.chmod(0o644)
    path.write_bytes(data.replace(b'"level":1', b'"level":2'))
    assert path.read_bytes() != data
    done = project.mlrun("pipeline", "p", "--json")
    assert done.code == 0, str(done)
    assert {name: node["state"] for name, node in done.json()["nodes"].items()}["make"] == "succeeded"


# --- names


NAMED = """\
- step:
    name: make
    image: busybox:1
    command: python make.py
- pipeline: {name: p, nodes: [{name: make, type: execution, step: make}], edges: []}
"""
MAKE = """\
import json
for name, wish in [("a", {"valohai.alias": "best"}), ("b", {"valohai.dataset-versions": ["dataset://d/v1"]}),
                   ("c", {"valohai.dataset-versions": [{"uri": "dataset://e/new"}]})]:
    open(f"/valohai/outputs/{name}", "w").write(name)
    json.dump(wish, open(f"/valohai/outputs/{name}.metadata.json", "w"))
"""


def test_names_that_reused_outputs_ask_for_are_set_again(made):
    project = made(NAMED, {"make.py": MAKE})

    def names() -> Any:
        return [project.succeeds(*words, "--json").json() for words in (["alias"], ["dataset", "list"])]

    assert fates(project) == {"make": "succeeded"}
    before = names()
    assert fates(project) == {"make": "reused"}
    assert names() == before
    first = project.succeeds("alias", "--json").json()
    project.succeeds("alias", "best", "1/b")
    assert fates(project) == {"make": "reused"}
    assert _meaning(project.succeeds("alias", "--json").json()) == _meaning(first)
    project.succeeds("alias", "--remove", "best")
    assert fates(project) == {"make": "reused"}
    assert _meaning(project.succeeds("alias", "--json").json()) == _meaning(first)


def test_a_node_below_one_whose_names_come_back_gets_what_they_mean_then(made):
    below = "{name: use, image: 'busybox:1', command: 'cat /valohai/inputs/d/* > /valohai/outputs/x', "
    inputs = "inputs: [{name: d, default: 'datum://best'}, {name: e}]}"
    nodes = "[{name: make, type: execution, step: make}, {name: use, type: execution, step: use}]"
    pipeline = f"- pipeline: {{name: p, nodes: {nodes}, edges: [[make.output.b, use.input.e]]}}\n"
    project = made(NAMED.partition("- pipeline")[0] + f"- step: {below}{inputs}\n" + pipeline, {"make.py": MAKE})
    project.write("other", "other")
    project.succeeds("exec", "make")
    assert fates(project)["use"] == "succeeded"
    project.succeeds("alias", "best", "1/b")
    assert fates(project) == BOTH


def _meaning(aliases: Any) -> list[Any]:
    return [(one["name"], one["datum"]) for one in aliases]


# --- http


class Page(http.server.BaseHTTPRequestHandler):
    """One page with a validator, and what was asked for it."""

    text = b"one"
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        tag = f'"{hash(self.text)}"'
        known = self.headers.get("If-None-Match")
        self.asked.append((self.command, known))
        if known == tag:
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(self.text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.text)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def page() -> Iterator[str]:
    Page.text, Page.asked = b"one", []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/page"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_lies_on_the_web_is_asked_for_before_it_counts_as_unchanged(made, page):
    step = "{name: s, image: 'busybox:1', command: 'cat /valohai/inputs/d/* > /valohai/outputs/x', "
    text = f"- step: {step} inputs: [{{name: d, default: '{page}'}}]}}\n"
    project = made(text + "- pipeline: {name: p, nodes: [{name: s, type: execution, step: s}], edges: []}\n")
    assert fates(project) == {"s": "succeeded"}
    Page.asked.clear()
    assert fates(project) == {"s": "reused"}
    assert [known is not None for _, known in Page.asked] == [True]
    Page.text = b"two"
    assert fates(project) == {"s": "succeeded"}
    assert fates(project) == {"s": "reused"}


def test_a_hit_says_how_old_it_is(made):
    step = "- step: {name: s, image: 'busybox:1', command: 'date > /valohai/outputs/x'}\n"
    project = made(step + "- pipeline: {name: p, nodes: [{name: s, type: execution, step: s}], edges: []}\n")
    assert fates(project) == {"s": "succeeded"}
    done = project.succeeds("pipeline", "p")
    assert " ago" in done.out + done.err or "just now" in done.out + done.err


# --- accept


def test_what_is_accepted_stands_until_something_else_changes_and_can_be_taken_back(project):
    edit("lib.py", "len(argv)", "len(argv) * 1")(project)
    said = project.succeeds("accept", "make").out
    assert "execution 1 of run 1 stands for node make" in said
    assert "lib.py" in said
    assert fates(project) == BOTH
    edit("lib.py", "def text", "# why not\ndef text")(project)
    assert fates(project) == BOTH
    project.succeeds("store", "rebuild")
    assert fates(project) == BOTH
    assert "nothing that counts is different" in project.refused("accept", "make", code=2)

    project.succeeds("accept", "make", "--undo")
    assert "nothing is accepted" in project.refused("accept", "make", "--undo", code=2)
    project.succeeds("accept", "make", "--json")
    edit("lib.py", "* 1", "* 1 + 7")(project)
    assert fates(project) == NONE


def test_other_values_and_names_can_be_accepted_too(project):
    edit("valohai.yaml", "default: 1", "default: 2")(project)
    project.write("new", "")
    told = project.succeeds("accept", "make", "--json").json()
    assert (told["node"], told["counter"], len(told["causes"])) == ("make", 1, 3)
    # What is below can be accepted once nothing above it runs.
    project.succeeds("accept", "use")
    assert fates(project) == BOTH
    undone = project.succeeds("accept", "use", "--undo", "--json").json()
    assert [one["node"] for one in undone] == ["use"]
    assert fates(project) == {"make": "reused", "use": "succeeded"}


def test_what_cannot_be_accepted_is_refused(project):
    edit("lib.py", "len(argv)", "len(argv) * 1")(project)
    assert "depends on what `make` will write" in project.refused("accept", "use", code=2)
    project.refused("accept", "nowhere", code=2)
    project.write("valohai.yaml", YAML + "- policy: {step: make, reuse: never}\n")
    assert "nothing can stand for node `make`" in project.refused("accept", "make", code=2)


def test_a_run_whose_executions_stand_elsewhere_is_removed_only_with_a_word(project):
    assert fates(project) == BOTH
    assert "stands for node" in project.refused("rm", "run:1", code=40)
    assert "stands for node" in project.succeeds("rm", "run:1", "--force").err
    assert fates(project) == NONE
