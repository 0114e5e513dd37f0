"""`mlrun bisect`: finds the commit that broke a metric."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Annotated, Any, Self

import typer

from runner.app.bisect import Bisected, Stopped, Suspect, Trial, bisect, line_of
from runner.app.bisection import Judgement
from runner.app.plan import plan_pipeline
from runner.app.request import Request
from runner.app.run import Ended, run_plan
from runner.cli import launch
from runner.cli.display import PlainDisplay
from runner.cli.launch import Options, Understood
from runner.cli.option import Table, pipeline_table, step_table
from runner.cli.pipeline import pipeline_help
from runner.cli.query import Condition
from runner.cli.relay import Relay
from runner.cli.step import step_help
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.events import Event
from runner.plan.compile import compile_step
from runner.provenance.log import CommitInfo, FileStat
from runner.quantity import duration_text, value_text
from runner.spec.model import Pipeline, Project, Step
from runner.spec.phrase import counted
from runner.spec.project import select_pipeline, select_step

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun bisect "Training Pipeline" --metric 'accuracy < 0.9'

  mlrun bisect "Training Pipeline" --metric 'evaluate.loss > 0.3' --good v1.2 --bad main

  mlrun bisect train --metric 'seconds > 60' --C 0.5"""

_SHORT = 10
"""Digits of a commit that people see."""


@dataclass(frozen=True, slots=True)
class BisectOptions(Options):
    """Our own options of `bisect`."""

    metric: str | None
    good: str | None
    bad: str | None
    verbose: bool


Subject = Pipeline | Step


