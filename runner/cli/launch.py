"""What the verbs that run steps share: their common options, and how a command line becomes a run."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Generic, Self, TypeVar

import typer

from runner.app import verdict
from runner.app.grant import ALL, EVERY
from runner.app.place import Place, locate
from runner.app.request import Request, open_project
from runner.app.run import Ended, run_plan
from runner.app.secret import Secrets, load_secrets
from runner.app.wish import Wish, believed_sources
from runner.cli.background import in_background
from runner.cli.display import notice_sentence
from runner.cli.option import OwnOption, Parsed, Table, parse
from runner.cli.presentation import attended, on_display
from runner.cli.relay import Relay
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.events import Event, Noticed
from runner.plan.address import public
from runner.plan.model import Arguments, Plan
from runner.provenance.host import who
from runner.reuse.content import CodeKey
from runner.settings import (
    Settings,
    cache_folder,
    code_key_name,
    executor_name,
    load_settings,
    network_name,
    open_door,
)
from runner.spec.model import Pipeline, Project, Step, Task

Image = Annotated[str | None, typer.Option("--image", metavar="I", help="Run in this image instead of the file's.")]
ExecutorOption = Annotated[
    str | None, typer.Option("--executor", metavar="E", help="auto (the default), docker, sandbox or process.")
]
Title = Annotated[str | None, typer.Option("--title", metavar="T", help="A title for the record.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="A tag for the record; may be repeated.")]
Variables = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="K=V", help="Set an environment variable of the step; may be repeated."),
]
EnvFile = Annotated[
    list[str] | None,
    typer.Option(
        "--env-file", metavar="FILE", help="Give every step the variables of NAME=VALUE lines, as secrets; repeatable."
    ),
]
Commit = Annotated[
    str | None, typer.Option("--commit", metavar="REV", help="Run the code and the file of this commit.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Its number, `run:N`, `latest` or the start of its id.")]
Yaml = Annotated[str | None, typer.Option("--yaml", metavar="FILE", help="Use this file instead of `valohai.yaml`.")]
NoGit = Annotated[bool, typer.Option("--no-git", help="Go on outside git: the folder is recorded as it is.")]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Do not stop at the first failing command: the last one decides.")
]
NetworkOption = Annotated[
    str | None, typer.Option("--network", metavar="N", help="default, host or none: the network that steps see.")
]
AllowMount = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-mount", metavar="PATH", help="Let steps mount this host folder; `PATH:ro` read-only; may be repeated."
    ),
]
AllowDevices = Annotated[bool, typer.Option("--allow-devices", help="Let steps have the devices that the file names.")]
Gpus = Annotated[
    str | None, typer.Option("--gpus", metavar="N", help="Give each step N GPUs, or `all`, whatever the file says.")
]
Jobs = Annotated[int | None, typer.Option("-j", "--jobs", metavar="N", min=1, help="Run so many at the same time.")]
NoReuse = Annotated[bool, typer.Option("--no-reuse", help="Run every node, also one that nothing changed for.")]
Reuse = Annotated[
    bool, typer.Option("--reuse", help="Run nothing if an earlier execution was made of the same: it stands for this.")
]
Refresh = Annotated[
    list[str] | None,
    typer.Option("--refresh", metavar="NODE", help="Run this node in any case; `*` means all; may be repeated."),
]
CodeKeyOption = Annotated[
    str | None,
    typer.Option("--code-key", metavar="K", help="What of a Python file counts: syntax (the default) or bytes."),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Run in the background: print `run:N` and return as soon as it is recorded.")
]
AutoApprove = Annotated[bool, typer.Option("--auto-approve", help="Approve whatever awaits approval, in your name.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")]
Json = Annotated[bool, typer.Option("--json", help="Print the record of the run as JSON; logs go to stderr.")]


@dataclass(frozen=True, slots=True)
class Options:
    """Our own options of a verb that runs steps, before or after STEP or NAME."""

    image: str | None
    executor: str | None
    title: str | None
    tag: list[str] | None
    var: list[str] | None
    env_file: list[str] | None
    commit: str | None
    yaml: str | None
    no_git: bool
    keep_going: bool
    network: str | None
    allow_mount: list[str] | None
    allow_devices: bool
    gpus: str | None
    jobs: int | None
    reuse: bool | None
    no_reuse: bool | None
    refresh: list[str] | None
    code_key: str | None
    dry_run: bool
    json: bool
    detach: bool | None
    auto_approve: bool | None

    @classmethod
    def of(cls, context: typer.Context) -> Self:
        """Those that typer read before STEP or NAME; what a verb does not have is None, `--jobs` of `exec` for one."""
        values: dict[str, Any] = {setting.name: context.params.get(setting.name) for setting in fields(cls)}
        return cls(**values)

    def settings(self) -> Settings:
        """The user's settings with these options applied. Raises MlrunError (code USAGE)."""
        settings = load_settings()
        if self.executor:
            settings = replace(settings, executor=executor_name(self.executor))
        if self.network:
            settings = replace(settings, network=network_name(self.network))
        if self.code_key:
            settings = replace(settings, code_key=code_key_name(self.code_key))
        return with_grants(settings, self.jobs, self.allow_mount, allow_devices=self.allow_devices)

    def gpu_count(self) -> int | None:
        """`--gpus` as a number, -1 for all of them. Raises MlrunError (code USAGE)."""
        if self.gpus is None or self.gpus == ALL:
            return None if self.gpus is None else EVERY
        if not (self.gpus.isascii() and self.gpus.isdecimal() and len(self.gpus) < 5):
            raise usage_error(f"`--gpus {self.gpus}` is no number of GPUs", hint="write a number, or `all`")
        return int(self.gpus)

    def environment(self) -> dict[str, str]:
        """`--var K=V` as a mapping. Raises MlrunError (code USAGE)."""
        values = {}
        for text in self.var or []:
            name, equals, value = text.partition("=")
            if not equals or not name:
                raise usage_error(f"`--var {text}` has no `=`", hint="write `--var NAME=VALUE`")
            if name.startswith("VH_") and name not in AGENT_CONTROLS:
                raise usage_error(f"`{name}` is set by mlrun itself", hint="choose another name for your own variable")
            values[name] = value
        return values


