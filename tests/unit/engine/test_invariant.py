"""What holds of every run, whatever happens in whatever order: a state machine of stimuli, tried at random."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runner.engine import action as act
from runner.engine import stimulus as sti
from runner.engine.machine import Machine
from runner.engine.node import Restored
from runner.engine.slots import Capacity
from runner.errors import Location
from runner.plan.model import Plan, PlannedNode, Point
from runner.spec.model import Action, CommandItem, OnChildError, OnError, Step, Task, TaskType
from runner.state import DONE, FINAL, Reason, State

HERE = Location("valohai.yaml", 1, 1)
STEP = Step("s", HERE, "image", (CommandItem("true", HERE),))
WORDS = ((), ("noop",), ("require-approval",), ("stop-pipeline",), ("error-pipeline",))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A graph of up to six nodes, of all kinds and with all policies."""
    count = draw(st.integers(1, 6))
    nodes: dict[str, PlannedNode] = {}
    for number in range(count):
        above = tuple(sorted(draw(st.sets(st.sampled_from(sorted(nodes)), max_size=2)))) if nodes else ()
        kind = draw(st.sampled_from(["execution", "execution", "task", "deployment"]))
        task = None
        if kind == "task":
            task = Task(
                "t",
                HERE,
                "s",
                type=draw(st.sampled_from([TaskType.GRID_SEARCH, TaskType.DISTRIBUTED])),
                execution_count=draw(st.integers(1, 4)),
                maximum_queued_executions=draw(st.none() | st.integers(1, 3)),
                on_child_error=draw(st.none() | st.sampled_from(list(OnChildError))),
            )
        points = draw(st.sets(st.sampled_from([*map(str, Point)])))
        nodes[f"n{number}"] = replace(
            PlannedNode(f"n{number}", STEP, {}, {}, {}, upstream=above),
            kind=kind,
            task=task,
            on_error=draw(st.sampled_from(list(OnError))),
            retries=draw(st.integers(0, 2)),
            actions=(Action(tuple(points), (), (), HERE),) if points else (),
        )
    return Plan("pipeline", "p", nodes)


@dataclass
class Program:
    """What the world knows of a job."""

    started: bool = False


