"""`mlrun verify`: nothing that was changed after it was written passes, and each thing has a sentence of its own."""

import base64
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.app.signing import OwnKey, key_file, make_key
from runner.cli.main import run as command
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode
from runner.export.dsse import decode_envelope
from runner.store.record import Run
from runner.store.store import Store
from tests.unit.remote.conftest import Place
from tests.unit.remote.scene import overwrite
from tests.unit.store.conftest import killed, void


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("MLRUN_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Store.open(tmp_path / "store", create=True) as store:
        yield Place(store)


@pytest.fixture
def key(place: Place) -> OwnKey:
    return make_key()


@pytest.fixture
def mlrun(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def mlrun(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = command(list(arguments))
        return code, *capsys.readouterr()

    return mlrun


def refusal(done: tuple[int, str, str]) -> str:
    """The one line that says what is wrong; a hint follows."""
    first, *hints = done[2].splitlines()
    assert first.startswith("error: ") and all(line.startswith("hint: ") for line in hints)
    return first


def statement_of(mlrun: Any, run: Run) -> dict[str, Any]:
    code, text, talk = mlrun("export", run.id, "--format", "slsa")
    assert code == 0, talk
    payload: dict[str, Any] = json.loads(decode_envelope(text.encode()).payload)
    return payload


def write(path: Path, key: OwnKey, statement: dict[str, Any], kind: str = "application/vnd.in-toto+json") -> str:
    path.write_bytes(key.sign(json.dumps(statement).encode(), kind).encode())
    return str(path)


# --- signed statements


def test_what_was_exported_is_true(place: Place, key: OwnKey, mlrun: Any) -> None:
    run = place.run("model.pkl", "deep/report.txt")
    code, text, _ = mlrun("export", run.id, "--format", "slsa")
    Path("s.json").write_text(text)
    code, out, talk = mlrun("verify", "s.json", "--json")
    assert code == 0 and "about run 1; 2 subjects" in talk
    told = json.loads(out)
    assert (told["run"], told["key"], told["record"]) == (run.id, key.public.id, True)
    assert [one["name"] for one in told["subjects"]] == ["train/model.pkl", "train/deep/report.txt"]
    assert mlrun("verify", "s.json", "--run", run.id)[0] == 0
    assert mlrun("export", run.id, "--format", "slsa")[1] == text


def test_the_statement_of_one_execution_is_true(place: Place, key: OwnKey, mlrun: Any) -> None:
    execution = next(iter(place.run().executions))
    assert mlrun("export", execution, "--format", "slsa", "-o", "s.json")[0] == 0
    assert mlrun("verify", "s.json")[0] == 0


def test_without_a_key_nothing_is_signed(place: Place, mlrun: Any) -> None:
    done = mlrun("export", place.run().id, "--format", "slsa")
    assert done[0] == ExitCode.USAGE and done[1] == ""
    assert "no key" in refusal(done) and "mlrun key make" in done[2]


def test_who_has_no_key_is_told_to_name_that_of_who_signed(
    place: Place, key: OwnKey, mlrun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlrun("export", place.run().id, "--format", "slsa", "-o", "s.json")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path.cwd() / "other"))
    done = mlrun("verify", "s.json")
    assert done[0] == ExitCode.USAGE and "no key to check with" in refusal(done)
    assert "--key PUB" in done[2] and "mlrun key make" not in done[2]


def test_a_wrong_key_is_named(place: Place, key: OwnKey, mlrun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mlrun("export", place.run().id, "--format", "slsa", "-o", "s.json")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path.cwd() / "other"))
    make_key()
    done = mlrun("verify", "s.json")
    assert done[0] == ExitCode.DIFFERS and "is not signed by the key" in refusal(done)
    Path("them.pub").write_text(key.public.pem)
    assert mlrun("verify", "s.json", "--key", "them.pub")[0] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.update(signatures=[]), "has no signature"),
        (lambda document: document.update(payload=base64.b64encode(b"{}").decode()), "was changed after"),
        (lambda document: document.update(payloadType="text/plain"), "was changed after"),
        (lambda document: document["signatures"][0].update(sig="AAAA"), "was changed after"),
        (lambda document: document["signatures"][0].update(sig="AAAA", keyid="x"), "is not signed by the key"),
        (lambda document: document["signatures"][0].update(sig=None), "is no signed envelope"),
        (lambda document: document["signatures"].clear(), "has no signature"),
        (lambda document: document.update(signatures=[{"sig": "AAAA"}] * 1000), "is no signed envelope"),
        (lambda document: document.update(payload="%%"), "is no signed envelope"),
        (lambda document: document.update(payloadType="\ud800"), "is no signed envelope"),
        (lambda document: document.pop("payload"), "is no signed envelope"),
    ],
)
def test_an_edited_envelope_is_refused(place: Place, key: OwnKey, mlrun: Any, change: Any, said: str) -> None:
    document = json.loads(mlrun("export", place.run().id, "--format", "slsa")[1])
    change(document)
    Path("s.json").write_text(json.dumps(document))
    done = mlrun("verify", "s.json")
    assert done[0] == ExitCode.DIFFERS and said in refusal(done)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"[" * 100_000, b'{"payload": 1}', b"\xff", bytes(100)])
