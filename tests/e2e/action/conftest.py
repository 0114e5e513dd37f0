"""A runner for the GitHub Action: its own steps run with bash, on real clones, against an API on loopback."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TOKEN = "ghs_thetokenthatnobodymaysee0123456789"
BOT = "github-actions[bot]"
PATIENCE = 120

GOOD = Path(__file__).with_name("good.yaml").read_text()


# --- an API


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    data: Any


@dataclass
class Hub:
    """The comments of a pull request, and the troubles that the server makes next."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    readonly: bool = False
    asked: list[Asked] = field(default_factory=list)
    page: int = 30

    def add(self, body: str, login: str = BOT) -> dict[str, Any]:
        number = max((item["id"] for item in self.comments), default=100) + 1
        comment = {"id": number, "body": body, "user": {"login": login}}
        comment["html_url"] = f"{self.url}/me/it/pull/7#issuecomment-{number}"
        self.comments.append(comment)
        return comment

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(asked)
        if self.troubles:
            return self.troubles.pop(0)
        status, data, headers = self._answer(asked)
        return status, headers, json.dumps(data).encode()

    def _answer(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        path, _, query = asked.path.removeprefix("/api/v3").partition("?")
        if path == "/user" or (self.readonly and asked.method != "GET"):
            return 403, {"message": f"Resource not accessible by integration, {TOKEN}"}, {}
        if (asked.method, path) == ("GET", "/repos/me/it/issues/7/comments"):
            number = int((re.search(r"\bpage=(\d+)", query) or [0, "1"])[1])
            following = f'<{self.url}/api/v3{path}?per_page=100&page={number + 1}>; rel="next"'
            end = number * self.page
            headers = {"Link": following} if end < len(self.comments) else {}
            return 200, self.comments[end - self.page : end], headers
        if (asked.method, path) == ("POST", "/repos/me/it/issues/7/comments"):
            return 201, self.add(asked.data["body"]), {}
        found = re.fullmatch(r"/repos/me/it/issues/comments/(\d+)", path)
        if asked.method == "PATCH" and found:
            comment = next(item for item in self.comments if item["id"] == int(found[1]))
            comment["body"] = asked.data["body"]
            return 200, comment, {}
        return 404, {"message": "Not Found"}, {}

    def changes(self) -> list[str]:
        return [asked.method for asked in self.asked if asked.method != "GET"]


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, dict(self.headers), json.loads(body) if body else None)
        status, headers, data = self.server.hub.answer(asked)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        self.handle_any()

    def do_PATCH(self) -> None:
        self.handle_any()

    def do_DELETE(self) -> None:
        self.handle_any()

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub


def serve() -> Iterator[Hub]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.hub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    yield from serve()


@pytest.fixture
def stranger() -> Iterator[Hub]:
    """Another server."""
    yield from serve()


# --- a repository with a pull request


@dataclass
class Repository:
    """What the server has: `main`, a pull request's branch, and the trial merge of both."""

    folder: Path

    def git(self, *words: str, folder: Path | None = None) -> str:
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
        done = subprocess.run(
            ["git", *identity, *words],
            cwd=folder or self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder.parent), "GIT_CONFIG_NOSYSTEM": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a state")
        return self.git("rev-parse", "HEAD")


Propose = Callable[..., "Job"]


