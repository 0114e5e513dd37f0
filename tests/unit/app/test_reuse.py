"""What the store is asked for before a node runs: by records, never by the index alone."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from runner.app.reuse import Proposal, Reuser
from runner.app.wish import Globs, Wish
from runner.digest import Digest, hash_bytes
from runner.engine.entry import job_to_json
from runner.job import HostMount, Identity, Job, Script
from runner.reuse.decide import FactsDiffer, Hit, Miss, NothingEarlier, TooOld, Unreusable
from runner.spec.extension import Policy
from runner.store.identity import new_id
from runner.store.packed import Packed
from runner.store.recipe import Piece, Recipe
from runner.store.record import Code, OutputFile, ProjectRef, Reading, Reused
from runner.store.store import Store
from runner.store.tree import FILE, encode_tree

ID = Identity("sha256:1", {})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


def snapshot(store: Store, **files: str) -> Digest:
    """The tree of these files, `_` in a name standing for a dot."""
    told = []
    for name, text in files.items():
        told.append((name.replace("_", "."), FILE, store.objects.put_bytes(text.encode()), len(text)))
    return store.objects.put_bytes(encode_tree(told))


def job_of(tree: str, **changes: Any) -> Job:
    return replace(Job("", "s", "i", Script(("true",)), tree, {}, (), {}), **changes)


def execute(store: Store, job: Job, *, key: str | None = "", ends: bool = True) -> str:
    """Record an execution of a run; its base key by the rule without a policy unless another is given."""
    made = reuser(store, job).key("s", job) if key == "" else key
    spec = store.objects.put_bytes(b"- step: {}")
    plan = {"kind": "exec", "name": "s", "nodes": [{"name": "s", "step": "s"}]}
    writer = store.begin_run(
        {
            "kind": "exec",
            "name": "s",
            "project": ProjectRef("p1", "p", "/p", "valohai.yaml"),
            "title": None,
            "tags": (),
            "argv": (),
            "code": Code(Digest(job.snapshot)),
            "spec": spec,
            "plan": plan,
            "executor": "docker",
            "host": {},
            "version": "1",
        }
    )
    id, output = new_id(), store.objects.put_bytes(b"output")
    created = {"type": "execution-created", "id": id, "node": "s", "counter": writer.new_execution_counter()}
    created |= {"job": job_to_json(job)} | ({"key": made} if made else {})
    finished = {"type": "execution-finished", "id": id, "state": "succeeded", "reason": "exit", "exit_code": 0}
    finished |= {"outputs": [asdict(OutputFile("x", output, 6))], "read": asdict(Reading(("a.py",)))}
    identity = {"id": ID.id}
    writer.append([created, {"type": "execution-started", "id": id, "executor": "docker", "identity": identity}])
    writer.append([finished])
    if ends:
        writer.append([{"type": "run-finished", "state": "succeeded"}])
    writer.close()
    return id


def reuser(store: Store, job: Job, wish: Wish | None = None, identity: Identity = ID) -> Reuser:
    return Reuser(store, "p1", {job.image: identity}, "docker", wish or Wish())


def seek(store: Store, job: Job, wish: Wish | None = None, identity: Identity = ID) -> Any:
    """The decision, which `stand` has to share."""
    asked = reuser(store, job, wish, identity)
    found = asked.seek("s", job)
    stand = asked.stand("s", job)
    assert isinstance(found, Hit) is (stand is not None)
    return found


def test_an_execution_made_of_the_same_stands(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1", b="1"))
    assert seek(store, job) == Miss((NothingEarlier(),))
    id = execute(store, job)
    assert seek(store, job).execution.id == id
    assert seek(store, job_of(snapshot(store, a_py="1", b="2"))).execution.id == id
    assert isinstance(seek(store, job_of(snapshot(store, a_py="2", b="1"))), Miss)


def test_a_tag_that_means_another_image_by_now_is_a_change(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    execute(store, job)
    found = seek(store, job, identity=Identity("sha256:2", {}))
    assert isinstance(found.causes[0], FactsDiffer)
    assert isinstance(seek(store, job, identity=Identity("sha256:1", {"tag": "moved"})), Hit)


def test_what_sees_this_machine_stands_for_nothing_and_nothing_for_it(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    mounted = replace(job, mounts=(HostMount("/data", "/data", True),))
    key = reuser(store, job).key("s", job)
    assert reuser(store, mounted).key("s", mounted) is None
    # Even where its record claims the key of one that does not.
    execute(store, mounted, key=key)
    assert isinstance(seek(store, job), Miss)
    execute(store, job)
    assert isinstance(seek(store, mounted).causes[0], Unreusable)


def test_a_record_that_claims_the_key_of_other_work_does_not_stand_for_that(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    other = replace(job, parameters={"p": 1})
    execute(store, other, key=reuser(store, job).key("s", job))
    assert isinstance(seek(store, job), Miss)


def test_a_run_that_goes_on_is_read_again_until_it_tells(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    asked = reuser(store, job)
    execute(store, replace(job, parameters={"p": 1}), ends=False)
    assert asked.stand("s", job) is None
    id = execute(store, job, ends=False)
    stand = asked.stand("s", job)
    assert stand is not None
    assert stand.reused.execution == id


def policy(**changes: Any) -> Wish:
    return Wish(policies={"s": Policy("s", None, **changes)})  # type: ignore[arg-type]


def test_what_was_recorded_by_another_rule_stands_by_the_rule_of_now(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1", b="1"))
    id = execute(store, job)
    more = job_of(snapshot(store, a_py="1", b="1", c="new"))
    assert isinstance(seek(store, more), Miss)
    assert seek(store, more, policy(code=("*.py",))).execution.id == id


def test_policies_and_words_of_the_command_line_say_what_may_stand(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    execute(store, job)
    for wish in (policy(reuse=0.0), Wish(on=False), Wish(refresh=frozenset({"s"}))):
        assert isinstance(seek(store, job, wish).causes[0], Unreusable)
    assert isinstance(seek(store, job, policy(reuse=1e-9)).causes[0], TooOld)
    assert isinstance(seek(store, job, policy(reuse=3600.0)), Hit)


def test_patterns_that_are_the_same_count_the_same() -> None:
    assert Globs(("a",)) == Globs(("a",)) != Globs(("b",))
    assert hash(Globs(("a",))) == hash(Globs(("a",)))
    assert Globs(("src/", "*.py"))("src/x") and not Globs(())("src/x")


def test_an_output_that_is_gone_lets_it_run(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    execute(store, job)
    store.objects.path(hash_bytes(b"output")).unlink()
    assert isinstance(seek(store, job), Miss)


def test_an_output_that_was_packed_is_there_until_what_it_is_made_of_is_gone(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    id, output = execute(store, job), hash_bytes(b"output")
    source = store.objects.put_bytes(b"an output")
    Packed(store.layout.packed).put(output, Recipe((Piece(source, 3, 6),)))
    store.objects.path(output).unlink()
    assert seek(store, job).execution.id == id
    store.objects.path(source).unlink()
    assert isinstance(seek(store, job), Miss)


def test_an_output_of_another_size_than_was_recorded_lets_it_run(store: Store) -> None:
    job = job_of(snapshot(store, a_py="1"))
    execute(store, job)
    objects = reuser(store, job).sight
    (found,) = store.run(store.runs()[0]["id"]).executions.values()
    assert objects.lost_output(found) is None
    assert objects.lost_output(replace(found, outputs=(replace(found.outputs[0], size=7),))) == "x"


def test_what_was_accepted_stands_and_can_be_taken_back(store: Store) -> None:
    id = execute(store, job_of(snapshot(store, a_py="1")))
    job = job_of(snapshot(store, a_py="2"), parameters={"p": 1})
    asked = reuser(store, job)
    found: Any = asked.seek("s", job)
    proposal = asked.proposal("s", job, found.nearest)
    assert isinstance(proposal, Proposal)
    with store.refs.changing({"user": "me"}) as change:
        change.accept(proposal.key, proposal.code, id, store.with_key(found.nearest.key)[0][1])
    assert seek(store, job).accepted
    stand = reuser(store, job).stand("s", job)
    assert stand is not None
    assert stand.reused == Reused(id, 1, asked.sight.run_of(found.nearest).id, accepted=True)
    assert isinstance(seek(store, job_of(snapshot(store, a_py="3"), parameters={"p": 1})), Miss)
    assert isinstance(seek(store, job_of(snapshot(store, a_py="2"), parameters={"p": 2})), Miss)
    (standing,) = reuser(store, job).standing_proposals("s", job)
    assert (standing.key, standing.code) == (proposal.key, proposal.code)
    with store.refs.changing({"user": "me"}) as change:
        change.unaccept(standing.key, standing.code)
    assert isinstance(seek(store, job), Miss)


def test_who_sets_names_again_does_not_wait_for_who_looks_for_an_execution(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(snapshot(store, a_py="1"))
    execute(store, job)
    asked = reuser(store, job)
    stand = asked.stand("s", job)
    assert stand is not None
    begun, go_on = Event(), Event()

    def look(*_: object) -> None:
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr(asked.sight, "lost_output", look)
    looker = Thread(target=asked.stand, args=("s", job))
    setter = Thread(target=asked.publish_again, args=("me", stand.reused))
    looker.start()
    assert begun.wait(60)
    setter.start()
    setter.join(60)
    is_waiting = setter.is_alive()
    go_on.set()
    looker.join(60)
    setter.join(60)
    assert not is_waiting


def test_an_execution_without_outputs_cannot_be_accepted_any_more(store: Store) -> None:
    execute(store, job_of(snapshot(store, a_py="1")))
    job = job_of(snapshot(store, a_py="2"))
    asked = reuser(store, job)
    found: Any = asked.seek("s", job)
    store.objects.path(hash_bytes(b"output")).unlink()
    assert not isinstance(asked.proposal("s", job, found.nearest), Proposal)