def test_what_is_no_envelope_is_refused(place: Place, key: OwnKey, mlrun: Any, data: bytes) -> None:
    Path("s.json").write_bytes(data)
    done = mlrun("verify", "s.json")
    assert done[0] == ExitCode.DIFFERS and "is no signed envelope" in refusal(done)


def test_the_statement_of_another_run_is_refused(place: Place, key: OwnKey, mlrun: Any) -> None:
    first, second = place.run(), place.run()
    mlrun("export", first.id, "--format", "slsa", "-o", "s.json")
    done = mlrun("verify", "s.json", "--run", second.id)
    assert done[0] == ExitCode.DIFFERS and "tells of the run" in refusal(done) and "not of run 2" in done[2]


def _external(statement: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = statement["predicate"]["buildDefinition"]["externalParameters"]
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["subject"][0]["digest"].update(sha256="0" * 64), "another content for the subject"),
        (lambda one: one["subject"][0]["digest"].update(sha512="0" * 128), "another content for the subject"),
        (lambda one: one["subject"][0].update(digest=one["subject"][1]["digest"]), "another content for the subject"),
        (lambda one: one["subject"][0].update(digest={"md5": "0"}), "another content for the subject"),
        (lambda one: one["subject"][0].update(digest={}), "another content for the subject"),
        (lambda one: one["subject"][0].update(name="other"), "did not leave"),
        (lambda one: one["subject"].pop(), "lacks the subject"),
        (lambda one: one["subject"].clear(), "`statement.subject`"),
        (lambda one: one["subject"].append(one["subject"][0]), "`statement.subject`"),
        (lambda one: one.update(predicateType="https://example.com/x"), "`statement.predicateType`"),
        (lambda one: one["predicate"]["runDetails"].pop("builder"), "`statement.predicate.runDetails.builder`"),
        (lambda one: one.update(more=1), "`statement.more`"),
        (lambda one: _external(one)["executions"]["train"]["parameters"].update(C=0.9), "train.parameters.C`"),
        (lambda one: _external(one).update(commit="0" * 40), "externalParameters.commit`"),
        (lambda one: _external(one).update(dirty=0), "externalParameters.dirty`"),
        (
            lambda one: one["predicate"]["buildDefinition"]["resolvedDependencies"].pop(),
            "buildDefinition.resolvedDependencies`",
        ),
        (
            lambda one: one["predicate"]["runDetails"]["byproducts"][0]["digest"].update(blake3="0" * 64),
            "byproducts.0.digest`",
        ),
        (
            lambda one: one["predicate"]["runDetails"]["metadata"].update(startedOn="2020-01-01T00:00:00Z"),
            "metadata.startedOn`",
        ),
    ],
)
def test_a_statement_that_says_anything_else_than_the_record_is_refused_though_it_is_signed(
    place: Place, key: OwnKey, mlrun: Any, change: Any, said: str
) -> None:
    statement = statement_of(mlrun, place.run("model", "report"))
    change(statement)
    done = mlrun("verify", write(Path("s.json"), key, statement))
    assert done[0] == ExitCode.DIFFERS and said in refusal(done)


def test_a_signed_file_of_another_kind_is_refused(place: Place, key: OwnKey, mlrun: Any) -> None:
    statement = statement_of(mlrun, place.run())
    done = mlrun("verify", write(Path("s.json"), key, statement, "application/json"))
    assert done[0] == ExitCode.DIFFERS and "not an in-toto statement" in refusal(done)


def test_another_valid_object_in_the_place_of_a_subject_is_found(place: Place, key: OwnKey, mlrun: Any) -> None:
    run = place.run("model", "report")
    mlrun("export", run.id, "--format", "slsa", "-o", "s.json")
    model, report = next(iter(run.executions.values())).outputs
    overwrite(place.store.objects.path(model.digest), place.store.objects.path(report.digest).read_bytes())
    done = mlrun("verify", "s.json")
    assert done[0] == ExitCode.STORE and model.digest in refusal(done)


