"""From a job to a staged job: its folders on this machine, filled with inputs, code and config documents.

The step may run as another user than ours (an image's own), so what it writes to is open to all; the work folder above
is closed to others.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.job import Identity, InputFile, Job, JobInput, Staged, View, Workspace
from runner.spec.tree import shorten
from runner.store.datum import SCHEME
from runner.store.durable import create, disk_errors, write_all
from runner.worker.document import to_json, to_yaml
from runner.worker.storage import ObjectReader

MODIFIED = 1_000_000_000 * 10**9
"""The modification time of every file of the repository copy (9 September 2001), in nanoseconds: constant, so that
what a step does cannot depend on when it was staged."""

_CACHE = "__pycache__"
_MOST_BYTES = 255
"""Of one word of a path, on all usual file systems of Linux (NAME_MAX)."""
_URIS = ("http://", "https://", SCHEME)
"""What a file's `uri` may be; anything else is told as the datum of its content."""

KnownChecksums = Callable[[Digest], Mapping[str, str]]
"""The checksums that are known of some content, by name, `blake3` among them."""


def only_blake3(digest: Digest) -> Mapping[str, str]:
    """What is known where nobody asked for more."""
    return {"blake3": digest}


def make_folders(workspace: Workspace) -> None:
    """Make the empty folders of a new workspace. Raises MlrunError (DISK, STORE)."""
    with disk_errors(workspace.root):
        workspace.root.mkdir(mode=0o700, parents=True)
        for folder in (workspace.config, workspace.control):
            folder.mkdir()
            folder.chmod(0o755)
        for folder in (workspace.inputs, workspace.outputs, workspace.repository, workspace.scratch):
            folder.mkdir()
            folder.chmod(0o777)


def fill(
    job: Job,
    workspace: Workspace,
    view: View,
    identity: Identity,
    objects: ObjectReader,
    checksums: KnownChecksums = only_blake3,
) -> tuple[Staged, list[str]]:
    """Put everything the step needs into the folders; the staged job, and warnings.

    Raises MlrunError: INPUT for inputs that cannot lie together, DISK, STORE for missing or damaged objects.
    """
    warnings: list[str] = []
    placed = [_place(given, warnings) for given in job.inputs]
    # Where the step works in our own folders no read-only mount protects the objects, so it gets copies of its inputs.
    writable = view.inputs == str(workspace.inputs)
    for given in placed:
        _stage_input(given, workspace.inputs, objects, writable)
    tree = (entry for entry in objects.read_tree(Digest(job.snapshot)) if _CACHE not in entry.path.split("/"))
    objects.copy_tree(tree, workspace.repository, MODIFIED)
    _write_documents({**job.documents, "inputs": inputs_document(placed, view, checksums)}, workspace.config)
    return Staged(job, workspace, environment(job, view), identity), warnings


def inputs_document(inputs: list[JobInput], view: View, checksums: KnownChecksums = only_blake3) -> dict[str, object]:
    """`inputs.json` as Valohai's run-time contract has it: every declared input, with the files of each."""
    return {
        given.name: {"files": [_file(given.name, file, view, checksums) for file in given.files]} for given in inputs
    }


def _file(name: str, file: InputFile, view: View, checksums: KnownChecksums) -> dict[str, object]:
    uri = file.origin if file.origin.startswith(_URIS) else f"{SCHEME}{file.digest}"
    return {
        "name": file.name,
        "path": f"{view.inputs}/{name}/{file.name}",
        "size": file.size,
        "uri": uri,
        "checksums": dict(checksums(Digest(file.digest))),
        "metadata": [dict(file.metadata)] if file.metadata else [],
        "datum_id": uri.removeprefix(SCHEME) if uri.startswith(SCHEME) else file.digest,
    }


def environment(job: Job, view: View) -> Mapping[str, str]:
    """The variables of a step that sees `view`. Our folders win over anything that it declares: a wrong one would lose
    its outputs."""
    return {
        "PYTHONUNBUFFERED": "1",
        **job.defaults,
        **job.environment,
        "VH_CONFIG_DIR": view.config,
        "VH_INPUTS_DIR": view.inputs,
        "VH_OUTPUTS_DIR": view.outputs,
        "VH_REPOSITORY_DIR": view.repository,
    }


def _place(given: JobInput, warnings: list[str]) -> JobInput:
    """Of files with the same name the last stays, as on Valohai. Raises MlrunError (INPUT) for impossible names."""
    _check_name(given.name, given.name, parts=1)
    by_name: dict[str, InputFile] = {}
    for file in given.files:
        _check_name(file.name, given.name)
        earlier = by_name.pop(file.name, None)
        if earlier is not None and earlier.digest != file.digest:
            warnings.append(
                f"input `{printable(given.name)}` has two files named `{printable(file.name)}`: "
                f"`{printable(file.origin)}` takes the place of `{printable(earlier.origin)}`"
            )
        by_name[file.name] = file
    for name in by_name:
        for folder in _folders(name):
            if folder in by_name:
                raise MlrunError(
                    f"input `{printable(given.name)}` has a file `{printable(folder)}` and below it a file "
                    f"`{printable(name)}`",
                    code=ExitCode.INPUT,
                    hint="give one of them another name, or put them into two inputs",
                )
    return JobInput(given.name, tuple(by_name.values()))


def _check_name(name: str, input: str, parts: int | None = None) -> None:
    found = name.split("/")
    if not _can_be_path(name, found) or (parts is not None and len(found) != parts):
        raise MlrunError(
            f"input `{printable(input)}` cannot have a file at `{shorten(printable(name))}`",
            code=ExitCode.INPUT,
            hint=f"a name is a relative path without `..`, each word of it at most {_MOST_BYTES} bytes; "
            "the name of an input is one word",
        )


def _can_be_path(name: str, parts: list[str]) -> bool:
    try:
        short = max(len(os.fsencode(part)) for part in parts) <= _MOST_BYTES
    except UnicodeEncodeError:
        return False
    return short and "\0" not in name and {"", ".", ".."}.isdisjoint(parts)


def _folders(name: str) -> Iterator[str]:
    """The folders that lead to `name`, outermost first."""
    end = name.find("/")
    while end >= 0:
        yield name[:end]
        end = name.find("/", end + 1)


def _stage_input(given: JobInput, inputs: Path, objects: ObjectReader, writable: bool) -> None:
    if not given.files:
        return
    top = inputs / given.name
    made: set[str] = set()
    with disk_errors(top):
        top.mkdir()
        top.chmod(0o755)
        for file in given.files:
            for folder in _folders(file.name):
                if folder not in made:
                    made.add(folder)
                    (top / folder).mkdir()
                    (top / folder).chmod(0o755)
            objects.materialise(Digest(file.digest), top / file.name, writable=writable)


def _write_documents(documents: Mapping[str, Mapping[str, object]], config: Path) -> None:
    with disk_errors(config):
        for name, document in documents.items():
            _write(config / f"{name}.json", to_json(document))
            _write(config / f"{name}.yaml", to_yaml(document))


def _write(path: Path, data: bytes) -> None:
    fd = create(path, 0o644)
    try:
        os.fchmod(fd, 0o644)
        write_all(fd, data)
    finally:
        os.close(fd)
