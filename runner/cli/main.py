"""The entry point: finds the verb, and loads its module only then."""

import atexit
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from runner import __version__
from runner.cli.failure import flushed, protected
from runner.cli.terminal import hold_streams
from runner.errors import ExitCode, did_you_mean, usage_error


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of the command: the module that holds its `app`, and one line for the help page."""

    module: str
    summary: str


GROUPS: dict[str, dict[str, Verb]] = {
    "Start": {
        "init": Verb("init", "make a project folder with a working example"),
        "lint": Verb("lint", "check YAML files and say what is wrong where"),
        "schema": Verb("schema", "print the JSON Schema of valohai.yaml, for editors"),
        "yaml": Verb("yaml", "write or update a step from a Python script"),
        "doctor": Verb("doctor", "say which executors work here, and why not"),
    },
    "Run": {
        "exec": Verb("exec", "run one step"),
        "pipeline": Verb("pipeline", "run a whole pipeline"),
        "task": Verb("task", "run a sweep over the parameters of a step; see which trial did best"),
        "rerun": Verb("rerun", "a recorded run once more: all of it, from a node on, or what failed"),
        "reproduce": Verb("reproduce", "run something recorded again from the store alone, and compare all it leaves"),
        "spin": Verb("spin", "run one step quickly on the inputs of its latest execution, unrecorded"),
        "shell": Verb("shell", "a shell where a step runs or an execution ran"),
        "resume": Verb("resume", "go on with a run that was stopped, that failed or whose runner has gone"),
        "approve": Verb("approve", "let a node go on that awaits approval"),
        "reject": Verb("reject", "do not let a node go on that awaits approval, and end its run"),
        "watch": Verb("watch", "follow a run that goes on in the background"),
        "stop": Verb("stop", "stop a run that is under way"),
        "notify": Verb("notify", "try the settings that tell somebody what becomes of unattended runs"),
        "secret": Verb("secret", "keep keys and passwords that steps may have"),
    },
    "Look": {
        "graph": Verb("graph", "picture of a pipeline: text, Mermaid, DOT, SVG or JSON"),
        "why": Verb("why", "why a node would run or an execution ran: what differs, line by line"),
        "accept": Verb("accept", "this change does not matter: an earlier execution stands for a node"),
        "diff": Verb("diff", "what a change means: in words, in nodes that run again, in graphs"),
        "bisect": Verb("bisect", "the commit that broke a metric, with everything reused that did not change"),
        "list": Verb("list", "table of executions or runs: filter, sort, export"),
        "show": Verb("show", "everything recorded about an execution or a run"),
        "lineage": Verb("lineage", "what made a file, and what was made from it: text, SVG or JSON"),
        "compare": Verb("compare", "executions or runs side by side: what differs in what they got and left"),
        "logs": Verb("logs", "what an execution printed; -f follows it"),
        "metrics": Verb("metrics", "the metrics of executions, last values or all events"),
        "inputs": Verb("inputs", "the files an execution got; `map` replaces unreachable addresses"),
        "outputs": Verb("outputs", "the files an execution left; -d copies them out"),
        "report": Verb("report", "a run as one page of HTML that works offline"),
        "export": Verb("export", "a run as a document that other tools read: RO-Crate, OpenLineage, PROV, ..."),
    },
    "Name": {
        "alias": Verb("alias", "names of single files, used as datum://NAME"),
        "dataset": Verb("dataset", "lists of files in versions, used as dataset://NAME/VERSION"),
        "model": Verb("model", "files of models in versions, used as model://NAME/VERSION"),
        "datum": Verb("datum", "what is known about one file: maker, names, properties"),
    },
    "Keep": {
        "store": Verb("store", "look after the store: check it, pack it, read from it by digest"),
        "gc": Verb("gc", "say which files may go, and why; --yes removes them, --undo brings them back"),
        "du": Verb("du", "what takes the room in the store: by project, step, kind or execution"),
        "pin": Verb("pin", "keep runs, executions and files whatever `gc` may say"),
        "tag": Verb("tag", "words for runs and executions, for `list --where`"),
        "rm": Verb("rm", "take the record of runs out of the store"),
        "purge": Verb("purge", "destroy the bytes of a file everywhere, for good"),
        "push": Verb("push", "bring runs to a remote store: a folder, SSH, S3"),
        "fetch": Verb("fetch", "bring the records of runs from a remote store"),
        "pull": Verb("pull", "bring runs from a remote store, with all their files"),
        "open": Verb("open", "take the runs of a bundle into the store, without a network"),
    },
    "Prove": {
        "verify": Verb("verify", "check a run against its record, or a signed statement about it"),
        "key": Verb("key", "make or show the key with which statements are signed"),
    },
}

VERBS = {name: verb for group in GROUPS.values() for name, verb in group.items()}


def help_page() -> str:
    """The text of `mlrun --help`."""
    lines = [
        "usage: mlrun VERB [OPTIONS] [ARGUMENTS]",
        "",
        "Run any valohai.yaml on your own machine: isolated steps, metrics from their logs, everything recorded.",
    ]
    for title, verbs in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<10} {verb.summary}" for name, verb in verbs.items()]
    lines += [
        "",
        "Options:",
        "  --version  print the version",
        "  --help     print this page; `mlrun VERB --help` explains a verb, with examples",
        "",
        "Example:",
        "  mlrun init iris && cd iris && mlrun pipeline 'Training Pipeline'",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code."""
    hold_streams()
    collect_rarely()
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    sys.exit(flushed(code))


def collect_rarely() -> None:
    """Look for cycles among objects rarely: files and records come by the hundred thousand, and to go through them
    again and again takes as long as making them. At the end not at all: the memory goes with the process."""
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit code and never raises."""
    return protected(lambda: _dispatch(arguments))


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"--help", "-h", "help"}:
        print(help_page())
        return ExitCode.OK
    name = arguments[0]
    if name == "--version":
        print(f"mlrun {__version__}")
        return ExitCode.OK
    verb = VERBS.get(name)
    if verb is None:
        raise usage_error(f"there is no verb `{name}`", hint=did_you_mean(name, VERBS))
    if not _is_somewhere():
        raise usage_error("the current folder does not exist any more", hint="go to one that does")
    return call(name, importlib.import_module(f"runner.cli.{verb.module}"), arguments[1:])


def _is_somewhere() -> bool:
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def call(name: str, module: object, arguments: list[str]) -> int:
    """Call the typer application of a verb's module; its usage errors become ours."""
    # Not at the top: `--help` and `--version` must not wait for it.
    import typer

    command = typer.main.get_command(module.app)  # type: ignore[attr-defined]
    try:
        result = command.main(args=arguments, prog_name=f"mlrun {name}", standalone_mode=False)
    except typer.TyperException as error:
        # Of a verb with commands, the command that was called.
        context = getattr(error, "ctx", None)
        hint = f"`{context.command_path if context else f'mlrun {name}'} --help` explains it"
        raise usage_error(_lower(error.format_message()), hint=hint) from None
    except SystemExit as leaving:
        # What typer makes of a reader that has gone; to us that is no failure of a step, as 1 would say.
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None
        raise
    except typer.Abort:
        return ExitCode.INTERRUPTED
    return result if isinstance(result, int) else ExitCode.OK


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")
