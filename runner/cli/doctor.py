"""`mlrun doctor`: which executors work here and why not, versions, store, git and project."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from runner import __version__
from runner.app.executor import AUTO, open_site
from runner.app.place import locate
from runner.cli.terminal import paint, print_json
from runner.errors import ExitCode, MlrunError
from runner.escape import printable, printable_lines
from runner.executors import EXECUTORS, Site
from runner.executors.docker import DockerExecutor
from runner.job import Probe
from runner.provenance.git import find_repository
from runner.quantity import size_text
from runner.settings import Settings, load_settings, settings_file
from runner.share import own_share, share_of
from runner.store.filesystem import can_clone, look
from runner.store.history import unreadable_runs
from runner.store.layout import FORMAT, Layout
from runner.upkeep.usage import counted_sizes

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun doctor

  mlrun doctor --json"""

_PROGRAM_SECONDS = 5
_PROGRAMS = {"git": ("git", "--version"), "bubblewrap": ("bwrap", "--version")}
"""How a program says its version, as the last word of its first line. An engine says its own in its probe."""


@app.command(epilog=EXAMPLES)
def examine(
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Say which executors work here and why others do not, and what else a run depends on.

    Exit code: 0 if some executor works, 20 if none does.
    """
    settings = load_settings()
    probes = probe_executors(settings)
    report = {
        "executors": {name: asdict(probe) for name, probe in probes.items()},
        "auto": (executor := automatic(settings, probes)),
        "podman": describe_podman(settings, probes),
        "versions": versions(),
        "store": describe_store(settings),
        "settings": describe_settings(settings, executor),
        "git": describe_repository(),
        "project": describe_project(),
    }
    if json:
        print_json(report)
    else:
        print(page(report))
    return ExitCode.OK if any(probe.works for probe in probes.values()) else ExitCode.EXECUTOR


def probe_executors(settings: Settings) -> dict[str, Probe]:
    """What each executor says of itself."""
    site = open_site(settings)
    return {name: _probe(name, site) for name in EXECUTORS}


def _probe(name: str, site: Site) -> Probe:
    """An executor whose module cannot even be loaded does not work; the others may."""
    try:
        return EXECUTORS[name](site).probe()
    except ImportError as error:
        return Probe(False, f"cannot be loaded: {error}", "install mlrun again, with its dependencies")


def describe_podman(settings: Settings, probes: Mapping[str, Probe]) -> tuple[str, ...]:
    """What differs from Docker where the engine is Podman, in sentences; nothing for Docker itself."""
    if not probes["docker"].works:
        return ()
    executor = EXECUTORS["docker"](open_site(settings))
    try:
        return executor.differences() if isinstance(executor, DockerExecutor) else ()
    except MlrunError:
        return ()


def automatic(settings: Settings, probes: Mapping[str, Probe]) -> str | None:
    """The executor that a run takes if nobody names one; None when it would refuse."""
    names = AUTO if settings.executor == "auto" else (settings.executor,)
    return next((name for name in names if probes[name].works), None)


def versions() -> dict[str, str | None]:
    """Versions of what takes part; None for what is not there."""
    found: dict[str, str | None] = {"mlrun": __version__, "python": f"{platform.python_version()} ({sys.executable})"}
    return found | {name: _version(command) for name, command in _PROGRAMS.items()}


def _version(command: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROGRAM_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    words = done.stdout.decode("utf-8", "replace").split("\n")[0].split()
    return words[-1] if words else None


def describe_store(settings: Settings) -> dict[str, Any]:
    """Where the store is and how it fares; looks, and makes nothing."""
    layout: Layout | None = None
    problem = None
    try:
        layout = Layout.open_existing(settings.store)
    except MlrunError as error:
        problem = error.message
    return {
        "path": str(settings.store),
        "exists": layout is not None or problem is not None,
        "problem": problem,
        "format": FORMAT if layout else None,
        "runs": len(os.listdir(layout.runs)) if layout else 0,
        "unreadable": {id: error.message for id, error in unreadable_runs(layout)} if layout else {},
        "index_size": layout.index.stat().st_size if layout and layout.index.exists() else None,
        "free": _free(settings.store),
        "file_system": describe_file_system(settings.store),
        "quota": settings.quota,
        "used": sum(counted_sizes(layout, remember=False).values()) if layout and settings.quota is not None else None,
    }


def describe_file_system(path: Path) -> dict[str, Any] | None:
    """What the disk of the store is; None if that cannot be told. Inputs are given to steps by the first of reflinks,
    hard links and copies that there is; tried without leaving a name."""
    try:
        found = look(path)
    except OSError:
        return None
    return {"kind": found.kind, "network": found.is_network, "reflinks": can_clone(path)}


def _free(path: Path) -> int | None:
    """Free bytes of the disk that `path` is, or would be, on."""
    for folder in (path, *path.parents):
        try:
            status = os.statvfs(folder)
        except OSError:
            continue
        return status.f_bavail * status.f_frsize
    return None


def describe_settings(settings: Settings, executor: str | None) -> dict[str, Any]:
    """The effective settings, for runs by that executor, and the file they come from; `memory` in bytes."""
    share = share_of(executor) if executor is not None else own_share()
    file = settings_file(os.environ)
    return {
        "file": str(file),
        "exists": file.exists(),
        "executor": settings.executor,
        "network": str(settings.network),
        "jobs": settings.jobs or share.places,
        "cpus": settings.cpus or share.processors,
        "memory": settings.memory or share.memory,
        "grace": settings.grace,
    }


def describe_repository() -> dict[str, Any] | None:
    """The git repository of the current folder; None outside one."""
    repository = find_repository(Path.cwd())
    if repository is None:
        return None
    try:
        return {"root": str(repository.root), "problem": None, **asdict(repository.head())}
    except MlrunError as error:
        return {"root": str(repository.root), "problem": error.message}


def describe_project() -> dict[str, Any]:
    """The YAML file that verbs would use here."""
    try:
        place = locate(Path.cwd())
    except MlrunError as error:
        return {"file": None, "problem": error.message}
    return {"file": str(place.file), "root": str(place.root), "name": place.ref.name, "id": place.ref.id}


def page(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = ["executors"]
    for name, probe in report["executors"].items():
        mark = paint("works", "32", sys.stdout) if probe["works"] else paint("no   ", "31;1", sys.stdout)
        lines.append(f"  {name:<8} {mark}  {printable_lines(probe['sentence'])}")
        if probe["hint"] and not probe["works"]:
            lines.append(f"                  hint: {printable_lines(probe['hint'])}")
    lines += _automatic_lines(report)
    if report["podman"]:
        lines += ["", "Podman, other than Docker", *(f"  {printable(sentence)}" for sentence in report["podman"])]
    lines += ["", "versions"]
    lines += [f"  {name:<10} {printable(version or 'not found')}" for name, version in report["versions"].items()]
    sections: tuple[tuple[str, Iterable[tuple[str, str]]], ...] = (
        ("store", _store_rows(report["store"])),
        ("settings", _settings_rows(report["settings"]).items()),
        ("git", _repository_rows(report["git"]).items()),
        ("project", _project_rows(report["project"]).items()),
    )
    for title, rows in sections:
        lines += ["", title]
        lines += [f"  {name:<10} {printable(text)}" for name, text in rows]
    return "\n".join(lines)


def _automatic_lines(report: Mapping[str, Any]) -> list[str]:
    asked, taken = report["settings"]["executor"], report["auto"]
    if taken:
        return [f"  a run takes {taken}" + (" (settings)" if asked != "auto" else "")]
    works = [name for name, probe in report["executors"].items() if probe["works"]]
    other = f"; `--executor {works[0]}` would work" if works else ""
    return [f"  a run is refused: {asked} finds no executor that works{other}"]


def _store_rows(store: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("path", store["path"])]
    if store["problem"]:
        rows.append(("problem", store["problem"]))
    elif store["exists"]:
        index = "none yet" if store["index_size"] is None else size_text(store["index_size"])
        rows += [("format", str(store["format"])), ("runs", str(store["runs"])), ("index", index)]
        rows += [("unreadable", f"run {id}: {problem}") for id, problem in store["unreadable"].items()]
    else:
        rows.append(("state", "not made yet; the first run makes it"))
    rows += _file_system_rows(store["file_system"])
    if store["quota"] is not None:
        full = ": runs are refused" if (store["used"] or 0) > store["quota"] else ""
        rows.append(("quota", f"{size_text(store['used'] or 0)} of {size_text(store['quota'])}{full}"))
    return rows + ([("free disk", size_text(store["free"]))] if store["free"] is not None else [])


def _file_system_rows(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    sharing = {True: "reflinks", False: "no reflinks: hard links or copies", None: "not tried"}[found["reflinks"]]
    rows = [("on", f"{found['kind']}; {sharing}")]
    if found["network"]:
        what = "a network file system: runs are refused; set `MLRUN_STORE` to a folder on a local disk"
        rows.append(("warning", what))
    return rows


def _settings_rows(settings: Mapping[str, Any]) -> dict[str, str]:
    return {
        "file": settings["file"] + ("" if settings["exists"] else " (not there: defaults)"),
        "executor": settings["executor"],
        "network": settings["network"],
        "jobs": str(settings["jobs"]),
        "cpus": f"{settings['cpus']:g}",
        "memory": size_text(settings["memory"]),
        "grace": f"{settings['grace']:g} s",
    }


def _repository_rows(git: Mapping[str, Any] | None) -> dict[str, str]:
    if git is None:
        return {"root": "none: this folder is in no git repository"}
    if git["problem"]:
        return {"root": git["root"], "problem": git["problem"]}
    return {
        "root": git["root"],
        "commit": git["commit"] or "none yet",
        "branch": git["branch"] or "none (detached)",
        **({"remote": git["remote"]} if git["remote"] else {}),
    }


def _project_rows(project: Mapping[str, Any]) -> dict[str, str]:
    if project["file"] is None:
        return {"file": project["problem"]}
    return {"file": project["file"], "name": project["name"]}
