"""`mlrun why`: why a node would run or an execution ran: all in which it differs from the nearest earlier one."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from runner.app.forecast import Asks, Depends, Fails, Fate, Runs, Stands, Sweeps, stands
from runner.app.place import Place, locate
from runner.app.plan import plan_pipeline
from runner.app.request import Request, open_project
from runner.app.secret import Secrets
from runner.app.why import Hindsight, Outlook, Past, Standing, look_ahead
from runner.cli import launch
from runner.cli.cause import Evidence, Told, summary, tell
from runner.cli.cell import now
from runner.cli.fate import WORDS, causes_json, depends_words, execution_json, fate_sentence, node_json, trial_lines
from runner.cli.launch import Options
from runner.cli.option import Parsed
from runner.cli.subject import Found, find, find_execution, node_of
from runner.cli.terminal import paint, print_json
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.plan.compile import compile_step
from runner.plan.model import Plan
from runner.quantity import ago, seconds_between
from runner.reuse.decide import Hit, Miss
from runner.reuse.fact import Kind
from runner.sign import word_of
from runner.spec.model import Pipeline, Project
from runner.spec.phrase import counted
from runner.spec.project import select_pipeline
from runner.state import State
from runner.store.record import Execution, NodeRecord, Reused, Run, in_order
from runner.store.store import RUN_PREFIX

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun why train

  mlrun why train --pipeline "Training Pipeline"

  mlrun why 12

  mlrun why run:3 train --json"""

_SHOWN = 60
"""Lines of a difference that are shown; JSON has all."""
_BY_WORD = "what differs was accepted: `mlrun accept NODE --undo` takes that back"
_TAKEN = "nobody asked what is different: it was taken as it was, by `--mimic` or by a rerun of other nodes"
_COLOURS = {"+": "32", "-": "31", "@": "36"}


@app.command(epilog=EXAMPLES)
def show(
    context: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="NODE|EXECUTION|RUN",
            help="A node of a pipeline of the file, or a step; an execution: its number, `latest` or the start of its "
            "id; or `run:N` and a node of it.",
        ),
    ],
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="Which node of the run.")] = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", metavar="NAME", help="The node of this pipeline, if several have it.")
    ] = None,
    executor: launch.ExecutorOption = None,
    network: launch.NetworkOption = None,
    commit: launch.Commit = None,
    yaml: launch.Yaml = None,
    no_git: launch.NoGit = False,
    code_key: launch.CodeKeyOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON, with nothing shortened.")] = False,
) -> int:
    """Say why a node would run now, or why an execution ran: what differs from the nearest earlier execution.

    Of files of the code the lines that differ are shown, of parameters and variables both values, of inputs the files.
    Nothing is run and nothing is written.
    """
    options = Options.of(context)
    if node is not None or _means_past(subject):
        return _tell_past(subject, node, json=json)
    try:
        found = find_node(subject, pipeline, options)
    except MlrunError as error:
        if error.code not in {ExitCode.USAGE, ExitCode.SPEC} or pipeline is not None:
            raise
        return _tell_past_instead(subject, error, json=json)
    name, request = found.asked(options)
    with look_ahead(request, launch.tell_notice, name) as outlook:
        if json:
            plan = found.plan
            print_json({"subject": "node", "kind": plan.kind, "pipeline": plan.name} | node_json(name, outlook))
        else:
            print("\n".join(_future_lines(name, outlook)))
    return ExitCode.OK


def _means_past(subject: str) -> bool:
    return subject.startswith(RUN_PREFIX) or subject == "latest" or (subject.isascii() and subject.isdecimal())


# What would happen --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meant:
    """A node or step of the file, the plan in which it is, and the secrets that the plan was made with."""

    subject: str
    place: Place
    project: Project
    plan: Plan
    secrets: Secrets

    def asked(self, options: Options) -> tuple[str, Request]:
        """The node's name in the plan, and what is asked of it. A step by itself is asked about as `mlrun exec --reuse`
        would. Raises MlrunError (USAGE)."""
        plan = self.plan
        wanted = options if plan.kind == "pipeline" else replace(options, reuse=True)
        name = self.subject if self.subject in plan.nodes else next(iter(plan.nodes))
        return name, launch.make_request(self.place, self.project, plan, wanted, self.secrets)