def test_subjects_are_compared_with_files_where_the_store_has_no_record(
    place: Place, key: OwnKey, mlrun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = place.run("model", "deep/report")
    mlrun("export", run.id, "--format", "slsa", "-o", "s.json")
    assert mlrun("outputs", next(iter(run.executions)), "-d", "out")[0] == 0
    assert mlrun("verify", "s.json", "--files", "out")[0] == 0
    monkeypatch.setenv("MLRUN_STORE", str(Path.cwd() / "elsewhere"))
    done = mlrun("verify", "s.json")
    assert done[0] == ExitCode.INPUT and "nothing can be compared" in refusal(done)
    done = mlrun("verify", "s.json", "--files", "out")
    assert done[0] == 0 and "is not in this store" in done[2]
    Path("out/train").mkdir()
    shutil.move("out/deep", "out/train/deep")
    assert mlrun("verify", "s.json", "--files", "out")[0] == 0
    Path("out/model").write_bytes(Path("out/train/deep/report").read_bytes())
    done = mlrun("verify", "s.json", "--files", "out")
    assert done[0] == ExitCode.DIFFERS and "has the subject `train/model`, but `out/model`" in refusal(done)
    Path("out/model").unlink()
    assert "cannot be read" in refusal(mlrun("verify", "s.json", "--files", "out"))


def test_subjects_of_odd_names_are_found_among_files(place: Place, key: OwnKey, mlrun: Any) -> None:
    run = place.run("b\udcff", "b\\xff", "e\x1b[31m", "two\nlines")
    mlrun("export", run.id, "--format", "slsa", "-o", "s.json")
    assert mlrun("outputs", next(iter(run.executions)), "-d", "out")[0] == 0
    assert mlrun("verify", "s.json")[0] == 0
    assert mlrun("verify", "s.json", "--files", "out")[0] == 0


@pytest.mark.parametrize("form", ["slsa", "bundle"])
def test_the_end_of_a_run_that_lost_its_runner_is_written_down_before_it_is_told(
    tmp_path: Path, place: Place, key: OwnKey, mlrun: Any, form: str
) -> None:
    killed(place.store, lambda own: void(Place(own).run(end=False)))
    with Store.open(tmp_path / "store", create=False) as store:
        (id,) = (row["id"] for row in store.runs())
        assert (store.run(id).state, store.run(id).finished) == ("interrupted", None)
        done = mlrun("export", id, "--format", form, "-o", "out")
        assert store.run(id).finished is not None
    if form == "bundle":
        assert done[0] == 0 and mlrun("open", "out", "--store", "elsewhere")[0] == 0
    else:
        assert "left no output" in refusal(done)


def test_a_bundle_is_for_another_command(place: Place, key: OwnKey, mlrun: Any) -> None:
    assert mlrun("export", place.run().id, "--format", "bundle", "-o", "a.mlrun")[0] == 0
    done = mlrun("verify", "a.mlrun")
    assert done[0] == ExitCode.DIFFERS and "is no signed envelope" in refusal(done) and "`mlrun open`" in done[2]


def test_a_name_in_a_statement_leads_nowhere_else(place: Place, key: OwnKey, mlrun: Any) -> None:
    Path("secret").write_text("secret")
    Path("out").mkdir()
    statement = statement_of(mlrun, place.run())
    run = "0" * 8 + "-0000-7000-8000-" + "0" * 12
    statement["predicate"]["runDetails"]["metadata"]["invocationId"] = run
    statement["subject"] = [{"name": "x/../secret", "digest": {"blake3": hash_bytes(b"secret")}}]
    done = mlrun("verify", write(Path("s.json"), key, statement), "--files", "out")
    assert done[0] == ExitCode.DIFFERS and "cannot be read" in refusal(done)
    for name in ("x\0y", "\ud800", "\udcff", "x" * 5000, ""):
        statement["subject"][0]["name"] = name
        done = mlrun("verify", write(Path("s.json"), key, statement), "--files", "out")
        assert done[0] == ExitCode.DIFFERS and refusal(done).isprintable()
    statement["predicate"]["runDetails"]["metadata"]["invocationId"] = "../../../etc/passwd"
    assert mlrun("verify", write(Path("s.json"), key, statement))[0] == ExitCode.INPUT


def test_a_statement_stays_true_when_files_were_removed_on_purpose(place: Place, key: OwnKey, mlrun: Any) -> None:
    run = place.run()
    mlrun("export", run.id, "--format", "slsa", "-o", "s.json")
    mlrun("outputs", next(iter(run.executions)), "-d", "out")
    from runner.store.removal import Removals

    Removals(place.store.layout).append([{"type": "files-dropped", "executions": sorted(run.executions)}])
    for output in next(iter(run.executions.values())).outputs:
        place.store.objects.path(output.digest).unlink()
    assert mlrun("verify", "s.json", "--files", "out")[0] == 0
    assert mlrun("verify", "s.json")[0] == ExitCode.STORE


# --- the key


def test_the_private_key_is_for_its_owner_alone_and_is_never_shown(place: Place, key: OwnKey, mlrun: Any) -> None:
    path = key_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    private = path.read_text().splitlines()[1]
    run = place.run()
    said = mlrun("key", "show") + mlrun("key", "show", "--json") + mlrun("export", run.id, "--format", "slsa")
    assert "BEGIN PUBLIC KEY" in str(said) and private not in str(said) and "PRIVATE" not in str(said)
    assert [one.name for one in path.parent.iterdir()] == ["signing.pem"]
    for found in place.store.layout.root.rglob("*"):
        assert not found.is_file() or private.encode() not in found.read_bytes()


def test_a_key_is_never_replaced(key: OwnKey, mlrun: Any) -> None:
    before = key_file().read_bytes()
    done = mlrun("key", "make")
    assert done[0] == ExitCode.USAGE and "a key already" in refusal(done)
    assert key_file().read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_signs_nothing(place: Place, key: OwnKey, mlrun: Any, mode: int) -> None:
    key_file().chmod(mode)
    done = mlrun("export", place.run().id, "--format", "slsa")
    assert done[0] == ExitCode.POLICY and "can be read by others" in refusal(done)


UNKNOWN = b"-----BEGIN PRIVATE KEY-----\nMA8CAQAwBwYFKgMEBQYEAQA=\n-----END PRIVATE KEY-----\n"
"""PKCS #8 of an algorithm that nobody has."""


@pytest.mark.parametrize(
    "data", [b"", b"x", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", UNKNOWN]
)
def test_a_file_that_is_no_key_is_never_quoted(key: OwnKey, mlrun: Any, data: bytes) -> None:
    key_file().write_bytes(data)
    done = mlrun("key", "show")
    assert done[0] == ExitCode.USAGE and "is no private key" in refusal(done) and "AAAA" not in done[2]


def test_a_link_in_the_place_of_a_key_is_not_followed(key: OwnKey, mlrun: Any) -> None:
    key_file().rename("elsewhere.pem")
    key_file().symlink_to(Path("elsewhere.pem").absolute())
    assert mlrun("key", "show")[0] == ExitCode.USAGE


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_public_key_is_refused(place: Place, key: OwnKey, mlrun: Any, text: str) -> None:
    mlrun("export", place.run().id, "--format", "slsa", "-o", "s.json")
    Path("k.pub").write_text(text)
    done = mlrun("verify", "s.json", "--key", "k.pub")
    assert done[0] == ExitCode.USAGE and "is no public key" in refusal(done)


def test_the_base_install_says_how_to_get_signatures(place: Place, mlrun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    for words in (("key", "make"), ("key", "show"), ("export", place.run().id, "--format", "slsa")):
        done = mlrun(*words)
        assert done[0] == ExitCode.USAGE and "need the package" in refusal(done)
        assert "pip install 'mlrun-yaml[sign]'" in done[2]


# --- records


def test_a_record_that_nobody_touched_is_sound(place: Place, mlrun: Any) -> None:
    run = place.run("model", "report")
    code, out, talk = mlrun("verify", run.id, "--json")
    told = json.loads(out)
    assert code == 0 and "run 1 is what was recorded" in talk
    assert (told["faults"], told["objects"], told["removed"]) == ([], len(place.named(run)), 0)
    assert mlrun("verify", next(iter(run.executions)))[0] == 0


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    overwrite(path, bytes(data))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("output", "the output `model` of execution 1"),
        ("input", "the input `data/d.csv` of execution 1"),
        ("stdout", "the log (stdout) of execution 1"),
        ("index", "the log (index) of execution 1"),
        ("metrics", "the list of metrics of execution 1"),
        ("code", "the file `train.py` of the code"),
        ("tree", "the list of the code's files"),
        ("spec", "the YAML file `valohai.yaml`"),
    ],
)
@pytest.mark.parametrize("how", ["flipped", "another", "missing"])
def test_every_object_that_was_changed_is_named(place: Place, mlrun: Any, what: str, said: str, how: str) -> None:
    run, other = place.run(), place.run("other")
    execution = next(iter(run.executions.values()))
    assert execution.log is not None and execution.metric_log is not None
    digest = {
        "output": execution.outputs[0].digest,
        "input": Digest(execution.job["inputs"][0]["files"][0]["digest"]),
        "stdout": execution.log.stdout,
        "index": execution.log.index,
        "metrics": execution.metric_log,
        "code": hash_bytes(b"print(1)\n"),
        "tree": run.code.snapshot,
        "spec": run.spec,
    }[what]
    path = place.store.objects.path(digest)
    if how == "flipped":
        _flip(path)
    elif how == "another":
        valid = next(iter(other.executions.values())).outputs[0].digest
        overwrite(path, place.store.objects.path(valid).read_bytes())
    else:
        path.unlink()
    done = mlrun("verify", run.id)
    assert done[0] == ExitCode.STORE
    assert said in done[2] and digest in done[2] and ("is missing" in done[2]) == (how == "missing")
    assert mlrun("verify", next(iter(run.executions)))[0] == ExitCode.STORE


def test_what_another_execution_of_the_run_lost_does_not_concern_this_one(place: Place, mlrun: Any) -> None:
    run, other = place.run(), place.run("other")
    _flip(place.store.objects.path(next(iter(other.executions.values())).outputs[0].digest))
    assert mlrun("verify", run.id)[0] == 0


def test_an_edited_journal_is_named(place: Place, mlrun: Any) -> None:
    run = place.run()
    path = place.store.layout.run(run.id).journal
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"exit_code":0', b'"exit_code":7'))
    done = mlrun("verify", run.id)
    assert done[0] == ExitCode.STORE and "journal" in refusal(done) and "fails its check" in done[2]
    path.write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))
    done = mlrun("verify", run.id)
    assert done[0] != 0