def with_grants(
    settings: Settings, jobs: int | None, allow_mount: list[str] | None, *, allow_devices: bool
) -> Settings:
    """Settings with what the command line grants besides. Raises MlrunError (code USAGE)."""
    doors = (*settings.mounts, *map(open_door, allow_mount or ()))
    devices = (*settings.devices, *([ALL] if allow_devices else []))
    return replace(settings, jobs=jobs or settings.jobs, mounts=doors, devices=devices)


AGENT_CONTROLS = {"VH_NO_DATA_CACHE", "VH_NO_IMAGE_CACHE", "VH_CLEAN", "VH_CPU_LIMIT", "VH_DOCKER_NETWORK"}
"""The `VH_*` variables that are the user's to set (Valohai's agent controls)."""


def own_options(context: typer.Context) -> dict[str, OwnOption]:
    """Our options as typer knows them, for recognising them after STEP."""
    return {
        flag: OwnOption(parameter.name or "", takes_value=not getattr(parameter, "is_flag", False))
        for parameter in context.command.params
        for flag in parameter.opts
        if flag.startswith("-") and parameter.name != "help"
    }


Own = TypeVar("Own", bound=Options)


def merge(context: typer.Context, options: Own, parsed: Parsed) -> Own:
    """The options with those that stood after STEP or NAME; what they say wins, lists add up."""
    kinds = {parameter.name: parameter for parameter in context.command.params}
    changes: dict[str, Any] = {}
    for setting, text in parsed.own:
        parameter = kinds[setting]
        if getattr(parameter, "is_flag", False):
            changes[setting] = True
        elif getattr(parameter, "multiple", False):
            changes[setting] = [*(changes.get(setting) or getattr(options, setting) or []), text]
        else:
            changes[setting] = parameter.type(text, param=parameter, ctx=context)
    return replace(options, **changes)


def secrets(place: Place, options: Options) -> Secrets:
    """The user's secrets for this run. Raises MlrunError."""
    return load_secrets(place, options.env_file or ())


def arguments(options: Options, parsed: Parsed, secrets: Secrets) -> Arguments:
    """What the command line and the user's secrets give, for the planner. Raises MlrunError (code USAGE)."""
    if options.image is not None and not options.image.strip():
        raise usage_error("`--image` names no image", hint="write `--image NAME:TAG`")
    return Arguments(
        folder=str(Path.cwd()),
        nodes=parsed.given(),
        parameters=parsed.pipeline_values(),
        image=options.image,
        environment=options.environment(),
        keep_going=options.keep_going,
        granted=frozenset(secrets.stored),
        secret=frozenset(secrets.given),
    )


Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Understood(Generic[Subject, Own]):
    """A whole command line, read with the file that it names."""

    place: Place
    project: Project
    subject: Subject
    parsed: Parsed
    options: Own