def find_node(subject: str, pipeline: str | None, options: Options) -> Meant:
    """The node or step of the file with this name. Raises MlrunError (USAGE, SPEC)."""
    place = locate(Path.cwd(), options.yaml)
    project = open_project(place, options.commit)
    chosen = _choose_pipeline(project, subject, pipeline)
    secrets = launch.secrets(place, options)
    arguments = launch.arguments(options, Parsed(), secrets)
    if chosen is not None:
        launch.refuse_broken(project, chosen)
        plan = plan_pipeline(place, project, chosen, arguments, options.settings())
        return Meant(subject, place, project, plan, secrets)
    step = project.steps.get(subject)
    if step is None:
        known = {node.name for one in project.pipelines.values() for node in one.nodes} | project.steps.keys()
        raise usage_error(
            f"there is no node, step or execution `{printable(subject)}`", hint=did_you_mean(subject, known)
        )
    launch.refuse_broken(project, step)
    return Meant(subject, place, project, compile_step(step, arguments, str(place.root)), secrets)


def _choose_pipeline(project: Project, subject: str, name: str | None) -> Pipeline | None:
    """The pipeline whose node is meant; None where a step by itself is. Raises MlrunError (USAGE)."""
    having = [one for one in project.pipelines.values() if any(node.name == subject for node in one.nodes)]
    if name is not None:
        chosen = select_pipeline(project, name)
        if chosen not in having:
            raise usage_error(
                f"pipeline `{printable(chosen.name)}` has no node `{printable(subject)}`",
                hint=did_you_mean(subject, [node.name for node in chosen.nodes]),
            )
        return chosen
    if len(having) > 1:
        names = ", ".join(f"`{printable(one.name)}`" for one in having)
        raise usage_error(
            f"several pipelines have a node `{printable(subject)}`: {names}", hint="choose one with `--pipeline NAME`"
        )
    return having[0] if having else None


def _future_lines(name: str, outlook: Outlook) -> Iterator[str]:
    fate, plan = outlook.fates[name], outlook.plan
    whose = (
        f"node {printable(name)} of pipeline {printable(plan.name)}"
        if plan.kind == "pipeline"
        else (f"step {printable(name)} with `--reuse`")
    )
    yield f"{whose} {_would(fate, outlook)}"
    match fate:
        case Stands(stand):
            yield _why_stands(stand.reused)
        case Runs(miss):
            yield from cause_lines(miss, outlook.evidence(miss))
        case Depends(_, besides):
            if besides is None:
                yield "it is reused if that comes out as it was; above it:"
            else:
                yield from cause_lines(besides, outlook.evidence(besides))
                yield "above it:"
            roots = (one for one in _roots(outlook) if one != name)
            yield from (f"  {printable(one)} {fate_sentence(outlook.fates[one], outlook)}" for one in roots)
        case Sweeps():
            yield from trial_lines(fate)
        case Asks():
            yield "it is reused if what is there is what it was"
        case Fails(error):
            yield from [f"  {printable(error.hint)}"] if error.hint else []


def _why_stands(reused: Reused | None) -> str:
    """Why an execution stands for a node."""
    if reused is None or reused.taken:
        return _TAKEN
    return _BY_WORD if reused.accepted else "nothing that counts is different"


def _roots(outlook: Outlook) -> Iterator[str]:
    """The nodes on which others depend, and that would run whatever those above them write."""
    return (
        name
        for name, fate in outlook.fates.items()
        if not stands(fate) and not (isinstance(fate, Depends) and fate.besides is None)
    )


