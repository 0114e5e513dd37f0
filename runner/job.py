"""The waist: the planner's last word and the only thing an executor is given.

Imports nothing of ours but the vocabulary beside it (`state`). A `Job` names its inputs by digest, never by path:
paths are made by `runner.worker` on the machine where the job runs. No SDK type, no terminal type and no callback
crosses this page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from runner.state import Reason

Scalar = str | int | float | bool
Value = Scalar | list[Scalar]
"""The effective value of a parameter: typed, never null (an unset parameter is absent)."""

Stream = Literal["stdout", "stderr"]

Devices = Mapping[str, tuple[str, ...]]
"""The very devices that a job has on its machine: the path of each, by the names of Kubernetes (`nvidia.com/gpu`)."""

NO_DEVICES: Devices = {}
"""Of a job that has none."""


class Network(StrEnum):
    """Which network a step sees; the user's setting, not the repository's."""

    DEFAULT = "default"
    HOST = "host"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of an input.

    `name` is the relative path below the input's folder as the step sees it, `digest` its content in the store
    (BLAKE3, hexadecimal), `size` in bytes, `origin` the URI or path it came from; a datum's is `datum://ID`. `metadata`
    are the properties that whoever made the file gave it, JSON values.
    """

    name: str
    digest: str
    size: int
    origin: str
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobInput:
    """A declared input and its files; an empty optional input has none and gets no folder."""

    name: str
    files: tuple[InputFile, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """What a step runs: the `items` of its command list, every placeholder filled in.

    The items become one script, joined by newlines, run by the interpreter of a leading `#!` line if there is one,
    else by `bash -e` where the image has bash, else by `sh -e`; without `stop_at_failure` the last item decides.
    """

    items: tuple[str, ...]
    stop_at_failure: bool = True


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of the machine a step may use; None or empty sets no bound.

    `cpus` is a number of processors, `cpu_set` names the very processors instead; `memory` and `shm` (of `/dev/shm`)
    are in bytes; `devices` counts devices by the names of Kubernetes, such as `nvidia.com/gpu`, -1 for all there are.
    """

    cpus: float | None = None
    cpu_set: tuple[int, ...] = ()
    memory: int | None = None
    shm: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostMount:
    """A folder or file of this machine that the user lets a step see: absolute paths, `source` without links."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Gang:
    """Jobs that start all at once and reach one another, of which this is one.

    `id` names them for `Executor.connect`, `index` says which one this is, from 0; `addresses` are those at which each
    is reached by all of them, by index: IPv4, known before the first one starts.
    """

    id: str
    index: int
    addresses: tuple[str, ...]

    @property
    def address(self) -> str:
        """The job's own."""
        return self.addresses[self.index]


@dataclass(frozen=True, slots=True)
class Job:
    """One execution with nothing left to look up.

    `id` is the execution's UUIDv7; `snapshot` is the digest of the tree manifest of the code; `environment` holds the
    step's own variables and the `VH_*` identities, but no folders; `documents` are the config files by name without
    suffix (`execution`, `parameters`, `runtime`), `inputs` excepted, whose paths only the worker knows;
    `time_limit` is in seconds of wall clock, `no_output_timeout` in seconds without a byte on either stream;
    `stop_condition` is an expression over the step's own metadata that ends it with success; `mounts` and
    `allowance.devices` are granted by the user, not only asked for; `secrets` are names of variables whose values the
    worker has and no record may show; `defaults` are variables that hold results still (`runner.plan.fixed`), over
    which the step's own win; `gang` are the jobs that it works together with.
    """

    id: str
    step: str
    image: str
    script: Script
    snapshot: str
    parameters: Mapping[str, Value]
    inputs: tuple[JobInput, ...]
    environment: Mapping[str, str]
    documents: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    network: Network = Network.DEFAULT
    time_limit: float | None = None
    no_output_timeout: float | None = None
    stop_condition: str | None = None
    allowance: Allowance = Allowance()
    mounts: tuple[HostMount, ...] = ()
    secrets: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    gang: Gang | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one job on the machine where it runs, all below `root` on the file system of the store.

    `inputs` holds one read-only folder per non-empty input; `repository` a fresh writable copy of the snapshot (the
    working directory); `outputs` what the step leaves; `config` the documents; `control` the script with what runs it
    and what that reports (`script`, `prelude`, `report`); `scratch` is the step's private HOME and /tmp.
    """

    root: Path
    inputs: Path
    outputs: Path
    repository: Path
    config: Path
    control: Path
    scratch: Path

    @classmethod
    def below(cls, root: Path) -> "Workspace":
        """The fixed layout below `root`; makes nothing."""
        names = ("inputs", "outputs", "repository", "config", "control", "scratch")
        return cls(root, *(root / name for name in names))


@dataclass(frozen=True, slots=True)
class View:
    """Where the step itself sees its folders, as absolute paths in its own name space."""

    inputs: str = "/valohai/inputs"
    outputs: str = "/valohai/outputs"
    repository: str = "/valohai/repository"
    config: str = "/valohai/config"
    control: str = "/valohai/control"


@dataclass(frozen=True, slots=True)
class Staged:
    """A job made ready on this machine: every file lies in `workspace`, `environment` is complete.

    `identity` is the image or interpreter that `Executor.resolve` found for it. `secrets` are further variables of the
    step, whose values may stand on no disk, in no argument list and in nothing that an engine tells about a container.
    `devices` are those that were chosen for it, of the number that its allowance has.
    """

    job: Job
    workspace: Workspace
    environment: Mapping[str, str]
    identity: "Identity"
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    devices: Devices = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a step's programs come from, precise enough to find again.

    `id` is the image's config digest for an engine (`sha256:…`), a digest over interpreter and distributions for a
    host environment; `details` are JSON values for the record (repo digests, platform, interpreter, distributions).
    """

    id: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether an executor can work on this machine, in one sentence for people, with a hint when it cannot."""

    works: bool
    sentence: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far the download of an image is; `total` is 0 while unknown. Bytes."""

    text: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Some bytes of one stream, in the order in which they arrived; borders mean nothing."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. Failure of the user's program is this value, never an exception.

    `exit_code` is the script's own code, None when it never ran or was lost; `reason` comes from one place that reads
    the engine's inspection, never from the number alone (137 has four meanings); `detail` is one sentence for people;
    `oom_killed` says that some process of the step ran out of memory, even if the step survived it; `peak_memory` is
    about how many bytes its processes had at most, None where nobody could tell.
    """

    reason: Reason
    exit_code: int | None
    detail: str | None = None
    oom_killed: bool = False
    peak_memory: int | None = field(default=None, compare=False)

    @property
    def succeeded(self) -> bool:
        """Whether the step's program ended by itself with 0, or was ended because its stop-condition held."""
        return self.reason is Reason.STOP_CONDITION or (self.reason is Reason.EXIT and self.exit_code == 0)


class Handle(Protocol):
    """One started job. Made by `Executor.start` or `Executor.reattach`; owned by one worker thread."""

    @property
    def devices(self) -> Devices:
        """The devices that it was started with."""
        ...

    def logs(self) -> Iterator[LogChunk]:
        """Yield what the job prints until it has ended and every byte is read.

        Called once, by the thread that owns the handle, before `wait`. Never blocks the step longer than the caller
        takes between two chunks.
        """
        ...

    def wait(self) -> Outcome:
        """Block until the job and all its processes are gone; afterwards the outputs folder is complete.

        Called once, after `logs` is exhausted.
        """
        ...

    def stop(self, grace: float) -> None:
        """Ask every process to end (SIGTERM), kill what is left after `grace` seconds. Returns at once.

        Called from any thread, any number of times, also after the end; `grace` 0 kills now.
        """
        ...

    def close(self) -> None:
        """Free what the handle holds (container, pipes). Called once, after `wait`; idempotent."""
        ...


class Executor(Protocol):
    """A way to run jobs on this machine. One object per process, used from several worker threads."""

    name: ClassVar[str]

    confines: ClassVar[bool]
    """Whether a step finds the user's own files, the checkout of its code among them, nowhere on this machine."""

    def probe(self) -> Probe:
        """Say whether jobs can be started here. Cheap (under a second), starts nothing that stays. Never raises."""
        ...

    def resolve(self, image: str) -> Identity | None:
        """What `image` is on this machine; None when it is not here and `pull` may bring it. Idempotent.

        Raises MlrunError (code IMAGE) when the name can never be an image.
        """
        ...

    def pull(self, image: str) -> Iterator[PullProgress]:
        """Fetch `image`, telling how far it is; exhausting the iterator completes the pull.

        Raises MlrunError (code IMAGE) when it cannot be had, with the registry's own words.
        """
        ...

    def view(self, workspace: Workspace) -> View:
        """Where a step that runs in `workspace` sees its folders. Pure."""
        ...

    def disks(self) -> tuple[Path, ...]:
        """Folders of this machine, besides its workspace, whose disk a step can fill. Never raises."""
        ...

    def connect(self, gang: str, count: int, network: Network) -> tuple[str, ...]:
        """Let `count` jobs on this `network` reach one another; the addresses that they will have, by index.

        Called before the first of them is bound, by any thread. Idempotent until `disconnect`: the same gang has the
        same addresses. Raises MlrunError (code EXECUTOR) where they could not reach one another.
        """
        ...

    def disconnect(self, gang: str) -> None:
        """Free what `connect` took, which may be nothing.

        Called by any thread once no job of the gang runs or will be started; also by another process, for a runner
        that died. Idempotent. Never raises: what cannot be freed now stays in `connected`.
        """
        ...

    def connected(self) -> frozenset[str]:
        """The gangs on this machine for which `connect` took something that was not freed. Raises MlrunError (code
        EXECUTOR)."""
        ...

    def start(self, staged: Staged) -> Handle:
        """Start the job. Not idempotent; called once per job, by the worker thread that will read its logs.

        A job of a gang is started between `connect` and `disconnect`, under the addresses that the former gave.
        Raises MlrunError (code EXECUTOR or IMAGE) when nothing was started.
        """
        ...

    def interact(self, staged: Staged, argv: Sequence[str] = (), until: int | None = None) -> int:
        """Run `argv`, or a shell when it is empty (bash if there is one, else sh), in the place where the job would
        run: the same image, folders, variables, secrets, network and limits. Returns its exit code once nothing of it
        is left.

        Called any number of times, by the thread that waits for it, for a job that nobody started or that has ended;
        not idempotent, since the program may change the folders. The caller's standard streams are the program's: a
        terminal of its own behind ours where standard input and output are terminals, then raw until the end, else
        pipes. The program is killed when `until`, a descriptor, becomes readable, when our terminal goes away, and when
        this process dies. `$MLRUN_STEP` in it is a file that runs the step's own command.

        Raises MlrunError (code EXECUTOR or IMAGE) when nothing was started, BrokenPipeError when nobody reads any more.
        """
        ...

    def reattach(self, id: str) -> Handle | None:
        """The job with this id if it still runs or its end can still be learnt, else None. Idempotent."""
        ...

    def mine(self) -> frozenset[str]:
        """Ids of all jobs of this executor that still exist on this machine, dead ones that were not closed too."""
        ...
