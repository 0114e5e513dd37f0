"""A job of a step that is in a pool waits for its place, tells so once, and gives up as soon as it is stopped."""

from pathlib import Path
from threading import Event as ThreadEvent
from threading import Thread
from typing import cast

from runner.app.pool import Pooling, make_pooling
from runner.events import Event, Noticed
from runner.job import Gang, Job, Script
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments
from runner.settings import Settings
from runner.spec.project import parse_project
from runner.store.pool import Pools
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper
from tests.patience import PATIENCE

LISTENER = cast("JobListener", None)
FINISHED = cast("Finished", "finished")


def job(id: str, step: str = "train", gang: Gang | None = None) -> Job:
    return Job(id, step, "i", Script(()), "s", {}, (), {}, gang=gang)


class Bench:
    """One run whose jobs are in the pool `gpu` if their step is `train`, and another that has its only place."""

    def __init__(self, folder: Path) -> None:
        self.told: list[Event] = []
        self.waits = ThreadEvent()
        self.ran: list[str] = []
        self.pooling = Pooling(Pools(folder / "pools"), {"train": "gpu"}, {"gpu": 1})
        self.others = Pools(folder / "pools")
        held = self.others.take("gpu", 1, "other")
        assert held is not None
        self.let_go = held.let_go

    def tell(self, event: Event) -> None:
        self.told.append(event)
        self.waits.set()

    def work(self, job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        self.ran.append(f"{job.id} {stopper.asked}")
        if job.step == "train":
            assert self.others.take("gpu", 1, "another") is None
        return FINISHED

    def begin(self, job: Job, stopper: Stopper) -> Thread:
        worker = self.pooling.bound(self.work, self.tell)
        thread = Thread(target=worker, args=(job, stopper, LISTENER))
        thread.start()
        return thread


def test_a_job_waits_until_another_run_lets_go_and_tells_so_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    thread = bench.begin(job("a"), Stopper())
    assert bench.waits.wait(PATIENCE)
    assert bench.ran == []
    bench.let_go()
    thread.join(PATIENCE)
    assert bench.ran == ["a None"]
    assert bench.told == [Noticed("step `train` waits for pool `gpu`, held by another run")]
    assert bench.others.take("gpu", 1, "other") is not None, "its place is free again"


def test_a_job_that_is_stopped_while_it_waits_gives_up(tmp_path: Path) -> None:
    bench, stopper = Bench(tmp_path), Stopper()
    thread = bench.begin(job("a"), stopper)
    assert bench.waits.wait(PATIENCE)
    stopper.stop(5)
    thread.join(PATIENCE)
    assert bench.ran == ["a stop"]
    bench.let_go()
    assert bench.others.take("gpu", 1, "other") is not None, "it never had a place"


def test_a_job_of_a_step_without_a_pool_waits_for_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.others.close()
    bench.pooling.bound(bench.work, bench.tell)(job("a", "other"), Stopper(), LISTENER)
    assert (bench.ran, bench.told) == (["a None"], [])


def test_the_members_of_a_gang_do_not_wait_for_each_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.let_go()
    ran: list[str] = []

    def work(one: Job, stopper: Stopper, listener: JobListener) -> Finished:
        if one.id == "a":
            bench.pooling.bound(work, bench.tell)(members[1], Stopper(), LISTENER)
        ran.append(one.id)
        return FINISHED

    members = [job(id, gang=Gang("g", number, ("1", "2"))) for number, id in enumerate("ab")]
    bench.pooling.bound(work, bench.tell)(members[0], Stopper(), LISTENER)
    assert (ran, bench.told) == (["b", "a"], [])


def test_a_job_that_runs_since_before_has_a_place_if_there_is_one_and_waits_for_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ran: list[bool] = []

    def follow(one: Job, stopper: Stopper, listener: JobListener) -> Finished:
        ran.append(bench.others.take("gpu", 1, "another") is None)
        return FINISHED

    bench.pooling.joined(follow)(job("a"), Stopper(), LISTENER)
    bench.let_go()
    bench.pooling.joined(follow)(job("a"), Stopper(), LISTENER)
    assert ran == [True, True]
    assert bench.others.take("gpu", 1, "another") is not None


YAML = """\
- step: {name: train, image: a, command: "true"}
- step: {name: test, image: a, command: "true"}
- step: {name: free, image: a, command: "true"}
- policy: {step: train, pool: gpu}
- policy: {step: test, pool: unknown}
- pipeline:
    name: p
    nodes:
      - {name: a, type: execution, step: train}
      - {name: b, type: execution, step: test}
      - {name: c, type: execution, step: free}
    edges: []
"""


def test_only_pools_that_have_a_size_are_taken_part_in(tmp_path: Path) -> None:
    project = parse_project(YAML.encode(), "valohai.yaml")
    plan = compile_pipeline(project, project.pipelines["p"], Arguments("/"), "/")
    pooling = make_pooling(plan, Settings(tmp_path, pools={"gpu": 1, "other": 2}), tmp_path / "cache")
    assert pooling.pools == {"train": "gpu"}
    none = make_pooling(plan, Settings(tmp_path), tmp_path / "cache")

    def work(one: Job, stopper: Stopper, listener: JobListener) -> Finished:
        return FINISHED

    assert none.bound(work, print) is work
    assert none.joined(work) is work
