"""Scenarios: `NAME.yaml` is a project with a pipeline `scenario`, `NAME.json` what must become of it. Adding a pair of
files adds a test.

Every scenario runs for real, from the file to the record, on the executor that only pretends; those that say `real` run
in the sandbox and in Docker as well. `NAME.json` is a run or a list of runs of the same project, each with

    pipeline      its name, if not `scenario`
    jobs          how many run at the same time (4)
    parameters    of the pipeline
    given         {node: {parameter: value}} of the command line
    approve       {node: true | false}: what a person says; `"all"`: all is approved beforehand
    tries         {step: [command, …]}: what the step does the first time, the second …, instead of its own;
                  `STEP@VALUE` is for the trial with this value, `STEP#0` for the first member of a distributed task
    after         {step: the node that runs when the step's program starts}; the step is told as in `tries`
    replace       {file: text}: what is edited before the run
    stop          the node that is running when somebody stops the run
    real          it also runs in the sandbox and in Docker

and of what is expected

    refused       a part of the message with which it is refused before it starts
    run, reason   how it ended
    exit          the exit code of the command
    states        {node: state} of all nodes, trials too
    reasons       {node: reason} of some
    detail        {node: a part of the sentence} of some
    executions    {node: how many}
    parameters_of {node: {name: value}} with which its last execution ran
    inputs        {node: {input: [names of files]}} that its last execution got
    environment   {node: {variable: value}} with which its last execution ran, among others
    order         [[earlier, later], …]: the one had ended when the other was created
    at_most       [number, [nodes]]: so many of them ran at the same time at most
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.app.place import locate
from runner.app.plan import plan_pipeline
from runner.app.request import Decider, Request
from runner.app.run import Ended, run_plan
from runner.app.wish import Wish
from runner.errors import ExitCode, MlrunError
from runner.events import ApprovalAsked, Event, NodeChanged
from runner.executors import EXECUTORS, Site
from runner.executors.fake import FakeExecutor, FakeHandle
from runner.job import Executor, Handle, Job, Script, Staged
from runner.plan.model import Arguments, Given
from runner.reuse.content import CodeKey
from runner.settings import Settings
from runner.spec.project import load_project
from runner.state import State
from runner.store.record import Execution, Run
from tests.patience import wait_for

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))

ENGINE = os.environ.get("DOCKER_HOST")
"""Where the container engine of this machine answers, before tests are guarded from it."""

IMAGE = "mlrun-test/sklearn:1"
"""One that has bash, for the words."""

WORDS = """\
write() { name="$1"; shift; mkdir -p "$(dirname "$VH_OUTPUTS_DIR/$name")"; echo "$@" > "$VH_OUTPUTS_DIR/$name"; }
metric() { echo "{\\"$1\\": $2}"; }
block() { sleep 1000 & wait; }
"""
"""What the words of the executor that only pretends mean to a real shell."""


def runs_of(scenario: Path) -> list[dict[str, Any]]:
    told = json.loads(scenario.with_suffix(".json").read_text(encoding="utf-8"))
    return told if isinstance(told, list) else [told]


def ways_to_tell(job: Job) -> set[str]:
    """How a scenario may speak of the step of a job."""
    member = job.environment.get("VH_DIST_MEMBER_INDEX")
    return {job.step, f"{job.step}#{member}", *(f"{job.step}@{value}" for value in job.parameters.values())}


REAL = [scenario for scenario in SCENARIOS if any(run.get("real") for run in runs_of(scenario))]


class Actor(FakeExecutor):
    """Pretends, and behaves otherwise each time a step is tried where the scenario says so."""

    tries: Mapping[str, list[str]] = {}

    def start(self, staged: Staged) -> FakeHandle:
        counted = self.__dict__.setdefault("counted", {})
        for key in ways_to_tell(staged.job) & self.tries.keys():
            counted[key] = counted.get(key, 0) + 1
            if counted[key] > len(self.tries[key]):
                continue
            script = Script((self.tries[key][counted[key] - 1],))
            staged = replace(staged, job=replace(staged.job, script=script))
        return super().start(staged)


@dataclass
class Stage:
    """A project in a folder, a store beside it, and how its runs are run."""

    folder: Path
    executor: str
    events: list[Event] = field(default_factory=list)
    after: Mapping[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    """Nodes of this run that have begun to run."""

    def play(self, told: Mapping[str, Any]) -> Ended:
        """Run the pipeline as the scenario tells. Raises MlrunError if it is refused."""
        for name, text in told.get("replace", {}).items():
            (self.folder / name).write_text(text)
        Actor.tries = told.get("tries", {})
        self.after, self.running = told.get("after", {}), set()
        place = locate(self.folder, None)
        project = load_project(place.file, place.shown)
        name = told.get("pipeline", "scenario")
        for kind, broken, problem in project.broken:
            if (kind, broken) == ("pipeline", name):
                raise MlrunError(problem.message, code=ExitCode.SPEC)
        settings = Settings(
            store=self.folder.parent / "store", executor=self.executor, jobs=told.get("jobs", 4), retry_delay=0.0
        )
        arguments = Arguments(
            folder=str(self.folder),
            nodes={node: Given(parameters=values) for node, values in told.get("given", {}).items()},
            parameters=told.get("parameters", {}),
            environment={"BASH_ENV": "/valohai/repository/words.sh"},
            image=IMAGE if self.executor == "docker" else None,
        )
        plan = plan_pipeline(place, project, project.pipelines[name], arguments, settings)
        approve = told.get("approve", {})
        request = Request(
            plan=plan,
            place=place,
            project=project,
            settings=settings,
            argv=("pipeline", "scenario"),
            parks=not approve,
            approver="the test" if approve == "all" else None,
            attend=lambda decide: self.attend(decide, {} if approve == "all" else approve),
            reuse=Wish(True, frozenset(), CodeKey.SYNTAX, project.policies, ()),
        )
        self.stop_at = told.get("stop")
        return run_plan(request, self.hear)

    def attend(self, decide: Decider, approve: Mapping[str, bool]) -> None:
        self.decide, self.approve = decide, approve

    def hear(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ApprovalAsked) and event.node in self.approve:
            self.decide(event.node, self.approve[event.node], "somebody")
        if isinstance(event, NodeChanged) and event.state is State.RUNNING:
            self.running.add(event.node)
            if event.node == self.stop_at:
                os.kill(os.getpid(), 15)

    def make_executor(self, make: Callable[[Site], Executor], site: Site) -> Executor:
        """One of the kind, whose jobs start after those that the scenario names."""
        executor = make(site)
        start = executor.start

        def start_in_turn(staged: Staged) -> Handle:
            earlier = {self.after[step] for step in ways_to_tell(staged.job) & self.after.keys()}
            wait_for(lambda: earlier <= self.running, f"run of {earlier}")
            return start(staged)

        executor.start = start_in_turn  # type: ignore[method-assign]
        return executor


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    scenario, executor = request.param
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "valohai.yaml").write_bytes(scenario.read_bytes())
    (folder / "words.sh").write_text(WORDS)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "a scenario")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    monkeypatch.setenv("MLRUN_STORE", str(tmp_path / "store"))
    if executor == "docker":
        if ENGINE is None:
            pytest.skip("docker: no engine is named by DOCKER_HOST")
        monkeypatch.setenv("DOCKER_HOST", ENGINE)
    stage = Stage(folder, executor)
    made = partial(stage.make_executor, EXECUTORS.get(executor, Actor))
    monkeypatch.setitem(EXECUTORS, executor, made)  # type: ignore[misc]
    yield stage


def pretended(scenario: Path) -> Any:
    return pytest.param(scenario, (scenario, "fake"), id=scenario.stem)


@pytest.mark.parametrize(("scenario", "stage"), [pretended(one) for one in SCENARIOS], indirect=["stage"])
def test_a_scenario_ends_as_its_file_says(scenario: Path, stage: Stage) -> None:
    play_all(scenario, stage)


def really(scenario: Path, executor: str) -> Any:
    marks = [pytest.mark.docker] if executor == "docker" else []
    return pytest.param(scenario, (scenario, executor), id=f"{scenario.stem}-{executor}", marks=marks)


@pytest.mark.parametrize(
    ("scenario", "stage"), [really(one, name) for one in REAL for name in ("sandbox", "docker")], indirect=["stage"]
)
def test_a_scenario_ends_the_same_with_real_programs(scenario: Path, stage: Stage) -> None:
    play_all(scenario, stage)


def play_all(scenario: Path, stage: Stage) -> None:
    for told in runs_of(scenario):
        if "refused" in told:
            with pytest.raises(MlrunError) as refused:
                stage.play(told)
            assert told["refused"] in str(refused.value)
            continue
        check(stage.play(told), told)


def check(ended: Ended, told: Mapping[str, Any]) -> None:
    """Compare what became of a run with what was expected of it."""
    run = ended.run
    shown = {name: str(node.state) for name, node in run.nodes.items()}
    assert shown == told["states"]
    assert run.state == told["run"]
    assert run.reason == told.get("reason")
    assert ended.exit == told.get("exit", 0 if told["run"] == "succeeded" else 1)
    for name, reason in told.get("reasons", {}).items():
        assert run.nodes[name].reason == reason, name
    for name, part in told.get("detail", {}).items():
        assert part in (run.nodes[name].detail or ""), name
    for name, count in told.get("executions", {}).items():
        assert len(run.nodes[name].executions) == count, name
    for name, values in told.get("parameters_of", {}).items():
        assert job_of(run, name)["parameters"] == values, name
    for name, inputs in told.get("inputs", {}).items():
        got = {item["name"]: [file["name"] for file in item["files"]] for item in job_of(run, name)["inputs"]}
        assert got == inputs, name
    for name, variables in told.get("environment", {}).items():
        assert variables.items() <= job_of(run, name)["environment"].items(), name
    for earlier, later in told.get("order", []):
        before, after = execution_of(run, earlier), execution_of(run, later)
        assert before.finished is not None and before.finished <= after.created
    if "at_most" in told:
        number, names = told["at_most"]
        assert most_at_once(run, names) <= number
    if run.state is not State.WAITING:
        assert all(execution.state not in (State.RUNNING, State.STARTING) for execution in run.executions.values())


def execution_of(run: Run, node: str) -> Execution:
    return run.executions[run.nodes[node].executions[-1]]


def job_of(run: Run, node: str) -> Mapping[str, Any]:
    return execution_of(run, node).job


def most_at_once(run: Run, names: list[str]) -> int:
    """How many executions of these nodes were between their creation and their end at the same time."""
    spans = [run.executions[id] for name in names for id in run.nodes[name].executions]
    moments = [(one.created, 1) for one in spans] + [(one.finished or "9", -1) for one in spans]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most
