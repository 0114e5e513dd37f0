"""What records and names name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from runner.digest import Digest, hash_bytes
from runner.store.datum import Datum
from runner.store.reach import FILES, Kind, Meant, Named, named_by, named_by_names
from runner.store.record import Code, Run
from runner.store.ref import Alias, Collection, CollectionKind, Version
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


def test_code_of_another_commit_is_named_though_its_node_never_ran(store: Store, header: Header) -> None:
    with store.begin_run(header(codes={"b": asdict(Code(hash_bytes(b"other tree")))})) as writer:
        code = [(one.execution, one.name) for one in named_by(writer.run(), read_tree) if one.kind is Kind.CODE]
    assert code == [("", ""), ("", "a.py"), ("", ""), ("", "b.py")]


def test_a_deployment_node_names_the_files_of_its_endpoints(store: Store, header: Header) -> None:
    model = {"name": "model.pkl", "digest": hash_bytes(b"model"), "size": 5}
    gathered = {"deployment": "d", "id": "i", "version_id": "v", "endpoints": {"predict": {"model": model}}}
    with store.begin_run(header()) as writer:
        writer.append([{"type": "deployment-gathered", "node": "b", "gathered": gathered}])
        assert Named(hash_bytes(b"model"), Kind.DEPLOYMENT, "", "predict/model", 5) in named(writer.run())


def test_a_file_of_the_command_line_is_named_until_an_execution_of_the_node_names_it(
    store: Store, header: Header
) -> None:
    file = {"name": "deep/x", "digest": hash_bytes(b"given"), "size": 7, "origin": "/x"}
    given = {"parameters": {}, "inputs": {}, "files": {"data": [file]}}
    with store.begin_run(header(arguments={"nodes": {"a": given, "b": given}})) as writer:
        wanted = Named(hash_bytes(b"given"), Kind.GIVEN, "", "data/deep/x", 7)
        assert [one for one in named_by(writer.run(), read_tree) if one.kind is Kind.GIVEN] == [wanted, wanted]
        execute(writer, "e", "a")
        assert [one for one in named_by(writer.run(), read_tree) if one.kind is Kind.GIVEN] == [wanted]
        writer.append([{"type": "trials-added", "node": "b", "trials": [{"name": "b.1", "parameters": {}}]}])
        execute(writer, "f", "b.1")
        assert [one for one in named_by(writer.run(), read_tree) if one.kind is Kind.GIVEN] == []


def test_only_files_of_executions_may_go_before_the_record() -> None:
    assert set(Kind) - FILES == {Kind.CODE, Kind.SPEC, Kind.METRICS, Kind.DEPLOYMENT, Kind.GIVEN}


def a_datum(name: str) -> Datum:
    return Datum(f"id of {name}", name, hash_bytes(name.encode()), len(name), "e1")


class Names:
    """An alias, a dataset with two versions and a model without any."""

    def aliases(self) -> Sequence[Alias]:
        return [Alias("prod", a_datum("model"), "t", {})]

    def collections(self, kind: CollectionKind) -> Sequence[Collection]:
        if kind == "model":
            return [Collection(kind, "empty")]
        versions = (Version(name, hash_bytes(name.encode()), 1, 1, "t", {}) for name in ("v1", "v2"))
        return [Collection(kind, "flowers", tuple(versions), {"best": "v1"})]


def test_names_name_files_and_the_lists_of_versions_each_before_its_files() -> None:
    lists = {hash_bytes(b"v1"): [a_datum("a"), a_datum("b")], hash_bytes(b"v2"): [a_datum("a")]}
    assert list(named_by_names(Names(), lists.__getitem__)) == [
        Meant(hash_bytes(b"model"), "alias", "prod", a_datum("model")),
        Meant(hash_bytes(b"v1"), "dataset", "flowers/v1", None),
        Meant(hash_bytes(b"a"), "dataset", "flowers/v1", a_datum("a")),
        Meant(hash_bytes(b"b"), "dataset", "flowers/v1", a_datum("b")),
        Meant(hash_bytes(b"v2"), "dataset", "flowers/v2", None),
        Meant(hash_bytes(b"a"), "dataset", "flowers/v2", a_datum("a")),
    ]
    assert [meant.size for meant in named_by_names(Names(), lists.__getitem__)] == [5, None, 1, 1, None, 1]


def test_who_needs_no_files_has_no_list_read() -> None:
    assert [meant.name for meant in named_by_names(Names(), lambda _: ())] == ["prod", "flowers/v1", "flowers/v2"]
