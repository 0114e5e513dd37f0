"""One file with all of a run: written from the store, and taken into another one. It is a remote store in a file.

Beside runs, objects and manifests it may hold `names/DIGEST`, what the run and its files were called, and
`images/ID.DIGEST`, a container image as its engine saved it. Everything is named by the digest of its content.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from runner.app.container import Images
from runner.digest import Digest, canonical_json, hash_bytes
from runner.errors import ExitCode, MlrunError, write_code
from runner.escape import printable
from runner.export.telling import image_digest
from runner.remote.bundle import Bundle
from runner.remote.depot import Depot
from runner.remote.meter import Meter
from runner.remote.pull import Pulled, pull
from runner.remote.push import push
from runner.remote.remote import read_whole
from runner.remote.shape import Each, Shape, misfit
from runner.store.durable import name_once, sync_folder, temporary_name
from runner.store.reach import FILES
from runner.store.record import Run
from runner.store.store import Store
from runner.upkeep.inventory import Inventory
from runner.upkeep.mention import named_data

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DIGEST = r"[0-9a-f]{64}"
_MEMBER = re.compile(
    rf"format|objects/(?P<shard>[0-9a-f]{{2}})/(?P=shard)[0-9a-f]{{62}}"
    rf"|runs/(?P<project>{_ID})/(?P<run>{_ID})\.{_DIGEST}|names/(?P<names>{_DIGEST})"
    rf"|images/(?P<image>{_DIGEST})\.(?P<archive>{_DIGEST})"
)
_MOST_NAMES = 16 << 20
_NAMES: Shape = {
    "aliases": Each(str), "datasets": [str], "models": [str], "tags": Each([str])
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Names:
    """What the contents of a bundle were called where it was made: aliases with the digests that they mean, versions
    of datasets and models as `NAME/VERSION`, tags by the ids of runs and executions. Here they set nothing."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bundled:
    """What a new bundle holds besides the wanted run: ids of those `along` whose executions stand for nodes, and of
    those `left_behind` that are gone here; `objects`, and how many more are `absent`, having been given up; `images`
    by their names, and those `without` which it is; `size` of the file in bytes."""

    along: tuple[str, ...]
    left_behind: tuple[str, ...]
    objects: int
    absent: int
    images: tuple[str, ...]
    without: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What came out of a bundle: the ids of its runs, the one that it was made for first, and what a pull says of
    them; `images` that were loaded, by the names of the jobs that had them, and those that the bundle is `without`."""

    runs: tuple[str, ...]
    pulled: Pulled
    names: Names
    images: tuple[str, ...]
    without: tuple[str, ...]


def write_bundle(store: Store, run: Run, path: Path, meter: Meter, *, images: Images | None = None) -> Bundled:
    """Write a run and those whose executions stand for its reused nodes into the file at `path`; with `images`, also
    the container images that they ran in. `store` is writable, so that nothing is removed meanwhile.

    The file is there when it is whole. Raises MlrunError: OUTPUT where there is one already; STORE, DISK, IMAGE.
    """
    if os.path.lexists(path):
        raise _there_already(path)
    temporary = path.parent / temporary_name()
    try:
        with closing(Bundle(temporary, str(path), writable=True)) as bundle:
            pushed = push(store, Depot(bundle), [run], meter)
            if pushed.refused:
                raise pushed.refused.get(run.id) or next(iter(pushed.refused.values()))
            runs = [run, *map(store.run, pushed.along)]
            _put_names(bundle, _names(store, runs, bundle))
            saved = tuple(_put_images(bundle, runs, images)) if images is not None else ()
            without = tuple(sorted(images_of(runs).values())) if images is None else ()
            bundle.settle()
            objects = sum(name.startswith("objects/") for name, _ in bundle.members())
        name_once(temporary, path)
        sync_folder(path.parent)
        size = path.stat().st_size
    except FileExistsError:
        raise _there_already(path) from None
    except OSError as error:
        hint = "name another file with `-o PATH`"
        raise MlrunError(f"cannot write `{path}`: {error.strerror}", code=write_code(error), hint=hint) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    along, behind = tuple(pushed.along), tuple(pushed.left_behind)
    return Bundled(along, behind, objects, pushed.absent, saved, without, size)


def _there_already(path: Path) -> MlrunError:
    return MlrunError(
        f"`{printable(str(path))}` is there already", code=ExitCode.OUTPUT, hint="name another file with `-o PATH`"
    )


def _names(store: Store, runs: Iterable[Run], bundle: Bundle) -> Names:
    there = {name[-64:] for name, _ in bundle.members() if name.startswith("objects/")}
    aliases: dict[str, str] = {}
    versions: dict[str, set[str]] = {"dataset": set(), "model": set()}
    for meant in named_data(store.refs, Inventory(store.layout)):
        if meant.digest in there and meant.datum is not None:
            if meant.kind == "alias":
                aliases[meant.name] = meant.digest
            else:
                versions[meant.kind].add(meant.name)
    tags = {run.id: store.tags_of(run) for run in runs}
    tags |= {one.id: store.tags_of(run, one) for run in runs for one in run.executions.values()}
    told = {id: words for id, words in tags.items() if words}
    return Names(aliases, tuple(sorted(versions["dataset"])), tuple(sorted(versions["model"])), told)


def _put_names(bundle: Bundle, names: Names) -> None:
    data = canonical_json(
        {"aliases": names.aliases, "datasets": names.datasets, "models": names.models, "tags": names.tags}
    )
    bundle.upload(f"names/{hash_bytes(data)}", BytesIO(data), len(data), _unheard)


def _put_images(bundle: Bundle, runs: Iterable[Run], images: Images) -> Iterator[str]:
    """Put every image there that an execution ran in. Raises MlrunError (IMAGE) for one that is not here any more."""
    for id, name in sorted(images_of(runs).items()):
        with images.saved(id, name) as (file, digest):
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            bundle.upload(f"images/{id.removeprefix('sha256:')}.{digest}", file, size, _unheard)
        yield name


def images_of(runs: Iterable[Run]) -> dict[str, str]:
    """The container images that executions ran in: their names by their ids, `sha256:…`."""
    found: dict[str, str] = {}
    for run in runs:
        for execution in run.executions.values():
            if (id := image_digest(execution)) is not None:
                found.setdefault(id, str(execution.job.get("image", "")))
    return found


def open_bundle(store: Store, path: Path, meter: Meter, *, images: Images | None = None) -> Opened:
    """Take all runs of a bundle into the store, and with `images` its images into the engine.

    Raises MlrunError: INPUT without such a file, STORE for one that cannot be believed, DISK; what concerns one run is
    in the result.
    """
    with closing(Bundle(path, str(path))) as bundle:
        depot = Depot(bundle)
        runs, archives = _members(bundle)
        depot.check()
        names = _read_names(bundle)
        wanted: dict[str, list[str]] = {}
        for id, project in runs.items():
            wanted.setdefault(project, []).append(id)
        pulled = pull(store, depot, wanted, meter, FILES)
        pulled.refused = {id: _untaken(error) for id, error in pulled.refused.items()}
        here = (*pulled.new, *pulled.renewed, *pulled.known, *pulled.restored)
        wanted_images = images_of(map(store.run, here))
        loaded = () if images is None else tuple(_load(bundle, archives, wanted_images, images))
        without = tuple(sorted(name for id, name in wanted_images.items() if id not in archives))
        return Opened(tuple(reversed(runs)), pulled, names, loaded, without)


def _members(bundle: Bundle) -> tuple[dict[str, str], dict[str, str]]:
    """The projects of the runs by id, the wanted one last as it was written, and the archives of images by the ids of
    those. Raises MlrunError (STORE)."""
    runs: dict[str, str] = {}
    archives: dict[str, str] = {}
    if next(bundle.members(), ("", None))[0] != "format":
        raise _refused(bundle, "it does not begin with its format")
    for name, _ in bundle.members():
        found = _MEMBER.fullmatch(name)
        if found is None:
            raise _refused(bundle, f"it holds `{name}`, which this version of `mlrun` does not know")
        if found["run"]:
            runs[found["run"]] = found["project"]
        if found["image"]:
            archives[f"sha256:{found['image']}"] = name
    if not runs:
        raise _refused(bundle, "it holds no run")
    return runs, archives


def _read_names(bundle: Bundle) -> Names:
    """What is told of names; nothing where nothing of that kind is, for it decides nothing. Raises MlrunError (STORE)
    for other bytes than were written."""
    for name, place in bundle.members():
        if not name.startswith("names/") or place.size > _MOST_NAMES:
            continue
        data = read_whole(bundle, name, place.size)
        if hash_bytes(data) != name[-64:]:
            raise _refused(bundle, f"its `{name}` has other content than its name says")
        with suppress(ValueError, RecursionError):
            told: Any = json.loads(data)
            if misfit(told, _NAMES, "") is None:
                tags = {id: tuple(words) for id, words in told["tags"].items()}
                return Names(told["aliases"], tuple(told["datasets"]), tuple(told["models"]), tags)
    return Names()


def _untaken(error: MlrunError) -> MlrunError:
    """Why a run was refused, with what helps where it came in a file."""
    if error.code is not ExitCode.STORE:
        return error
    hint = "nothing of this run was taken; whoever made the file can export it again"
    return MlrunError(error.message, code=error.code, hint=hint)


def _load(bundle: Bundle, archives: Mapping[str, str], wanted: Mapping[str, str], images: Images) -> Iterator[str]:
    """Load the images that the runs name; what else is there is left alone."""
    sizes = bundle.sizes(archives.values())
    for id, member in archives.items():
        if id in wanted:
            pieces = bundle.download(member, 0, sizes[member], _unheard)
            images.load(id, wanted[id], pieces, Digest(member[-64:]))
            yield wanted[id]


def _refused(bundle: Bundle, what: str) -> MlrunError:
    return MlrunError(
        f"`{bundle.shown}` is refused: {what}",
        code=ExitCode.STORE,
        hint="nothing was taken; a newer `mlrun` may have made it",
    )


def _unheard(count: int) -> None:
    pass
