"""Inputs of every kind, as a step sees them and as the record tells of them."""

import hashlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project

Make = Callable[..., Project]

STEP = """
- step:
    name: look
    image: busybox
    command:
      - find -L "$VH_INPUTS_DIR" -type f -exec cat {{}} +
      - cat "$VH_CONFIG_DIR/inputs.json" > "$VH_OUTPUTS_DIR/inputs.json"
    parameters:
      - {{name: which, type: string, default: a}}
    inputs:
      - name: data
        default: {default}
"""


def yaml(default: str) -> str:
    return STEP.format(default=default)


class Site(BaseHTTPRequestHandler):
    """`/hang` never answers, `/slow` takes its time, everything else is `hello`."""

    released = threading.Event()
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("If-None-Match")))
        if self.path == "/hang":
            self.released.wait(120)
            return
        if self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", "400")
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b"0123456789")
                self.released.wait(0.1)
            return
        known = self.headers.get("If-None-Match") == '"v1"'
        self.send_response(304 if known else 200)
        self.send_header("ETag", '"v1"')
        if not known:
            self.send_header("Content-Length", "6")
        self.end_headers()
        if not known:
            self.wfile.write(b"hello\n")

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def site() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """The address of a server, and what it was asked for."""
    Site.seen = []
    Site.released = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", Site.seen
        Site.released.set()
        server.shutdown()


def inputs_json(project: Project, tmp_path: Path, subject: str = "latest") -> Any:
    """The `inputs.json` that the step saw."""
    return json.loads(project.outputs(subject, tmp_path / f"out-{subject}")["inputs.json"])