@app.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def find_culprit(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="PIPELINE|STEP", help="What to run: its name or a unique start of it.")
    ] = None,
    rest: Annotated[
        list[str] | None,
        typer.Argument(metavar="[--PARAM VALUE…] [--INPUT URI…]", help="As of `mlrun pipeline` or `mlrun exec`."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="CONDITION",
            help="What is bad, such as 'accuracy < 0.9'; NODE.accuracy means that of a node.",
        ),
    ] = None,
    good: Annotated[
        str | None, typer.Option("--good", metavar="REV", help="A commit that is not bad. Default: look for one.")
    ] = None,
    bad: Annotated[
        str | None, typer.Option("--bad", metavar="REV", help="A commit that is bad. Default: HEAD.")
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show what the runs print, on stderr.")] = False,
    image: launch.Image = None,
    executor: launch.ExecutorOption = None,
    tag: launch.Tags = None,
    var: launch.Variables = None,
    env_file: launch.EnvFile = None,
    yaml: launch.Yaml = None,
    network: launch.NetworkOption = None,
    allow_mount: launch.AllowMount = None,
    allow_devices: launch.AllowDevices = False,
    gpus: launch.Gpus = None,
    jobs: launch.Jobs = None,
    no_reuse: launch.NoReuse = False,
    code_key: launch.CodeKeyOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Find the commit that broke it: run commits between a good one and a bad one until one is left.

    Every run is an ordinary one of that commit, recorded, with everything reused that did not change; your working tree
    is not touched. Commits that cannot be judged are passed over. Interrupted, the same command goes on.
    """
    options = replace(BisectOptions.of(context), commit=bad or _given(rest or [], "--bad") or "HEAD")
    search = _Search(context, name, rest or [], options)
    understood = search.understand(options.commit or "")
    if understood.parsed.help:
        print(_help(understood))
        return ExitCode.OK
    merged = understood.options
    if merged.metric is None:
        raise usage_error(
            "`mlrun bisect` needs a condition that says what is bad", hint="such as `--metric 'accuracy < 0.9'`"
        )
    condition = Condition(merged.metric, "--metric")
    repository = understood.place.repository
    assert repository is not None, "a commit was read from it"
    try:
        found = bisect(
            repository.root,
            line_of(repository, merged.good, merged.bad or "HEAD"),
            condition,
            search.of(understood.subject).attempt,
            merged.settings().store,
            _Teller(),
            bounded=merged.good is not None,
        )
    except Stopped as stopped:
        _say_stopped()
        return stopped.exit
    except KeyboardInterrupt:
        _say_stopped()
        raise
    if merged.json:
        print_json(_document(understood, merged.metric, found))
    else:
        print(_text(found))
    return ExitCode.OK if len(found.suspects) == 1 else ExitCode.STEP_FAILED


@dataclass(frozen=True, slots=True)
class _Search:
    """The command line, which each commit reads by its own file."""

    context: typer.Context
    name: str | None
    rest: Sequence[str]
    options: BisectOptions
    kinds: tuple[type[Subject], ...] = (Pipeline, Step)

    def understand(self, commit: str) -> Understood[Subject, BisectOptions]:
        """What is asked for by the file of a commit. Raises MlrunError."""
        return launch.understand(self.context, replace(self.options, commit=commit), self.rest, self._choose, _table)

    def attempt(self, commit: str) -> Ended:
        """Run a commit. Raises MlrunError."""
        understood = self.understand(commit)
        asked = self._request(understood, commit)
        # Each run is a step of one search, and no news by itself.
        request = replace(asked, settings=replace(asked.settings, notify=()))
        if not understood.options.verbose:
            return run_plan(request, _hear_nothing)
        with Relay(PlainDisplay(sys.stderr)) as display:
            return run_plan(request, display)

    def _request(self, understood: Understood[Subject, BisectOptions], commit: str) -> Request:
        place, project, subject = understood.place, understood.project, understood.subject
        options = replace(understood.options, title=f"bisect {commit[:_SHORT]}", reuse=not understood.options.no_reuse)
        secrets = launch.secrets(place, options)
        arguments = launch.arguments(options, understood.parsed, secrets)
        launch.refuse_broken(project, subject)
        if isinstance(subject, Step):
            plan = compile_step(subject, arguments, str(place.root), project.policies.get(subject.name))
        else:
            plan = plan_pipeline(place, project, subject, arguments, options.settings())
        return launch.make_request(place, project, plan, options, secrets)

    def of(self, subject: Subject) -> Self:
        """The same for this pipeline or step only, by its whole name: in other commits it may not be the only one that
        begins like this."""
        return replace(self, name=subject.name, kinds=(type(subject),))

    def _choose(self, project: Project) -> Subject:
        """The pipeline of the name, else the step. Raises MlrunError (USAGE, SPEC)."""
        known = [*project.pipelines, *project.steps]
        if self.name is None:
            raise usage_error("`mlrun bisect` needs a PIPELINE or a STEP", hint=did_you_mean("", known))
        for kind in self.kinds:
            try:
                return select_pipeline(project, self.name) if kind is Pipeline else select_step(project, self.name)
            except MlrunError as error:
                if error.code is not ExitCode.USAGE:
                    raise
        raise usage_error(f"there is no `{printable(self.name)}` to run", hint=did_you_mean(self.name, known))


class _Teller:
    """Says on stderr how it goes."""

    def begins(self, commit: CommitInfo, left: int | None) -> None:
        after = "" if left is None else f", about {counted(left, 'run')} after it" if left else ", the last run"
        say(f"{_named(commit)}{after}")

    def ends(self, trial: Trial) -> None:
        if trial.judgement is Judgement.SKIPPED:
            say(f"  skipped: {printable(trial.why or '')}")
            return
        reused = f", {trial.reused} of {counted(trial.nodes, 'node')} reused" if trial.reused else ""
        say(f"  {trial.judgement}: {_values(trial)} (run {_number(trial)}, {duration_text(trial.seconds)}{reused})")


def _table(project: Project, subject: Subject) -> Table:
    return step_table(subject) if isinstance(subject, Step) else pipeline_table(project, subject)


def _help(understood: Understood[Subject, Any]) -> str:
    subject = understood.subject
    return step_help(subject, "bisect") if isinstance(subject, Step) else pipeline_help(understood.project, subject)


def _given(words: Sequence[str], flag: str) -> str | None:
    """What stands behind an option that comes after the name, before that can be read properly."""
    for word, following in zip_longest(words, words[1:]):
        name, equals, value = word.partition("=")
        if name == flag:
            return value if equals else following
    return None


def _hear_nothing(event: Event) -> None:
    """Only what comes out of a run counts."""


def _say_stopped() -> None:
    say("stopped: what was judged is recorded, and the same command goes on with it")


def _named(commit: CommitInfo) -> str:
    return f"{commit.id[:_SHORT]} {printable(commit.subject)}"


def _values(trial: Trial) -> str:
    return ", ".join(f"{printable(name)} = {value_text(value)}" for name, value in (trial.values or {}).items())


def _number(trial: Trial) -> int:
    assert trial.run is not None
    return trial.run.counter


def _text(found: Bisected) -> str:
    if len(found.suspects) == 1:
        lines = [f"{found.suspects[0].commit.id} broke it", *_commit_lines(found.suspects[0])]
    else:
        lines = [f"one of {counted(len(found.suspects), 'commit')} broke it; nothing can be said of most of them"]
        for suspect in found.suspects:
            lines += ["", suspect.commit.id, *_commit_lines(suspect)]
    before, after = found.good, found.bad
    lines += ["", f"before: {_values(before)} ({before.commit.id[:_SHORT]}, run {_number(before)})"]
    lines += [f"since:  {_values(after)} ({after.commit.id[:_SHORT]}, run {_number(after)})"]
    lines += ["", _summary(found)]
    return "\n".join(lines)


def _summary(found: Bisected) -> str:
    nodes, reused = (sum(getattr(one, what) for one in found.trials) for what in ("nodes", "reused"))
    skipped = sum(one.judgement is Judgement.SKIPPED for one in found.trials)
    words = f"{counted(len(found.trials), 'commit')} tried, {reused} of {counted(nodes, 'node')} reused"
    return words + (f", {skipped} skipped" if skipped else "")


def _commit_lines(suspect: Suspect) -> list[str]:
    commit = suspect.commit
    width = max((len(printable(file.path)) for file in suspect.files), default=0)
    lines = [f"  {commit.time} {printable(commit.author)}", f"  {printable(commit.subject)}"]
    return lines + [f"    {printable(file.path):{width}}  {_stat(file)}" for file in suspect.files]


def _stat(file: FileStat) -> str:
    return "no text" if file.added is None else f"+{file.added} -{file.removed}"


def _document(understood: Understood[Subject, Any], metric: str, found: Bisected) -> dict[str, Any]:
    return {
        "kind": "exec" if isinstance(understood.subject, Step) else "pipeline",
        "name": understood.subject.name,
        "metric": metric,
        "culprit": found.suspects[0].commit.id if len(found.suspects) == 1 else None,
        "suspects": [
            _commit_json(one.commit)
            | {"files": [{"path": file.path, "added": file.added, "removed": file.removed} for file in one.files]}
            for one in found.suspects
        ],
        "good": _trial_json(found.good),
        "bad": _trial_json(found.bad),
        "tried": [_trial_json(one) for one in found.trials],
    }


def _commit_json(commit: CommitInfo) -> dict[str, Any]:
    return {"commit": commit.id, "subject": commit.subject, "author": commit.author, "time": commit.time}


def _trial_json(trial: Trial) -> dict[str, Any]:
    return _commit_json(trial.commit) | {
        "judgement": trial.judgement,
        "why": trial.why,
        "run": trial.run.id if trial.run else None,
        "counter": trial.run.counter if trial.run else None,
        "values": dict(trial.values or {}),
        "nodes": trial.nodes,
        "reused": trial.reused,
        "seconds": trial.seconds,
    }
