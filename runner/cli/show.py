"""`mlrun show`: everything recorded about an execution or a run."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

import typer

from runner.app.evidence import lack_of_files, last_metrics, log_sizes
from runner.cli.cell import COLOURS, now
from runner.cli.page import Page
from runner.cli.reference import author_text
from runner.cli.row import elapsed, flat
from runner.cli.subject import SUBJECT_HELP, Found, find, work_left
from runner.cli.summary import path_text, timeline_rows
from runner.cli.terminal import paint, print_json
from runner.cli.tombstone import marked
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.job import Workspace
from runner.quantity import duration_text, exact_text, local_time, relative_time, size_text, value_text
from runner.sign import word_of
from runner.state import Reason, State
from runner.store.imported import read_import
from runner.store.record import Execution, NodeRecord, Run, in_order, to_json
from runner.store.store import RUN_PREFIX

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun show

  mlrun show 12

  mlrun show run:5 --json"""

_DIGITS = 16
_HEADER = ("id", "counter", "kind", "name", "project", "title", "tags", "argv", "code", "spec", "executor", "host",
           "version", "owner", "created", "state", "reason", "finished", "duration")  # fmt: skip
"""What the JSON of an execution tells of its run."""


@app.command(epilog=EXAMPLES)
def show(
    subject: Annotated[
        str, typer.Argument(metavar="[EXECUTION|RUN]", help=f"Default: the latest run. {SUBJECT_HELP}")
    ] = "run:latest",
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON, with nothing shortened.")] = False,
) -> int:
    """Print everything recorded about an execution, or about a run and all its executions."""
    found = find(subject)
    if json:
        print_json(_document(found))
    else:
        print(execution_page(found) if found.chosen else run_page(found))
    return ExitCode.OK


def _document(found: Found) -> dict[str, Any]:
    run = to_json(found.run) | {"tags": found.store.tags_of(found.run)}
    if not found.chosen:
        return run
    metrics = last_metrics(found.store, found.run, found.execution)
    more = {"metrics": metrics, "tags": found.store.tags_of(found.run, found.execution)}
    return to_json(found.execution) | more | {"run": {name: run[name] for name in _HEADER}}


def run_page(found: Found) -> Page:
    """A run: its header, its nodes, then each execution in short."""
    run = found.run
    page = Page()
    page.head(f"run {run.counter}  {printable(run.name)}  {_painted(run)}")
    page.facts(None, _run_facts(found))
    page.facts("code", _code_facts(run))
    page.facts("machine", _machine_facts(run.host))
    ends = _ends(found)
    page.table(
        "nodes",
        [
            (
                printable(node.name),
                "" if node.step == node.name else printable(node.step),
                word_of(node),
                _numbers(run, node),
                _node_words(node, ends),
            )
            for node in in_order(run)
        ],
    )
    if run.kind != "exec":
        page.table("timeline", timeline_rows(run, now()))
        page.facts(None, [("critical path", path_text(run, now()))])
    for execution in run.executions.values():
        one = replace(found, chosen=execution)
        page.head(_execution_head(execution))
        _add_execution(page, one)
    return page


def execution_page(found: Found) -> Page:
    """An execution, with what it shares with its run."""
    run, execution = found.run, found.execution
    page = Page()
    page.head(_execution_head(execution))
    whose = f"{RUN_PREFIX}{run.counter}, {run.kind} `{printable(run.name)}`"
    _add_execution(page, found, [("run", whose), ("node", printable(execution.node)), *_run_words(found)])
    page.facts("code", _code_facts(run))
    page.facts("machine", _machine_facts(run.host))
    return page


def _painted(what: Run | Execution) -> str:
    word = word_of(what)
    return paint(word, COLOURS[word], sys.stdout)


def _execution_head(execution: Execution) -> str:
    node = "" if execution.node == execution.step else f" as {printable(execution.node)}"
    return f"execution {execution.counter}  {printable(execution.step)}{node}  {_painted(execution)}"


def _numbers(run: Run, node: NodeRecord) -> str:
    if node.reused is not None:
        return f"#{node.reused.counter}"
    return ", ".join(f"#{run.executions[id].counter}" for id in node.executions)