def test_a_journal_that_was_written_anew_differs_from_its_row(place: Place, mlrun: Any) -> None:
    """The chain has no key: whoever can write there can make another one, which fits itself but not the index."""
    run = place.run()
    path = place.store.layout.run(run.id).journal
    from runner.store.journal import Journal, read

    entries = [json.loads(json.dumps(entry).replace('"acc": NaN', '"acc": 1')) for entry in read(path)]
    path.unlink()
    with Journal.create(path) as journal:
        for entry in entries:
            journal.append([entry])
    done = mlrun("verify", run.id)
    assert done[0] == ExitCode.STORE and "differs from the index: the row of execution 1" in refusal(done)


def test_a_forged_row_of_the_index_is_named(place: Place, mlrun: Any) -> None:
    run = place.run()
    with sqlite3.connect(place.store.layout.index) as database:
        database.execute("UPDATE executions SET row = replace(row, '\"exit_code\": 0', '\"exit_code\": 1')")
        database.execute("UPDATE executions SET row = replace(row, '\"exit_code\":0', '\"exit_code\":1')")
    done = mlrun("verify", run.id)
    assert done[0] == ExitCode.STORE and "differs from the index" in refusal(done)


def test_files_that_were_removed_on_purpose_are_no_damage(place: Place, mlrun: Any) -> None:
    from runner.store.removal import Removals

    run = place.run()
    Removals(place.store.layout).append([{"type": "files-dropped", "executions": sorted(run.executions)}])
    place.store.objects.path(next(iter(run.executions.values())).outputs[0].digest).unlink()
    done = mlrun("verify", run.id)
    assert done[0] == 0 and "1 file had been removed on purpose" in done[2]


def test_a_file_with_the_name_of_a_number_is_written_with_a_slash(place: Place, key: OwnKey, mlrun: Any) -> None:
    place.run()
    Path("1").write_text("x")
    assert "is no signed envelope" in refusal(mlrun("verify", "./1"))
    assert mlrun("verify", "nothing-here")[0] == ExitCode.USAGE
    assert mlrun("verify", "run:1", "--files", "x")[0] == ExitCode.USAGE


def test_a_file_that_is_not_there_is_told_as_one(place: Place, mlrun: Any) -> None:
    place.run()
    done = mlrun("verify", "typo.slsa.json")
    assert done[0] == ExitCode.USAGE
    assert refusal(done) == "error: cannot read `typo.slsa.json`: No such file or directory"
    assert "no execution `abc`" in refusal(mlrun("verify", "abc"))


def test_verify_changes_nothing(place: Place, key: OwnKey, mlrun: Any) -> None:
    run = place.run()
    mlrun("export", run.id, "--format", "slsa", "-o", "s.json")
    root = place.store.layout.root

    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.rglob("*")}

    before = state()
    assert mlrun("verify", run.id)[0] == mlrun("verify", "s.json")[0] == 0
    assert state() == before
    assert os.listdir() == ["s.json"]
