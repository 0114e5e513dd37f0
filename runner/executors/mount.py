"""What of a step's work folder lies where in its own root: the same in every executor that gives it one.

Makes the empty folders over which inputs are laid; mounts nothing itself.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ExitCode, MlrunError, is_full, no_room
from runner.escape import printable
from runner.executors import secret
from runner.job import Staged, View

VIEW = View()
"""The paths that a step of Valohai expects."""

_OTHER_INPUTS, _OTHER_OUTPUTS = "/inputs", "/outputs"


@dataclass(frozen=True, slots=True)
class Mount:
    """The folder or file `source` of this machine, seen by the step at `target`."""

    source: Path
    target: str
    read_only: bool


def make_inputs(staged: Staged) -> Path:
    """The folder that the step sees as the parent of its inputs, with an empty place for each that has files.

    It can be written to, since programs make folders there; the inputs themselves lie elsewhere and are laid over it,
    so that below a mount somehow undone there is nothing. Raises OSError.
    """
    given = _given(staged)
    if not given:
        return staged.workspace.inputs
    top = staged.workspace.scratch / "inputs"
    top.mkdir(parents=True, exist_ok=True)
    for name in given:
        (top / name).mkdir(exist_ok=True)
    return top


def folders_error(error: OSError, staged: Staged) -> MlrunError:
    """What it means that the folders of a step cannot be made: there is no room, or this executor does not work."""
    if is_full(error):
        return no_room(str(staged.workspace.scratch))
    return MlrunError(f"cannot make the step's folders: {error}", code=ExitCode.EXECUTOR)


def check_granted(staged: Staged) -> None:
    """Refuse a host folder that is not what the user has granted: an earlier step may have put a link in its place.

    Raises MlrunError (code POLICY).
    """
    for granted in staged.job.mounts:
        real = os.path.realpath(granted.source)
        if real != granted.source or not os.path.lexists(real):
            said = "is gone" if real == granted.source else f"leads to `{printable(real)}` by now"
            message = f"the mount `{printable(granted.source)}` {said}"
            raise MlrunError(message, code=ExitCode.POLICY, hint="put it back, and run the step again")


def mounts(staged: Staged, inputs: Path) -> Iterator[Mount]:
    """All mounts of a step, outer ones first; `inputs` is what `make_inputs` gave."""
    workspace = staged.workspace
    for top in (VIEW.inputs, _OTHER_INPUTS):
        yield Mount(inputs, top, False)
        for name in _given(staged):
            yield Mount(workspace.inputs / name, f"{top}/{name}", True)
    for top in (VIEW.outputs, _OTHER_OUTPUTS):
        yield Mount(workspace.outputs, top, False)
    yield Mount(workspace.repository, VIEW.repository, False)
    yield Mount(workspace.config, VIEW.config, True)
    yield Mount(workspace.control, VIEW.control, True)
    yield Mount(workspace.control / "report", f"{VIEW.control}/report", False)
    for granted in sorted(staged.job.mounts, key=lambda granted: granted.target):
        yield Mount(Path(granted.source), granted.target, granted.read_only)
    if staged.secrets:
        yield Mount(secret.place(staged.job.id), f"{VIEW.control}/{secret.NAME}", True)


def _given(staged: Staged) -> list[str]:
    return [given.name for given in staged.job.inputs if given.files]