def _node_words(node: NodeRecord, ends: Mapping[str, str]) -> str:
    """Why a node came to its end; of a reused one which execution stands for it, and when that ended."""
    if node.reused is not None:
        ended = ends.get(node.reused.execution)
        when = relative_time(ended, now()) if ended else "which is no longer recorded"
        return f"{printable(node.detail or '')}, {when}"
    if node.reason is Reason.EXIT and node.state is State.SUCCEEDED:
        return ""
    return _why(node, None)


def _ends(found: Found) -> dict[str, str]:
    """When the executions ended that stand for nodes of the run, as far as they are still recorded."""
    ends: dict[str, str] = {}
    for id in {node.reused.run for node in found.run.nodes.values() if node.reused is not None}:
        with suppress(MlrunError):
            ends |= {one.id: one.finished or one.created for one in found.store.run(id).executions.values()}
    return ends


def _why(what: NodeRecord | Execution, exit_code: int | None) -> str:
    plain = word_of(what) != what.state or (what.reason is Reason.EXIT and exit_code is not None)
    parts = [str(what.reason)] if what.reason and not plain else []
    parts += [f"exit code {exit_code}"] if exit_code is not None else []
    parts += [printable(what.detail)] if what.detail else []
    return ", ".join(parts)


def _run_facts(found: Found) -> Iterator[tuple[str, str | None]]:
    run = found.run
    yield "id", run.id
    yield from _run_words(found)
    yield "executor", run.executor
    yield from _times(run.created, None, run.finished)
    yield "duration", duration_text(elapsed(run.state, run.duration, run.created, now()))
    yield "reason", str(run.reason) if run.reason else None
    yield "driven by", f"process {run.owner.pid} on {printable(run.owner.host)}"
    yield "spec", f"{printable(run.project.file)} ({run.spec[:_DIGITS]})"


def _run_words(found: Found) -> Iterator[tuple[str, str | None]]:
    run = found.run
    yield "command line", printable(shlex.join(["mlrun", *run.argv]))
    came = read_import(found.store.layout.run(run.id).imported)
    yield "came from", f"{printable(came.source)}, {local_time(came.time)}" if came else None
    yield "title", printable(run.title) if run.title else None
    yield "tags", printable(", ".join(found.store.tags_of(run, found.chosen)))
    pin = found.store.refs.pin(found.chosen.id if found.chosen else run.id)
    yield "pinned", printable(f"by {author_text(pin.by)}" + (f": {pin.note}" if pin.note else "")) if pin else None
    origin = run.plan.get("inputs-from")
    yield "inputs from", printable(f"node `{origin['node']}` of {RUN_PREFIX}{origin['counter']}") if origin else None
    yield "project", printable(f"{run.project.name} ({run.project.root})")
    yield "mlrun", run.version


def _times(created: str, started: str | None, finished: str | None) -> Iterator[tuple[str, str | None]]:
    yield "created", f"{local_time(created)} ({relative_time(created, now())})"
    yield "started", local_time(started)
    yield "finished", local_time(finished)


def _code_facts(run: Run) -> Iterator[tuple[str, str | None]]:
    code = run.code
    differs = " (dirty: the snapshot differs from it)" if code.dirty else ""
    yield "commit", f"{code.commit}{differs}" if code.commit else "none"
    yield "branch", _cleaned(code.branch)
    yield "describe", _cleaned(code.describe)
    yield "remote", _cleaned(code.remote)
    yield "snapshot", code.snapshot
    for path in code.not_captured:
        yield "not captured", printable(path)