def _would(fate: Fate, outlook: Outlook) -> str:
    match fate:
        case Stands(stand):
            return f"would be reused: {printable(stand.detail)} ({ago(stand.age)}) stands for it"
        case Runs(miss) if miss.nearest is not None:
            return f"would run: the nearest is {_nearest(miss.nearest, outlook.run_of(miss.nearest))}"
        case Runs():
            return "would run"
        case Depends(upstream, Miss() as besides) if besides.nearest is not None:
            earlier = _nearest(besides.nearest, outlook.run_of(besides.nearest))
            return f"{depends_words(upstream)}, and would run if that came out as it was: the nearest is {earlier}"
        case Depends(upstream):
            return depends_words(upstream)
        case _:
            return fate_sentence(fate, outlook)


def _nearest(execution: Execution, run: Run | None) -> str:
    """`execution 4 of run 2 (3 days ago)`."""
    of_run = f" of run {run.counter}" if run is not None else ""
    ended = execution.finished or execution.created
    return f"execution {execution.counter}{of_run} ({ago(seconds_between(ended, now()))})"


def cause_lines(miss: Miss, evidence: Evidence | None) -> Iterator[str]:
    """Each cause of a miss in a line, with the lines of files that differ."""
    for one in tell(miss.causes, evidence):
        yield f"  {one.sentence}"
        yield from _diff_lines(one)


def _diff_lines(one: Told) -> Iterator[str]:
    for line in one.diff[:_SHOWN]:
        colour = _COLOURS.get(line[:1])
        text = paint(line, colour, sys.stdout) if colour and line[:3] not in {"+++", "---"} else line
        yield f"      {text}"
    if len(one.diff) > _SHOWN:
        yield f"      … {counted(len(one.diff) - _SHOWN, 'more line')}: `--json` has all"


# What happened ------------------------------------------------------------------------------------------------------


def _tell_past(subject: str, node: str | None, *, json: bool) -> int:
    found = find(subject) if subject.startswith(RUN_PREFIX) else find_execution(subject)
    if node is not None and found.chosen is not None:
        raise usage_error(
            f"`{printable(subject)}` is an execution, which has no nodes", hint=f"write `{RUN_PREFIX}N {node}`"
        )
    answers = _answers(found, node)
    if json:
        documents = [_document(one) for one in answers]
        print_json(documents[0] if node is not None or found.chosen is not None else documents)
    else:
        long = len(answers) == 1
        print("\n".join(line for one in answers for line in _past_lines(one, long=long)))
    return ExitCode.OK


def _tell_past_instead(subject: str, refusal: MlrunError, *, json: bool) -> int:
    """The start of an id may be meant, where the file has nothing of that name."""
    try:
        return _tell_past(subject, None, json=json)
    except MlrunError as error:
        raise (refusal if error.code is ExitCode.USAGE else error) from None


@dataclass(frozen=True, slots=True)
class Idle:
    """A node of a run for which nothing ran and nothing stands, or nothing that is recorded, in a sentence."""

    run: Run
    node: NodeRecord
    sentence: str


Answer = Hindsight | Standing | Idle


def _answers(found: Found, node: str | None) -> Sequence[Answer]:
    past = Past(found.store, found.run)
    if found.chosen is not None:
        return [past.why(found.execution)]
    names = [node_of(found.run, node).name] if node is not None else [node.name for node in in_order(found.run)]
    return [_answer(found.run, past, name) for name in names]


def _answer(run: Run, past: Past, name: str) -> Answer:
    record = run.nodes[name]
    standing = past.standing(record)
    if standing is not None:
        return standing
    if record.executions and record.reused is None:
        return past.why(run.executions[record.executions[-1]])
    said = f": {printable(record.detail)}" if record.detail else ""
    gone = ", whose record is gone" if record.reused is not None else ""
    was = "" if record.state in {State.SUCCEEDED, State.FAILED} else "was "
    return Idle(run, record, f"node {printable(name)} of run {run.counter} {was}{word_of(record)}{said}{gone}")