class AnyRun(RuleBasedStateMachine):
    """Plays the loop: does what the machine says, and lets anything happen that can."""

    plan: Plan
    machine: Machine

    @initialize(plan=plans(), places=st.integers(1, 3), parks=st.booleans(), data=st.data())
    def begin(self, plan: Plan, places: int, parks: bool, data: st.DataObject) -> None:
        self.plan, self.places = plan, places
        self.words = {(name, point): data.draw(st.sampled_from(WORDS)) for name in plan.nodes for point in Point}
        self.tasks = {name: node.task.execution_count or 1 for name, node in plan.nodes.items() if node.task}
        self.reset()
        self.machine = Machine(plan, Capacity(places), parks=parks)
        self.parks = parks
        self.proposed: dict[str, int] = dict.fromkeys(self.tasks, 0)
        self.attempts: dict[str, int] = {}
        self.send(sti.Begun())

    def reset(self) -> None:
        self.binding: set[str] = set()
        self.jobs: dict[str, Program] = {}
        self.asked: set[str] = set()
        self.timers: list[act.Timer] = []
        self.ends: list[act.EndRun] = []
        self.parked = False
        self.stopped = False
        self.trial_of: dict[str, str] = getattr(self, "trial_of", {})
        self.states: dict[str, State] = getattr(self, "states", {})

    def send(self, stimulus: sti.Stimulus) -> None:
        waiting = [stimulus]
        while waiting:
            for action in self.machine.handle(waiting.pop(0)):
                answer = self.obey(action)
                if answer is not None:
                    waiting.insert(0, answer)
            self.parked = self.parked and not waiting

    def obey(self, action: act.Action) -> sti.Stimulus | None:
        assert not self.ends, f"{action} after the end of the run"
        match action:
            case act.Bind(name):
                assert name not in self.binding and name not in self.jobs
                node = self.plan.nodes.get(name)
                for above in node.upstream if node else ():
                    assert self.is_open(above), f"{name} is bound before {above} lets it"
                self.binding.add(name)
            case act.Start(name):
                assert name not in self.jobs, "one job at a time"
                self.jobs[name] = Program()
                self.attempts[name] = self.attempts.get(name, 0) + 1
                task = self.plan.nodes.get(self.trial_of.get(name, ""))
                if not (task and task.task and task.task.type is TaskType.DISTRIBUTED):
                    assert len(self.jobs) <= self.places or len(self.jobs) <= self.gang_size()
            case act.Move(name, state):
                self.states[name] = state
                if state is not State.READY:
                    self.binding.discard(name)
            case act.Ask(name, count):
                assert count > 0
                number = min(count, self.tasks[name] - self.proposed[name])
                first = self.proposed[name] + 1
                self.proposed[name] += number
                names = tuple(f"{name}.{first + index}" for index in range(number))
                return sti.Proposed(name, names, exhausted=self.proposed[name] == self.tasks[name])
            case act.Add(name, trials):
                for trial in trials:
                    assert trial not in self.trial_of, "each trial once"
                    self.trial_of[trial] = name
            case act.Check(name, point):
                return sti.Checked(name, point, self.words.get((name, point), ()))
            case act.AskApproval(name):
                self.asked.add(name)
            case act.Decide(name):
                self.asked.discard(name)
            case act.SetTimer(timer):
                self.timers.append(timer)
            case act.Stop(name):
                assert name in self.jobs, "only a job can be stopped"
            case act.EndRun():
                self.ends.append(action)
            case act.Park():
                self.parked = True
        return None

    def gang_size(self) -> int:
        return max([0, *self.tasks.values()])

    def is_open(self, name: str) -> bool:
        node = self.plan.nodes[name]
        state = self.machine.state(name)
        return state in DONE or (state is State.FAILED and (node.on_error is OnError.CONTINUE or bool(node.actions)))

    def pick(self, data: st.DataObject, among: Any) -> str:
        return data.draw(st.sampled_from(sorted(among)))

    @precondition(lambda self: self.binding)
    @rule(data=st.data(), found=st.sampled_from(["bound", "bound", "bound", "reused", "unbindable"]))
    def a_node_is_bound(self, data: st.DataObject, found: str) -> None:
        name = self.pick(data, self.binding)
        self.binding.discard(name)
        node = self.plan.nodes.get(name)
        if node is not None and node.kind == "task" and found != "unbindable":
            self.send(sti.TaskBound(name))
        elif node is not None and node.kind == "deployment" and found != "unbindable":
            self.send(sti.NodeGathered(name, "gathered"))
        elif found == "bound":
            self.send(sti.NodeBound(name, data.draw(st.none() | st.just(5.0))))
        elif found == "reused":
            self.send(sti.NodeReused(name, "another stands"))
        else:
            self.send(sti.NodeUnbindable(name, Reason.INPUT, "not there"))

    @precondition(lambda self: any(not job.started for job in self.jobs.values()))
    @rule(data=st.data())
    def a_program_runs(self, data: st.DataObject) -> None:
        name = self.pick(data, [name for name, job in self.jobs.items() if not job.started])
        self.jobs[name].started = True
        self.send(sti.JobStarted(name))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), well=st.booleans(), reason=st.sampled_from([Reason.EXIT, Reason.KILLED, Reason.OOM]))
    def a_job_ends(self, data: st.DataObject, well: bool, reason: Reason) -> None:
        name = self.pick(data, self.jobs)
        del self.jobs[name]
        self.send(sti.JobEnded(name, well, Reason.EXIT if well else reason))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), what=st.sampled_from(["hopeless", "silent", "satisfied", "paused"]))
    def something_is_seen_of_a_job(self, data: st.DataObject, what: str) -> None:
        name = self.pick(data, self.jobs)
        if what == "silent":
            self.send(sti.LimitReached(name, Reason.NO_OUTPUT))
        elif what == "paused":
            self.send(sti.JobPaused(name))
        elif name in self.trial_of:
            self.send(sti.Hopeless(name) if what == "hopeless" else sti.TaskSatisfied(name, "it holds"))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def a_timer_fires(self, data: st.DataObject) -> None:
        timer = self.timers.pop(data.draw(st.integers(0, len(self.timers) - 1)))
        self.send(sti.TimerFired(timer))

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), approved=st.booleans())
    def somebody_decides(self, data: st.DataObject, approved: bool) -> None:
        name = self.pick(data, self.asked)
        self.asked.discard(name)
        self.parked = False
        self.send(sti.Approved(name, "me") if approved else sti.Rejected(name, "me"))

    @rule(kill=st.booleans(), dice=st.integers(0, 9))
    def somebody_stops_the_run(self, kill: bool, dice: int) -> None:
        if dice == 0 and not self.ends:
            self.stopped = True
            self.send(sti.StopAsked(kill))

    @precondition(lambda self: not self.ends)
    @rule(dice=st.integers(0, 9), adopt=st.booleans())
    def the_runner_dies_and_the_run_goes_on(self, dice: int, adopt: bool) -> None:
        if dice:
            return
        before = {name: self.machine.state(name) for name in (*self.plan.nodes, *self.trial_of)}
        gangs = {name for name, node in self.plan.nodes.items() if node.task and node.task.type is TaskType.DISTRIBUTED}
        restored = {}
        for name, state in before.items():
            task = self.trial_of.get(name)
            node = self.machine._nodes[name]
            runs = adopt and name in self.jobs and self.jobs[name].started and state is State.RUNNING
            kept = state in DONE or (state is State.FAILED and node.tolerated) or (task and state is State.STOPPED)
            if task in gangs and any(before[one] not in DONE for one, of in self.trial_of.items() if of == task):
                kept = runs = False
            awaits = state is State.AWAITING_APPROVAL and node.point is not None
            now = state if kept or awaits else State.RUNNING if runs and task not in gangs else State.WAITING
            restored[name] = Restored(
                now,
                point=node.point if awaits else None,
                becomes=node.held.state if awaits and node.held else None,
                tolerated=node.tolerated,
                trial_of=task,
            )
        self.reset()
        self.jobs = {name: Program(True) for name, one in restored.items() if one.state is State.RUNNING}
        self.attempts = {}
        done = {name for name, one in restored.items() if one.state in FINAL}
        self.machine = Machine(self.plan, Capacity(self.places), parks=self.parks, restored=restored)
        self.send(sti.Begun())
        assert all(self.machine.state(name) is restored[name].state for name in done)
        assert all(self.machine.state(name) is not State.READY for name in done)

    @invariant()
    def the_run_ends_exactly_when_every_node_is_final(self) -> None:
        if not hasattr(self, "machine"):
            return
        every = [*self.plan.nodes, *self.trial_of]
        final = all(self.machine.state(name) in FINAL for name in every)
        assert bool(self.ends) == final
        if self.ends:
            assert not self.jobs, "nothing is left running"
            assert len(self.ends) == 1

    @invariant()
    def something_can_always_happen(self) -> None:
        if not hasattr(self, "machine") or self.ends:
            return
        retrying = any(timer.purpose is act.Purpose.RETRY for timer in self.timers)
        assert self.binding or self.jobs or self.asked or retrying, "the run hangs"
        if self.parks:
            assert self.parked == (bool(self.asked) and not (self.binding or self.jobs or retrying))

    @invariant()
    def a_node_is_not_tried_more_often_than_it_may(self) -> None:
        if not hasattr(self, "machine"):
            return
        for name, count in self.attempts.items():
            node = self.plan.nodes[self.trial_of.get(name, name)]
            assert count <= node.retries + 1

    def teardown(self) -> None:
        """Whatever is left is let go, and the run must end."""
        if not hasattr(self, "machine"):
            return
        for _ in range(10_000):
            if self.ends:
                return
            if self.binding:
                name = sorted(self.binding)[0]
                self.binding.discard(name)
                node = self.plan.nodes.get(name)
                kind = node.kind if node else "execution"
                bound = {"task": sti.TaskBound(name), "deployment": sti.NodeGathered(name, "")}
                self.send(bound.get(kind, sti.NodeBound(name)))
            elif self.jobs:
                name = sorted(self.jobs)[0]
                del self.jobs[name]
                self.send(sti.JobEnded(name, True, Reason.EXIT))
            elif self.asked:
                name = sorted(self.asked)[0]
                self.asked.discard(name)
                self.send(sti.Approved(name, "me"))
            else:
                self.send(sti.TimerFired(self.timers.pop()))
        pytest.fail("the run does not end")


def test_whatever_happens_every_run_keeps_its_promises() -> None:
    run_state_machine_as_test(
        AnyRun,
        settings=settings(
            max_examples=300,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