@dataclass
class Done:
    """A job that has ended."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str

    def commands(self) -> list[str]:
        """The lines of the log that a runner takes for commands."""
        return [line for line in self.log.splitlines() if line.lstrip().startswith("::") or "##[" in line]


@dataclass
class Job:
    """A checkout on a runner, and the event that started it."""

    folder: Path
    hub: Hub
    repository: Repository
    checkout: Path
    event: dict[str, Any]
    name: str = "pull_request"
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, **inputs: str) -> Done:
        """Run all steps of `action.yml` as a runner does, `inputs` with `_` for `-`."""
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        given = {name: str(spec.get("default", "")) for name, spec in action["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() == action["inputs"].keys()
        code, log = 0, ""
        for step in action["runs"]["steps"]:
            assert step["shell"] == "bash"
            values = {name: self._value(text, given) for name, text in step.get("env", {}).items()}
            code, said = self._step(step["run"], values)
            log += said
            if code:
                break
        assert TOKEN not in log
        assert "Traceback" not in log
        outputs = dict(line.split("=", 1) for line in self._file("output").read_text().splitlines())
        named = {name: spec["value"] for name, spec in action["outputs"].items()}
        assert all(value == f"${{{{ steps.check.outputs.{name} }}}}" for name, value in named.items())
        assert outputs.keys() <= named.keys()
        return Done(code, log, outputs, self._file("summary").read_text())

    def _value(self, text: str, given: dict[str, str]) -> str:
        def found(match: re.Match[str]) -> str:
            room, _, name = match[1].partition(".")
            return given[name] if room == "inputs" else {"github.token": TOKEN}[match[1]]

        for _ in range(2):
            text = re.sub(r"\$\{\{ ([a-z.-]+) \}\}", found, text)
        return text

    def _file(self, name: str) -> Path:
        file = self.folder / name
        file.touch()
        return file

    def _step(self, script: str, values: dict[str, str]) -> tuple[int, str]:
        event = self._file("event.json")
        event.write_text(json.dumps(self.event))
        file = self._file("step.sh")
        file.write_text(script)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_API_URL": f"{self.hub.url}/api/v3",
            "GITHUB_SERVER_URL": self.hub.url,
            "GITHUB_EVENT_NAME": self.name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_OUTPUT": str(self._file("output")),
            "GITHUB_STEP_SUMMARY": str(self._file("summary")),
            "GITHUB_REPOSITORY": "me/it",
            "GITHUB_WORKSPACE": str(self.checkout),
            **values,
            **self.variables,
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", file],
            cwd=self.checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout


PYTHON = """\
#!/bin/sh
# Stands for the runner's Python: an environment that it makes is the one of these tests.
echo "$PWD: $*" >> {log}
if [ "$1 $2 $3 $4" = "-I -m venv --clear" ]; then
  mkdir -p "$5/bin"
  ln -sf {mlrun} "$5/bin/mlrun"
  ln -sf {pip} "$5/bin/python"
else
  exec {python} "$@"
fi
"""

PIP = """\
#!/bin/sh
case "$*" in
  "-I -m pip "*) echo "$PWD: $*" >> {log};;
  *) exec {python} "$@";;
esac
"""


@pytest.fixture
def propose(tmp_path: Path, hub: Hub) -> Propose:
    """Makes a pull request out of files before and after, and a runner's checkout of it."""

    def propose(
        before: dict[str, str],
        after: dict[str, str],
        *,
        prepare: Callable[[Path], object] = lambda _: None,
        target: bool = False,
        depth: str = "--depth=1",
    ) -> Job:
        repository = Repository(tmp_path / "hub")
        repository.folder.mkdir()
        repository.git("init", "--quiet", "--initial-branch=main")
        repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
        _write(repository.folder, before)
        repository.commit()
        repository.git("switch", "--quiet", "--create", "feature")
        _write(repository.folder, after)
        prepare(repository.folder)
        head = repository.commit()
        repository.git("switch", "--quiet", "main")
        _write(repository.folder, {"README.md": "main has moved on\n"})
        base = repository.commit()
        repository.git("switch", "--quiet", "--detach", "main")
        repository.git("merge", "--quiet", "--no-ff", "--message", "trial", head)
        repository.git("update-ref", "refs/pull/7/merge", "HEAD")
        repository.git("switch", "--quiet", "main")
        checkout = tmp_path / "work"
        checkout.mkdir()
        repository.git("init", "--quiet", folder=checkout)
        repository.git("remote", "add", "origin", f"file://{repository.folder}", folder=checkout)
        wanted = "main" if target else "refs/pull/7/merge"
        repository.git("fetch", "--quiet", depth, "origin", f"+{wanted}:refs/remotes/pull/7/merge", folder=checkout)
        repository.git("checkout", "--quiet", "refs/remotes/pull/7/merge", folder=checkout)
        ends = {name: {"sha": sha, "repo": {"full_name": "me/it"}} for name, sha in (("base", base), ("head", head))}
        folder = tmp_path / "runner"
        (folder / "temp").mkdir(parents=True)
        python, pip = folder / "python", folder / "pip"
        known = {
            "log": folder / "python.log",
            "python": sys.executable,
            "mlrun": Path(sys.executable).with_name("mlrun"),
        }
        python.write_text(PYTHON.format(**known, pip=pip))
        pip.write_text(PIP.format(**known))
        for program in (python, pip):
            program.chmod(0o755)
        event = {"pull_request": {"number": 7, "title": "$(touch pwned)\n::error::x", **ends}}
        job = Job(folder, hub, repository, checkout, event)
        job.variables["INPUT_PYTHON"] = str(python)
        job.name = "pull_request_target" if target else "pull_request"
        return job

    return propose


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def changed(propose: Propose) -> Job:
    """A pull request that changes a parameter's default."""
    return propose({"valohai.yaml": GOOD}, {"valohai.yaml": GOOD.replace("default: 5", "default: 50")})