def _past_lines(answer: Answer, *, long: bool) -> Iterator[str]:
    match answer:
        case Hindsight():
            yield from _hindsight_lines(answer, long=long)
        case Standing():
            yield from _standing_lines(answer, long=long)
        case Idle():
            yield answer.sentence


def _hindsight_lines(told: Hindsight, *, long: bool) -> Iterator[str]:
    execution = told.execution
    head = f"execution {execution.counter} (node {printable(execution.node)} of run {told.run.counter}) ran"
    decision = told.decision
    if isinstance(decision, Hit):
        same = f"{_nearest(decision.execution, told.earlier)} differs in nothing that counts"
        same += ", as was accepted" if decision.accepted else ""
        yield f"{head}: {told.asked or 'that nothing had changed was not seen'}; {same}"
        return
    because = f"; {told.asked}" if told.asked else ""
    if not long:
        yield f"{head}: {summary(decision.causes, told.evidence)}{because}"
        return
    against = f": the nearest before it was {_nearest(decision.nearest, told.earlier)}" if decision.nearest else ""
    yield f"{head}{against}{because}"
    yield from cause_lines(decision, told.evidence)


def _standing_lines(told: Standing, *, long: bool) -> Iterator[str]:
    stands = _nearest(told.execution, told.earlier)
    yield f"node {printable(told.node.name)} of run {told.run.counter} was reused: {stands} stands for it"
    reused = told.node.reused
    if reused is not None and (reused.taken or reused.accepted):
        yield _why_stands(reused)
    elif long:
        facts = ", ".join(_same_words(kind, count) for kind, count in told.same.items() if kind in _SAME)
        yield f"the same as for it were {facts}; and of the code its names{_same_files(told.read)}"


def _same_files(read: int | None) -> str:
    if read is None:
        return " and every file"
    return f" and the {counted(read, 'file')} that it had read" if read else ", and it had read no file"


def _same_words(kind: Kind, count: int) -> str:
    one, many = _SAME[kind]
    return one if count == 1 or many is None else f"{count} {many}"


_SAME: Mapping[Kind, tuple[str, str | None]] = {
    Kind.ENVIRONMENT: ("where its programs come from", None),
    Kind.COMMAND: ("the command", None),
    Kind.PARAMETER: ("1 parameter", "parameters"),
    Kind.VARIABLE: ("1 variable", "variables"),
    Kind.SECRET: ("the name of 1 secret", "names of secrets"),
    Kind.INPUT: ("1 input", "inputs"),
    Kind.NETWORK: ("the network", None),
    Kind.RESOURCE: ("1 share of the machine", "shares of the machine"),
    Kind.DEVICE: ("1 device", "devices"),
    Kind.CONDITION: ("the stop-condition", None),
}


def _document(answer: Answer) -> dict[str, Any]:
    match answer:
        case Hindsight(run, execution, decision, asked, evidence, earlier):
            nearest = decision.execution if isinstance(decision, Hit) else decision.nearest
            causes = [] if isinstance(decision, Hit) else causes_json(decision, evidence)
            return {
                "subject": "execution",
                **execution_json(execution, run),
                "node": execution.node,
                "step": execution.step,
                "fate": "ran",
                "causes": causes,
                "not_asked": asked,
                "nearest": execution_json(nearest, earlier) if nearest else None,
            }
        case Standing(run, node, earlier, execution, same, read):
            return {
                **_place(run, node),
                "fate": WORDS[Stands],
                "execution": execution_json(execution, earlier),
                "same": dict(same),
                "read": read,
            }
        case Idle(run, node, sentence):
            return {
                **_place(run, node),
                "fate": None,
                "sentence": sentence,
            }


def _place(run: Run, node: NodeRecord) -> dict[str, Any]:
    """Which node of which run is told of."""
    return {
        "subject": "node",
        "node": node.name,
        "step": node.step,
        "run": run.id,
        "run_counter": run.counter,
    }
