"""A whole pipeline of many tiny steps, as one command."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.bare import sandbox_command
from benchmarks.measure import Sample, race, timed
from benchmarks.peer import find_peer
from benchmarks.project import chain_text, make_project
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run


def measure(setting: Setting) -> Report:
    """100 `true` nodes in a chain beside `make` with 100 bare sandboxes, and, on request, beside two peers."""
    if shutil.which("make") is None:
        raise LeftOut("make is not installed")
    length = setting.size(100, 20)
    project = make_project(setting.folder / "project", chain_text(length))
    words = sandbox_command(setting.folder)
    rules = setting.folder / "Makefile"
    rules.write_text(_rules(length, shlex.join(words).replace("$", "$$")))
    lanes = [
        timed("mlrun", lambda: run(["mlrun", "pipeline", "chain", "--executor", "sandbox"], project)),
        timed("make", lambda: run(["make", "--silent", "--file", rules])),
    ]
    found = race(lanes, setting.rounds_or(5))
    make = found["make"]
    rows = [
        Row(f"mlrun pipeline, {length} nodes", found["mlrun"], (make, "make"), "< 5 s for 100"),
        Row(f"make, {length} × bwrap … true", make),
    ]
    notes = []
    if setting.peers:
        for name, prepare in PEERS.items():
            try:
                peer = find_peer(setting, name)
            except LeftOut as reason:
                notes.append(str(reason))
                continue
            turn = timed(name, prepare(setting.folder / name, peer.program, length, force=True))()
            rows.append(Row(f"{peer.title}, {length} steps in a chain", Sample((turn[name],))))
        notes.append("the peers took one turn each after the others; their steps are `touch`, isolated from nothing")
    return Report(rows, notes)


def _rules(length: int, recipe: str) -> str:
    lines = [f"all: n{length - 1}", f".PHONY: all {' '.join(f'n{number}' for number in range(length))}"]
    for number in range(length):
        lines += [f"n{number}: {f'n{number - 1}' if number else ''}", f"\t{recipe}"]
    return "\n".join(lines) + "\n"


def _dvc(folder: Path, program: str, length: int, *, force: bool) -> Callable[[], None]:
    lines = ["stages:"]
    for number in range(length):
        lines += [f"  s{number}:", f"    cmd: touch f{number}", f"    outs: [f{number}]"]
        lines += [f"    deps: [f{number - 1}]"] if number else []
    folder.mkdir()
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    run(["git", "init", "--quiet"], folder)
    run([program, "init", "--quiet"], folder)
    return lambda: run([program, "repro", *(["--force"] if force else [])], folder)


def _snakemake(folder: Path, program: str, length: int, *, force: bool) -> Callable[[], None]:
    lines = [f"rule all:\n    input: 'f{length - 1}'"]
    for number in range(length):
        above = f"    input: 'f{number - 1}'\n" if number else ""
        lines.append(f"rule s{number}:\n{above}    output: 'f{number}'\n    shell: 'touch {{output}}'")
    folder.mkdir()
    (folder / "Snakefile").write_text("\n".join(lines) + "\n")
    return lambda: run([program, "--cores", "2", *(["--forceall"] if force else [])], folder)


PEERS = {"dvc": _dvc, "snakemake": _snakemake}
"""Other tools by name: each makes a chain of `touch` of this length and gives what runs it, all of it with `force`,
else what has changed."""
