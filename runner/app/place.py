"""Where we are: the project folder, its YAML file, its repository and its identity."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from runner.digest import hash_json
from runner.errors import ExitCode, MlrunError
from runner.provenance.git import Repository, find_repository
from runner.store.record import ProjectRef

FILE_NAME = "valohai.yaml"

_NAMESPACE = uuid.UUID("0b7b6ad4-6f3c-5d8e-9a3e-2f6f1d7c9e10")
"""The RFC 9562 name space of our project ids; an arbitrary constant that must never change."""


@dataclass(frozen=True, slots=True)
class Place:
    """A project on disk: `root` is what a step sees as its repository, `file` the YAML file, both absolute; `shown`
    is the file as messages name it; `repository` is None outside git."""

    root: Path
    file: Path
    shown: str
    repository: Repository | None
    ref: ProjectRef


def locate(start: Path, yaml: str | None = None) -> Place:
    """The project that `start` lies in: the nearest `valohai.yaml` upwards, not beyond the repository's root.

    `yaml` names another file, relative to `start`. Raises MlrunError (code SPEC) where there is none.
    """
    start = start.absolute()
    repository = find_repository(start)
    file = start / yaml if yaml else _nearest(start, repository.root if repository else start)
    if file is None or not os.path.lexists(file):
        where = f"`{yaml}`" if yaml else f"`{FILE_NAME}` here or above"
        raise MlrunError(
            f"there is no {where} ({start})",
            code=ExitCode.SPEC,
            hint="go to your project's folder, or make one with `mlrun init`",
        )
    if repository is not None and not Path(os.path.realpath(file)).is_relative_to(repository.root):
        repository = find_repository(file.parent)
    root = repository.root if repository else file.parent
    return Place(root, file, os.path.relpath(file), repository, _reference(root, file, repository))


def _nearest(start: Path, top: Path) -> Path | None:
    for folder in (start, *start.parents):
        if os.path.lexists(folder / FILE_NAME):
            return folder / FILE_NAME
        if folder == top:
            return None
    return None


def _reference(root: Path, file: Path, repository: Repository | None) -> ProjectRef:
    """Clones and worktrees of one repository are one project; without a commit the folder has to do."""
    first = repository.first_commit() if repository else None
    relative = os.path.relpath(os.path.realpath(file), root)
    id = uuid.uuid5(_NAMESPACE, hash_json([str(first or root), relative]))
    return ProjectRef(id=str(id), name=root.name or "project", root=str(root), file=relative)