def understand(
    context: typer.Context,
    options: Own,
    rest: Sequence[str],
    choose: Callable[[Project], Subject],
    table: Callable[[Project, Subject], Table],
) -> Understood[Subject, Own]:
    """Read what stands after STEP or NAME: `choose` finds it in the file, `table` tells its options.

    Our options may stand there too. If they name another file or commit, that one decides what the rest means.
    """
    own = own_options(context)
    while True:
        try:
            place = locate(Path.cwd(), options.yaml)
            project = open_project(place, options.commit)
            subject = choose(project)
        except MlrunError:
            # The file or the commit that has it may be named behind it.
            ahead = replace(options, **_ahead(rest))
            if ahead == options:
                raise
            options = ahead
            continue
        parsed = parse(rest, table(project, subject), own)
        merged = merge(context, options, parsed)
        if (merged.yaml, merged.commit) == (options.yaml, options.commit):
            return Understood(place, project, subject, parsed, merged)
        options = replace(options, yaml=merged.yaml, commit=merged.commit)


def _ahead(rest: Sequence[str]) -> dict[str, Any]:
    """The file and the commit that `rest` names, whatever else stands there."""
    found = {}
    for token, following in zip_longest(rest, rest[1:]):
        name, equals, value = token.partition("=")
        if name in {"--yaml", "--commit"} and (equals or following):
            found[name[2:]] = value if equals else following
    return found


def refuse_broken(project: Project, subject: Step | Pipeline | Task) -> None:
    """Raise MlrunError (code SPEC) if the file has errors in a step, in a task or its step, or in a pipeline or the
    tasks and steps of its nodes."""
    nodes = subject.nodes if isinstance(subject, Pipeline) else ()
    tasks = [task for node in nodes if (task := project.tasks.get(node.task or "")) is not None]
    names = [*(node.step for node in nodes), *(task.step for task in tasks)]
    names += [subject.step] if isinstance(subject, Task) else []
    steps = [step for name in names if (step := project.steps.get(name or "")) is not None]
    verdict.refuse_broken(project, [subject, *tasks, *steps], cache_folder())


def make_request(place: Place, project: Project, plan: Plan, options: Options, secrets: Secrets) -> Request:
    """What is asked for. `secrets` are those that the plan was made with. Raises MlrunError (code USAGE)."""
    settings = options.settings()
    return Request(
        plan=plan,
        place=place,
        project=project,
        settings=settings,
        argv=tuple(map(public, sys.argv[1:])),
        title=options.title,
        tags=tuple(options.tag or ()),
        commit=options.commit,
        git=not options.no_git,
        gpus=options.gpu_count(),
        secrets=secrets.values,
        reuse=_wish(project, plan, options, settings),
        approver=who() if options.auto_approve else None,
    )


def _wish(project: Project, plan: Plan, options: Options, settings: Settings) -> Wish:
    """What the command line and the file want of reuse: pipelines and tasks want it, single steps do not. Raises
    MlrunError."""
    if plan.kind == "pipeline":
        on = project.pipelines[plan.name].reuse_executions is not False and not options.no_reuse
    elif plan.kind == "task":
        on = not options.no_reuse
    else:
        on = bool(options.reuse)
    nodes = frozenset(plan.nodes)
    asked = frozenset(options.refresh or ())
    for name in sorted(asked - nodes - {"*"}):
        raise usage_error(f"there is no node `{printable(name)}` to refresh", hint=did_you_mean(name, nodes))
    refresh = nodes if "*" in asked else asked
    return Wish(on, refresh, CodeKey(settings.code_key), project.policies, believed_sources(settings))


def launch(
    place: Place, project: Project, plan: Plan, options: Options, secrets: Secrets, *, pause: bool = False
) -> int:
    """Run the plan on a display; returns the exit code. `secrets` are those that the plan was made with; with `pause` a
    step that fails leaves its place open for a shell."""
    request = make_request(place, project, plan, options, secrets)
    if options.dry_run:
        return _tell_outlook(request, json=options.json)
    if options.detach:
        return in_background(request.settings.store, partial(run_plan, request), json=options.json)

    def run(display: Relay) -> Ended:
        paused = replace(request, settle=display.settle) if pause else request
        return run_plan(attended(paused, display), display)

    return on_display(plan.kind, run, json=options.json)


def _tell_outlook(request: Request, *, json: bool) -> int:
    """Say what would happen; nothing does."""
    # Not at the top: a run that is no dry one does without.
    from runner.app.why import look_ahead
    from runner.cli.fate import outlook_json, outlook_text

    with look_ahead(request, tell_notice) as outlook:
        if json:
            print_json(outlook_json(outlook))
        else:
            print(outlook_text(outlook))
    return ExitCode.OK


def tell_notice(event: Event) -> None:
    """Say what the user should know; the rest of what happens is nobody's business here."""
    if isinstance(event, Noticed):
        say(notice_sentence(event))
