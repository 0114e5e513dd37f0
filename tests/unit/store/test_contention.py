"""Many processes on one store: no number twice, no row lost, nobody meets a lock."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from runner.store.store import Store

from .conftest import Header, tell, whole_run


def processes(count: int, work: Callable[[int], object]) -> list[Any]:
    """What `work` gives in so many processes at once."""
    children = []
    for number in range(count):
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.write(send, json.dumps(work(number)).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(send)
        children.append((child, receive))
    found = []
    for child, receive in children:
        with open(receive) as file:
            text = file.read()
        assert os.waitpid(child, 0)[1] == 0
        found.append(json.loads(text))
    return found


def test_64_runs_at_once_get_64_numbers_and_none_meets_a_lock(store: Store, header: Header) -> None:
    store.close()

    def work(_: int) -> list[int]:
        with Store.open(store.layout.root, create=True) as own:
            own.reconcile()
            return [whole_run(own, header("a")).counter, own.executions("p1", 1)[0]["counter"]]

    runs, executions = zip(*processes(64, work), strict=True)
    assert sorted(runs) == list(range(1, 65))
    assert max(executions) == 64
    assert [row["state"] for row in store.runs("p1")] == ["succeeded"] * 64
    assert sorted(row["counter"] for row in store.executions("p1")) == list(range(1, 65))


def test_16_processes_commit_and_no_row_is_lost(store: Store) -> None:
    store.close()

    def work(number: int) -> list[int]:
        with Store.open(store.layout.root, create=True) as own:
            return [own._index.new_counter(f"p{number % 3}", "execution") for _ in range(20)]

    found = processes(16, work)
    for project, givers in enumerate((6, 5, 5)):
        given = sorted(counter for number in range(project, 16, 3) for counter in found[number])
        assert given == list(range(1, givers * 20 + 1))
    with closing(sqlite3.connect(store.layout.index)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_an_index_that_is_put_aside_while_others_write_gives_no_number_twice(store: Store, header: Header) -> None:
    whole_run(store, header())
    store.close()

    def work(number: int) -> list[int]:
        if number == 0:
            with store.layout.index.open("r+b") as file:
                file.write(b"\0" * 4096)
        with Store.open(store.layout.root, create=True) as own:
            return [whole_run(own, header()).counter for _ in range(5)]

    found = [counter for counters in processes(6, work) for counter in counters]
    assert len(set(found)) == 30
    assert sorted(row["counter"] for row in store.runs()) == sorted([1, *found])


def test_an_index_that_is_lost_while_a_run_goes_on_gives_no_number_of_an_execution_twice(
    store: Store, header: Header
) -> None:
    with store.begin_run(header()) as mine:
        for _ in range(5):
            tell(mine, "a")
        drawn = mine.new_execution_counter()
        store.layout.index.unlink()
        with Store.open(store.layout.root, create=True) as own, own.begin_run(header()) as other:
            given = [other.new_execution_counter() for _ in range(5)]
        given += [mine.new_execution_counter() for _ in range(5)]
    # The one that was drawn and not recorded is known to nobody but who has it.
    assert (drawn, sorted(given)) == (6, list(range(6, 16)))
    assert store.new_execution_counter("p1") == 16