def _cleaned(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _machine_facts(host: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    for name, value in host.items():
        yield printable(name), size_text(value) if name == "memory" and isinstance(value, int) else exact_text(value)


def _add_execution(page: Page, found: Found, more: Iterable[tuple[str, str | None]] = ()) -> None:
    execution = found.execution
    job = execution.job
    page.facts(None, [*_execution_facts(found), *more])
    page.text("command", "\n".join(map(str, job.get("script", {}).get("items", ()))))
    page.facts("parameters", ((printable(name), exact_text(value)) for name, value in job["parameters"].items()))
    page.table("inputs", list(_input_rows(job)))
    page.facts("limits", limit_facts(job))
    page.table("mounts", list(_mount_rows(job)))
    secrets = ((printable(name), "a secret") for name in job.get("secrets", ()))
    values = {**job.get("defaults", {}), **job["environment"]}
    variables = ((printable(name), printable(text)) for name, text in values.items())
    page.facts("variables", (*secrets, *variables))
    metrics = dict(flat(last_metrics(found.store, found.run, execution)))
    page.facts("metrics", ((printable(name), value_text(value)) for name, value in metrics.items()))
    page.table(
        "outputs",
        [
            (marked(found.store, file.name, file.digest), size_text(file.size), file.digest[:_DIGITS])
            for file in execution.outputs
        ],
    )
    page.table("outputs that were not collected", _lost_output_rows(found))
    page.facts(
        "properties",
        (
            (printable(f"{file.name}: {key}"), exact_text(value))
            for file in execution.outputs
            for key, value in file.metadata.items()
        ),
    )
    page.facts("warnings", (("-", printable(text)) for text in execution.warnings))


def _execution_facts(found: Found) -> Iterator[tuple[str, str | None]]:
    execution = found.execution
    yield "id", execution.id
    yield "ended by", _why(execution, execution.exit_code)
    yield from _times(execution.created, execution.started, execution.finished)
    yield "duration", duration_text(elapsed(execution.state, execution.duration, execution.started, now()))
    yield "memory", _sized(execution.peak_memory) and f"{_sized(execution.peak_memory)} at most"
    yield "image", _cleaned(str(execution.job.get("image")))
    yield "executor", execution.executor
    if execution.identity:
        yield "identity", printable(str(execution.identity.get("id")))
        yield "platform", _cleaned(execution.identity.get("platform"))
        yield "interpreter", _cleaned(execution.identity.get("interpreter"))
    if lack := lack_of_files(found.store, found.run, execution):
        yield "files", f"outputs, copies of inputs and the log {lack.why}"
        yield "get them", lack.hint
    sizes = log_sizes(found.store, found.run, execution)
    yield "log", ", ".join(f"{name} {size_text(size)}" for name, size in sizes.items())
    if execution.work:
        yield "kept folder", printable(execution.work)
        yield "repeat it by", printable(f"bash {shlex.quote(f'{execution.work}/rerun.sh')}")
    elif work := work_left(found):
        yield "work folder", printable(str(work))


def limit_facts(job: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """The bounds of a step, as far as it had any."""
    yield "time limit", _seconds(job.get("time_limit"))
    yield "no output for", _seconds(job.get("no_output_timeout"))
    yield "stop-condition", _cleaned(job.get("stop_condition"))
    asked = job.get("allowance") or {}
    yield "CPUs", f"{asked['cpus']:g}" if asked.get("cpus") is not None else None
    yield "CPU numbers", ", ".join(map(str, asked.get("cpu_set") or ())) or None
    yield "memory", _sized(asked.get("memory"))
    yield "shared memory", _sized(asked.get("shm"))
    for name, count in (asked.get("devices") or {}).items():
        yield printable(name), "all" if count < 0 else str(count)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:g} s"


def _sized(value: int | None) -> str | None:
    return None if value is None else size_text(value)


def _mount_rows(job: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for mount in job.get("mounts") or ():
        mode = "read-only" if mount["read_only"] else "writable"
        yield printable(mount["target"]), mode, printable(f"from {mount['source']}")


def _lost_output_rows(found: Found) -> list[tuple[str]]:
    """Where the outputs are that nobody was left to collect."""
    work = work_left(found)
    return [(printable(f"what it wrote is in {Workspace.below(work).outputs}"),)] if work else []


def _input_rows(job: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    for declared in job["inputs"]:
        for file in declared["files"]:
            yield (
                printable(declared["name"]),
                printable(file["name"]),
                size_text(file["size"]),
                file["digest"][:_DIGITS],
                printable(f"from {file['origin']}"),
            )
        if not declared["files"]:
            yield printable(declared["name"]), "(empty)", "", "", ""
