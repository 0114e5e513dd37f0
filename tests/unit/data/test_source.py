"""From the sources of an input to files in the store."""

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from runner.data import pattern
from runner.data.means import Means
from runner.data.source import MODULES, Fetcher
from runner.data.substitute import Substitutes
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, Location, MlrunError
from runner.job import InputFile
from runner.plan.model import Source
from runner.spec.model import Input, KeepDirectories
from runner.store.datum import Datum
from runner.store.objects import Objects
from runner.store.ref import CollectionKind
from runner.worker.tree import remove_tree

HERE = Location("valohai.yaml", 7, 5)
Fetch = Callable[..., tuple[InputFile, ...]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("data/a.csv", "data/deep/b.csv", "data/c.txt"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_text(name)
    (tmp_path / "secret").write_text("s")
    return tmp_path / "p"


@dataclass
class Project:
    """Inputs of the project at `root`."""

    root: Path
    means: Means
    map: dict[str, str] = field(default_factory=dict)

    def fetch(self, *uris: str, trusted: bool = False, **fields: object) -> tuple[InputFile, ...]:
        declared = Input("data", HERE, **fields)  # type: ignore[arg-type]
        return self._fetcher().fetch(declared, self._sources(uris, trusted))

    def names(self, *uris: str, trusted: bool = False, **fields: object) -> list[str]:
        return [file.name for file in self.fetch(*uris, trusted=trusted, **fields)]

    def refusal(self, *uris: str, trusted: bool = False) -> MlrunError:
        """The error of a check, which fetching gives as well."""
        with pytest.raises(MlrunError) as checked:
            self._fetcher().check(Input("data", HERE), self._sources(uris, trusted))
        with pytest.raises(MlrunError) as fetched:
            self.fetch(*uris, trusted=trusted)
        assert checked.value.message == fetched.value.message
        return fetched.value

    def _fetcher(self) -> Fetcher:
        return Fetcher(self.root, self.means, Substitutes(self.map))

    def _sources(self, uris: tuple[str, ...], trusted: bool) -> tuple[Source, ...]:
        return tuple(Source(uri, str(self.root), trusted) for uri in uris)


@pytest.fixture
def project(root: Path, means: Means) -> Project:
    return Project(root, means)


def test_a_path_is_one_file_under_its_base_name_with_digest_size_and_origin(project: Project, root: Path) -> None:
    (file,) = project.fetch("data/a.csv")
    assert (file.name, file.digest, file.size) == ("a.csv", hash_bytes(b"data/a.csv"), 10)
    assert file.origin == str(root / "data/a.csv")


def test_a_glob_is_all_its_files(project: Project) -> None:
    assert project.names("data/*.csv") == ["a.csv"]
    assert project.names("data/**/*.csv") == ["a.csv", "b.csv"]


def test_a_folder_keeps_its_own_structure(project: Project) -> None:
    assert project.names("data") == ["a.csv", "c.txt", "deep/b.csv"]


def test_a_folder_may_be_deeper_than_python_can_recurse(project: Project, root: Path) -> None:
    here = root / "deep"
    here.mkdir()
    fd = os.open(here, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)

    try:
        assert project.names("deep") == ["d/" * 1100 + "x"]
    finally:
        # Whoever removes the folders of the tests may be Python, which cannot recurse so deep either.
        remove_tree(here)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(project: Project, root: Path) -> None:
    (root / "closed" / "inner").mkdir(parents=True)
    (root / "closed" / "inner").chmod(0)

    assert "inner" in project.refusal("closed").message


def test_a_file_uri_is_a_path(project: Project, root: Path) -> None:
    assert project.names(f"file://{root}/data/a.csv") == ["a.csv"]
    assert project.names(f"FILE://{root}/data/a.csv") == ["a.csv"]


def test_an_address_of_a_file_may_have_any_sign_and_names_this_machine(project: Project, root: Path) -> None:
    (root / "data" / "a?b#c d.csv").write_text("x")
    assert project.names(f"file://{root}/data/a?b#c%20d.csv") == ["a?b#c d.csv"]
    assert project.names(f"file://localhost{root}/data/?.csv") == ["a.csv"]
    error = project.refusal("file://data/a.csv")
    assert "the machine `data`" in error.message
    assert "file:///" in str(error.hint)


def test_links_that_lead_in_circles_do_not_make_a_glob_endless(
    project: Project, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        (root / "data" / name).symlink_to(".")
    assert project.names("data/**/*.csv") == ["a.csv", "b.csv"]
    assert project.names("data/**/**/deep/**") == ["b.csv"]
    monkeypatch.setattr(pattern, "MOST_PATHS", 1000)
    assert "more than" in project.refusal("data/" + "*/" * 40 + "*.csv").message


def test_a_glob_that_begins_outside_the_project_is_refused_before_it_is_searched(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern, "_names", lambda folder: pytest.fail(f"{folder} was listed"))
    for uri in ("/**/*.csv", "../**/*", "data/../../*"):
        assert project.refusal(uri).code is ExitCode.POLICY


def test_hidden_files_match_only_a_pattern_that_begins_with_a_dot(project: Project, root: Path) -> None:
    (root / "data" / ".hidden").mkdir()
    (root / "data" / ".hidden" / "x.csv").write_text("x")
    assert project.names("data/**/*.csv") == ["a.csv", "b.csv"]
    assert project.names("data/.*/x.csv") == ["x.csv"]
    assert project.names("*/[ab].csv") == ["a.csv"]


def test_several_sources_come_in_their_order(project: Project) -> None:
    assert project.names("data/c.txt", "data/**/*.csv") == ["c.txt", "a.csv", "b.csv"]


def test_keep_directories_keeps_as_much_as_it_says(project: Project) -> None:
    assert project.names("data/**/*.csv", keep_directories=KeepDirectories.SUFFIX) == ["a.csv", "deep/b.csv"]
    assert project.names("data/**/*.csv", keep_directories=KeepDirectories.FULL) == ["data/a.csv", "data/deep/b.csv"]


@pytest.mark.parametrize(("uri", "what"), [("no.csv", "does not exist"), ("no*.csv", "matches nothing")])
def test_what_is_not_there_is_refused_at_its_place(project: Project, uri: str, what: str) -> None:
    error = project.refusal(uri)
    assert error.code is ExitCode.INPUT
    assert error.location == HERE
    assert what in error.message
    assert project.refusal(uri, trusted=True).location is None


@pytest.mark.parametrize(
    "uri",
    [
        "../secret",
        "/etc/hostname",
        "file:///etc/hostname",
        "link",
        "data/../../secret",
        "/proc/self/environ",
        "file:///proc/self/environ",
        "file:///proc/self/root/etc/hostname",
        "file://localhost/etc/hostname",
        "/dev/null",
        "folder",
        "*/secret",
    ],
)
def test_a_file_outside_the_project_needs_the_users_word(project: Project, root: Path, uri: str) -> None:
    (root / "link").symlink_to("../secret")
    (root / "folder").symlink_to("..")
    error = project.refusal(uri)
    assert error.code is ExitCode.POLICY
    assert error.hint is not None
    assert f"`--data {uri}`" in error.hint


@pytest.mark.parametrize("uri", ["../secret", "file:///proc/self/status", "link"])
def test_the_user_may_name_a_file_outside_the_project_and_its_place_is_recorded(
    project: Project, root: Path, uri: str
) -> None:
    (root / "link").symlink_to("../secret")
    (file,) = project.fetch(uri, trusted=True)
    assert file.origin == os.path.join(root, uri.removeprefix("file://"))
    assert file.size == len(project.means.objects.path(Digest(file.digest)).read_bytes())  # type: ignore[attr-defined]


def test_a_link_in_a_folder_of_the_project_leads_outside_with_the_users_word_only(project: Project, root: Path) -> None:
    (root / "data" / "out").symlink_to("../../secret")
    assert project.refusal("data").code is ExitCode.POLICY
    assert project.names("data", trusted=True) == ["a.csv", "c.txt", "out", "deep/b.csv"]


@pytest.mark.parametrize("uri", ["", " ", "file://"])
def test_an_empty_address_is_not_the_whole_folder(project: Project, uri: str) -> None:
    error = project.refusal(uri, trusted=True)
    assert error.code is ExitCode.INPUT
    assert "its address is empty" in error.message
    assert project.names(".", trusted=True)


def test_a_link_that_leads_back_to_itself_is_an_input_error(project: Project, root: Path) -> None:
    (root / "loop").symlink_to("loop")
    with pytest.raises(MlrunError, match="cannot read") as caught:
        project.fetch("loop")
    assert caught.value.code is ExitCode.INPUT


def test_an_unknown_scheme_is_refused_and_a_local_file_is_offered(project: Project) -> None:
    error = project.refusal("swift://p/c/k")
    assert error.code is ExitCode.INPUT
    assert "nobody here knows `swift://` addresses" in error.message
    assert error.hint is not None
    assert "`--data PATH`" in error.hint
    assert project.refusal("htpps://host/x").hint == "did you mean `https`?"


def test_a_pipe_is_refused_and_never_waited_for(project: Project, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(MlrunError, match="not a regular file"):
        project.fetch("pipe")


# --- what is in the store already


class Counting:
    """An object store that counts what it is given to read."""

    def __init__(self, objects: Objects) -> None:
        self.has, self.size, self.adopt, self._put = objects.has, objects.size, objects.adopt, objects.put_file
        self.lacking, self._put_many = objects.lacking, objects.put_many
        self.read = 0

    def put_file(self, fd: int) -> tuple[Digest, int]:
        self.read += 1
        return self._put(fd)

    def put_many(self, items: Iterable[bytes]) -> list[tuple[Digest, int]]:
        contents = list(items)
        self.read += len(contents)
        return self._put_many(contents)


@pytest.fixture
def counting(project: Project, objects: Objects) -> Counting:
    counting = Counting(objects)
    project.means = replace(project.means, objects=counting)
    return counting


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as one at rest."""
    monkeypatch.setattr("runner.provenance.statcache._REST", -(10**12))
    monkeypatch.setattr("runner.provenance.statcache._COARSE_REST", -(10**12))


def test_a_file_that_has_not_changed_is_not_read_again(project: Project, counting: Counting, rested: None) -> None:
    first, second = project.fetch("data"), project.fetch("data")
    assert first == second
    assert counting.read == 3


@pytest.mark.parametrize("change", ["content", "same-size", "replace", "touch", "restored-time"])
def test_every_change_of_a_file_is_noticed(
    project: Project, root: Path, counting: Counting, rested: None, change: str
) -> None:
    path = root / "data/a.csv"
    before = project.fetch("data/a.csv")
    status = path.stat()
    match change:
        case "content":
            path.write_text("longer than before")
        case "same-size" | "restored-time":
            path.write_text("DATA/A.CSV")
            if change == "restored-time":
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "replace":
            (root / "other").write_text("DATA/A.CSV")
            (root / "other").rename(path)
        case "touch":
            os.utime(path)
    (after,) = project.fetch("data/a.csv")
    assert counting.read == 2
    assert after.digest == hash_bytes(path.read_bytes())
    assert ((after,) == before) is (change == "touch")


def test_a_file_that_was_just_written_is_read_again(project: Project, root: Path, counting: Counting) -> None:
    for _ in range(2):
        (root / "data/a.csv").write_text("x")
        project.fetch("data/a.csv")
    assert counting.read == 2


def test_a_file_whose_object_is_gone_is_stored_again(
    project: Project, objects: Objects, counting: Counting, rested: None
) -> None:
    (file,) = project.fetch("data/a.csv")
    objects.path(Digest(file.digest)).unlink()
    project.fetch("data/a.csv")
    assert objects.verify(Digest(file.digest))


def test_who_wants_no_cache_has_every_file_read(project: Project, counting: Counting, rested: None) -> None:
    project.means = replace(project.means, fresh=True)
    project.fetch("data/a.csv")
    project.fetch("data/a.csv")
    assert counting.read == 2


def test_a_step_sees_the_bytes_whose_digest_is_recorded_whatever_writes_meanwhile(
    project: Project, root: Path, objects: Objects
) -> None:
    path = root / "data/a.csv"
    stop = threading.Event()

    def scribble() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            path.write_bytes(b"%d" % (number % 10) * (number % 5 * 1000 + 1))

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        for number in range(1000):
            (file,) = project.fetch("data/a.csv")
            target = root / f"seen-{number}"
            objects.materialise(Digest(file.digest), target, writable=bool(number % 2))
            data = target.read_bytes()
            assert hash_bytes(data) == file.digest
            assert len(data) == file.size
            target.unlink()
    finally:
        stop.set()
        writer.join()


# --- data of earlier executions


class Shelf:
    """A catalog of two data."""

    first = Datum("0000-1", "models/a.pkl", Digest("a" * 64), 1, "0000", {"accuracy": 0.9})
    second = Datum("0000-2", "b.pkl", Digest("b" * 64), 2, "0000")

    def datum(self, reference: str) -> Datum:
        if reference in {self.first.id, "best", self.first.digest}:
            return self.first
        raise MlrunError(f"there is no datum `{reference}`", code=ExitCode.INPUT, hint="did you mean `best`?")

    def version(self, kind: CollectionKind, name: str, version: str) -> tuple[Datum, ...]:
        if (kind, name, version) in {("dataset", "team/flowers", "latest"), ("model", "net", "v1")}:
            return self.first, self.second
        raise MlrunError(f"there is no {kind} `{name}`", code=ExitCode.INPUT)

    def require(self, name: str, digest: Digest) -> None:
        """Everything is here."""


@pytest.fixture
def catalog(project: Project) -> None:
    project.means = replace(project.means, catalog=Shelf())


@pytest.mark.parametrize("reference", ["0000-1", "best", "a" * 64])
def test_a_datum_comes_with_its_properties_under_its_base_name(project: Project, catalog: None, reference: str) -> None:
    (file,) = project.fetch(f"datum://{reference}")
    assert file == InputFile("a.pkl", "a" * 64, 1, "datum://0000-1", {"accuracy": 0.9})


def test_a_version_is_all_its_files(project: Project, catalog: None) -> None:
    assert project.names("dataset://team/flowers/latest") == ["a.pkl", "b.pkl"]
    assert project.names("model://net/v1") == ["a.pkl", "b.pkl"]


def test_directories_of_data_are_kept_when_asked_for(project: Project, catalog: None) -> None:
    full, suffix = KeepDirectories.FULL, KeepDirectories.SUFFIX
    assert project.names("datum://best", keep_directories=full) == ["models/a.pkl"]
    assert project.names("datum://best", keep_directories=suffix) == ["a.pkl"]
    assert project.names("dataset://team/flowers/latest", keep_directories=suffix) == ["models/a.pkl", "b.pkl"]


@pytest.mark.parametrize("uri", ["datum://", "dataset://", "dataset://name", "model:///", "datum://bets"])
def test_a_name_that_nothing_has_is_refused_before_the_run(project: Project, catalog: None, uri: str) -> None:
    error = project.refusal(uri)
    assert error.code is ExitCode.INPUT
    assert error.location == HERE
    assert error.hint


# --- the user's own map, and what the command line gives


@pytest.mark.parametrize("scheme", [name for name in MODULES if name] + ["swift", "gopher"])
def test_a_local_file_takes_the_place_of_an_address_of_any_kind(
    project: Project, root: Path, told: Any, scheme: str
) -> None:
    address = f"{scheme}://me:pass@somewhere/far/a.csv"
    project.map[f"{scheme}://somewhere/far/a.csv"] = str(root.parent / "secret")
    (file,) = project.fetch(address)
    assert (file.name, file.origin) == ("secret", str(root.parent / "secret"))
    (notice,) = told.notices
    assert notice == (
        f"input `data`: `{scheme}://somewhere/far/a.csv` is taken from `{root.parent}/secret` (`mlrun inputs map`)"
    )


def test_a_mapped_file_that_is_not_there_says_who_put_it_there(project: Project) -> None:
    project.map["s3://b/k"] = "/tmp/no/such/file"
    error = project.refusal("s3://b/k")
    assert error.hint == "`mlrun inputs map` put it there"


def test_a_mapped_prefix_opens_nothing_around_it(project: Project, root: Path) -> None:
    project.map["data/"] = f"{root}/data/"
    assert project.names("data/a.csv") == ["a.csv"]
    assert project.refusal("data/../../secret").code is ExitCode.POLICY


def test_mapped_and_plain_sources_lie_in_one_folder(project: Project, root: Path) -> None:
    project.map["s3://b/"] = f"{root}/data/"
    assert project.names("s3://b/*.csv", "data/c.txt") == ["a.csv", "c.txt"]