def test_a_file_of_the_web_is_downloaded_once_and_its_login_stands_nowhere(
    make: Make, site: tuple[str, list[tuple[str, str | None]]], tmp_path: Path
) -> None:
    address, seen = site
    project = make(yaml("none.csv"))
    for _ in range(2):
        done = project.succeeds("exec", "look", "--data", f"http://me:s3cr3tly@{address}/x.csv")
        assert "hello" in done.out
        assert "s3cr3tly" not in done.out + done.err
    assert seen == [("/x.csv", None), ("/x.csv", '"v1"')]
    (file,) = inputs_json(project, tmp_path)["data"]["files"]
    assert (file["name"], file["uri"], file["size"]) == ("x.csv", f"http://{address}/x.csv", 6)
    store = project.command.store
    kept = [path for path in store.rglob("*") if path.is_file() and b"s3cr3tly" in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_never_answers_does_not_keep_a_run_from_ending(
    make: Make, site: tuple[str, list[tuple[str, str | None]]], until: Callable[..., None], number: signal.Signals
) -> None:
    address, seen = site
    project = make(yaml(f"http://{address}/hang"))
    running = project.start("exec", "look")
    until(lambda: seen, "request")
    running.signal(number)
    done = running.end()
    assert done.code == 128 + number, str(done)
    assert project.show()["state"] == "stopped"


def test_a_slow_download_is_told_with_its_size(make: Make, site: tuple[str, list[tuple[str, str | None]]]) -> None:
    project = make(yaml(f"http://{site[0]}/slow"))
    done = project.succeeds("exec", "look")
    told = [line for line in done.err.splitlines() if line.startswith(f"look: downloading `http://{site[0]}/slow`: ")]
    assert told, str(done)
    assert all(" of 400 B (" in line for line in told)
    assert told[-1].endswith("400 B of 400 B (100 %)")


def test_what_no_server_has_fails_the_run_with_its_own_reason(
    make: Make, site: tuple[str, list[tuple[str, str | None]]]
) -> None:
    project = make(yaml("http://127.0.0.1:9/x.csv"))
    done = project.fails("exec", "look", code=41)
    assert "cannot download `http://127.0.0.1:9/x.csv`" in done.err
    assert "mlrun inputs map" in done.err
    assert project.show()["nodes"]["look"]["reason"] == "input"


ADDRESSES = [
    "s3://bucket/a.csv",
    "gs://bucket/a.csv",
    "azure://account/container/a.csv",
    "swift://project/container/a.csv",
    "datum://nobody",
    "dataset://nothing/latest",
    "model://nothing/latest",
    "http://127.0.0.1:9/a.csv",
    "file:///etc/hostname",
    "missing.csv",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_local_file_on_the_command_line_takes_the_place_of_any_address(
    make: Make, tmp_path: Path, address: str
) -> None:
    (tmp_path / "mine.csv").write_text("my own rows\n")
    project = make(yaml(address))
    assert "my own rows" in project.succeeds("exec", "look", "--data", tmp_path / "mine.csv").out


def test_a_map_takes_the_place_of_an_address_for_good(make: Make, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.csv").write_text("mapped rows\n")
    project = make(yaml("s3://far/away/{parameter:which}.csv")).with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))
    project.succeeds("inputs", "map", "s3://far/away/", f"{tmp_path}/bucket/")
    done = project.succeeds("exec", "look")
    assert "mapped rows" in done.out
    assert f"`s3://far/away/a.csv` is taken from `{tmp_path}/bucket/a.csv`" in done.err
    (listed,) = project.succeeds("inputs", "--json").json()["data"]
    assert listed["origin"] == f"{tmp_path}/bucket/a.csv"
    project.refused("exec", "look", "--which", "b", code=41)


def test_several_sources_lie_in_one_folder_and_of_equal_names_the_last_stays(make: Make, tmp_path: Path) -> None:
    default = "[one/*.csv, 'file://{parameter:which}', two]"
    files = {"one/a.csv": "first a\n", "one/b.csv": "b\n", "two/a.csv": "second a\n"}
    project = make(yaml(default), files)
    done = project.succeeds("exec", "look", "--which", str(project.folder / "one/b.csv"))
    assert "two files named `a.csv`" in done.err
    assert "two files named `b.csv`" not in done.err
    assert sorted(done.out.split("\n")[:2]) == ["b", "second a"]
    assert [file["name"] for file in inputs_json(project, tmp_path)["data"]["files"]] == ["b.csv", "a.csv"]


PIPELINE = """
- step:
    name: make
    image: busybox
    command:
      - mkdir -p "$VH_OUTPUTS_DIR/models" && echo weights > "$VH_OUTPUTS_DIR/models/m.pkl"
      - >-
        echo '{"valohai.alias": "best", "valohai.dataset-versions": ["dataset://zoo/v1"], "accuracy": 0.9}'
        > "$VH_OUTPUTS_DIR/models/m.pkl.metadata.json"
"""


def test_what_an_execution_left_is_an_input_by_alias_id_digest_and_dataset(make: Make, tmp_path: Path) -> None:
    project = make(PIPELINE + yaml("datum://best"))
    project.succeeds("exec", "make")
    project.succeeds("exec", "look")
    (file,) = inputs_json(project, tmp_path)["data"]["files"]
    assert (file["name"], file["uri"]) == ("m.pkl", f"datum://{file['datum_id']}")
    assert file["metadata"][0]["accuracy"] == 0.9
    digest = file["checksums"]["blake3"]
    for uri in (f"datum://{file['datum_id']}", f"datum://{digest}", "dataset://zoo/v1", "dataset://zoo/latest"):
        assert "weights" in project.succeeds("exec", "look", "--data", uri).out
        assert project.succeeds("inputs", "--json").json()["data"][0]["origin"] == file["uri"]
    assert "did you mean `best`?" in project.refused("exec", "look", "--data", "datum://bset", code=41)


def test_the_checksums_that_the_settings_ask_for_stand_in_inputs_json(make: Make, tmp_path: Path) -> None:
    (tmp_path / "config" / "mlrun").mkdir(parents=True)
    (tmp_path / "config" / "mlrun" / "settings.toml").write_text('checksums = ["md5", "sha256"]\n')
    project = make(yaml("a.csv"), {"a.csv": "rows\n"}).with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))
    project.succeeds("exec", "look")
    (file,) = inputs_json(project, tmp_path)["data"]["files"]
    assert set(file["checksums"]) == {"blake3", "md5", "sha256"}
    assert file["checksums"]["md5"] == hashlib.md5(b"rows\n").hexdigest()
    (tmp_path / "config" / "mlrun" / "settings.toml").write_text('checksums = ["md6"]\n')
    assert "did you mean `md5`?" in project.refused("exec", "look", code=2)


def test_a_link_in_the_repository_does_not_lead_out_of_it(make: Make, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private\n")
    project = make(yaml("data"), {"data/a.csv": "rows\n"})
    (project.folder / "data" / "b.csv").symlink_to(tmp_path / "private")
    assert "outside the project" in project.refused("exec", "look", code=40)
    assert "private" in project.succeeds("exec", "look", "--data", "data").out


@pytest.mark.parametrize("address", ["http://169.254.169.254/latest/meta-data/", "http://2852039166/x"])
def test_a_repository_may_not_ask_for_a_clouds_credentials(make: Make, address: str) -> None:
    done = make(yaml(address)).fails("exec", "look", code=40)
    assert "link-local" in done.err
