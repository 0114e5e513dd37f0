"""Nothing is computed twice, and nothing that differs is taken for the same."""

import http.server
import os
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from .two_nodes import BOTH, FILES, NONE, YAML, edit, fates, two_nodes


@pytest.fixture
def project(made, sandbox):
    return two_nodes(made)


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


def test_a_project_of_another_history_has_the_same_work_done_already_and_is_told_whose_it_is(project, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for path, text in {"valohai.yaml": YAML, **FILES}.items():
        (other / path).write_text(text)
    # Without git the folder itself is the project.
    done = project.succeeds("pipeline", "p", "--no-git", folder=other)
    assert "2 nodes, all reused" in done.err
    assert f"make: reused execution 1 of run 1 of project `{project.folder.name}`" in done.err


def test_after_a_run_of_nothing_it_is_told_where_the_outputs_are(project, tmp_path):
    done = project.succeeds("pipeline", "p")
    assert "outputs: `mlrun outputs run:2 --node use` lists them, `-d DIR` copies them out" in done.err
    project.succeeds("outputs", "run:2", "--node", "use", "-d", tmp_path / "out")
    assert (tmp_path / "out" / "used.txt").read_text().endswith("used\n")
    assert "outputs: `mlrun outputs run:3 --node make` lists them" in project.succeeds("exec", "make", "--reuse").err


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


def test_properties_of_a_file_count_below_as_its_content_does(project):
    def describe(note: int) -> None:
        sidecar = "/valohai/outputs/made.txt.metadata.json"
        text = FILES["make.py"] + f"open('{sidecar}', 'w').write('{{\"note\": {note}}}')\n"
        project.write("make.py", text)

    describe(1)
    assert fates(project) == NONE
    describe(2)
    assert fates(project) == NONE
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
