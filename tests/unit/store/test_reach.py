"""What a record names."""

from collections.abc import Callable, Iterator
from typing import Any

from runner.digest import Digest, hash_bytes
from runner.store.reach import FILES, Kind, Named, named_by
from runner.store.record import Run
from runner.store.store import Store
from runner.store.writer import RunWriter

Header = Callable[..., dict[str, Any]]

TREES = {hash_bytes(b"tree"): "a.py", hash_bytes(b"other tree"): "b.py"}


def read_tree(tree: Digest) -> Iterator[tuple[str, Digest, int]]:
    yield TREES[tree], hash_bytes(TREES[tree].encode()), 4


def execute(writer: RunWriter, id: str, node: str, *, tree: bytes = b"tree", **ended: Any) -> None:
    file = {"name": "words.txt", "digest": hash_bytes(b"in"), "size": 2, "origin": "/words.txt"}
    job = {"snapshot": hash_bytes(tree), "inputs": [{"name": "data", "files": [file]}]}
    writer.append([{"type": "execution-created", "id": id, "node": node, "counter": 1, "job": job}])
    if ended:
        writer.append([{"type": "execution-finished", "id": id, "state": "succeeded", **ended}])


def named(run: Run) -> set[Named]:
    return set(named_by(run, read_tree))


def test_a_run_names_its_code_and_its_yaml_file(store: Store, header: Header) -> None:
    with store.begin_run(header()) as writer:
        assert named(writer.run()) == {
            Named(hash_bytes(b"spec"), Kind.SPEC, "", "valohai.yaml", None),
            Named(hash_bytes(b"tree"), Kind.CODE, "", "", None),
            Named(hash_bytes(b"a.py"), Kind.CODE, "", "a.py", 4),
        }


def test_an_execution_names_what_it_got_and_left(store: Store, header: Header) -> None:
    output = {"name": "model", "digest": hash_bytes(b"out"), "size": 3}
    log = {name: hash_bytes(name.encode()) for name in ("stdout", "stderr", "index")}
    with store.begin_run(header()) as writer:
        execute(writer, "e", "a", outputs=[output], log=log, metric_log=hash_bytes(b"events"))
        found = {one for one in named(writer.run()) if one.execution == "e"}
    assert found == {
        Named(hash_bytes(b"in"), Kind.INPUT, "e", "data/words.txt", 2),
        Named(hash_bytes(b"out"), Kind.OUTPUT, "e", "model", 3),
        *(Named(digest, Kind.LOG, "e", name, None) for name, digest in log.items()),
        Named(hash_bytes(b"events"), Kind.METRICS, "e", "metrics", None),
    }


def test_an_output_counts_while_its_execution_goes_on(store: Store, header: Header) -> None:
    with store.begin_run(header()) as writer:
        execute(writer, "e", "a")
        taken = {"name": "early", "digest": hash_bytes(b"early"), "size": 5}
        writer.append([{"type": "output-taken", "id": "e", "output": taken}])
        assert hash_bytes(b"early") in {one.digest for one in named(writer.run()) if one.kind is Kind.OUTPUT}


def test_other_code_of_an_execution_is_named_once_with_who_had_it(store: Store, header: Header) -> None:
    with store.begin_run(header()) as writer:
        execute(writer, "e", "a", tree=b"other tree")
        execute(writer, "f", "b", tree=b"tree")
        code = [(one.execution, one.name) for one in named_by(writer.run(), read_tree) if one.kind is Kind.CODE]
    assert code == [("", ""), ("", "a.py"), ("e", ""), ("e", "b.py")]


def test_code_specs_and_metrics_stay_as_long_as_the_record() -> None:
    assert set(Kind) - FILES == {Kind.CODE, Kind.SPEC, Kind.METRICS}
