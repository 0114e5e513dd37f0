"""Where everything lies in the store. Makes the folders of a new store and nothing else; knows no content.

The format is described in `docs/store-format.md`.
"""

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.store.durable import NEW, disk_error, disk_errors, make_folder, refusal, replace_file, sync_folder
from runner.store.filesystem import check_able, check_local

FORMAT = 2
"""The format that this program writes; it reads all formats up to this one, and brings them up to it."""

_IGNORE = ".gitignore"
_FORMAT_TEXT = f"mlrun store, format {FORMAT}\n"
_FORMAT_PATTERN = re.compile(r"mlrun store, format ([1-9]\d{0,8})\n?")
_FOLDERS = ("objects", "runs", "work", "cache", "refs", "packed", "claims", "trash", "quarantine")
SHARDS = tuple(f"{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def journal(self) -> Path:
        """What happened, in order: the truth about the run."""
        return self.path / "journal"

    @property
    def owner(self) -> Path:
        """The lease: which process drives the run."""
        return self.path / "owner"

    @property
    def imported(self) -> Path:
        """Where the run came from and its numbers here, if it is one of another store (`runner.store.imported`)."""
        return self.path / "import"

    @property
    def inbox(self) -> Path:
        """Requests of other processes to the owner."""
        return self.path / "inbox"

    @property
    def logs(self) -> Path:
        """One folder per execution with its log while it is written."""
        return self.path / "logs"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a store at `root`."""

    root: Path

    @property
    def format(self) -> Path:
        """The file that names the format; written last, so a store without it was never finished."""
        return self.root / "format"

    @property
    def objects(self) -> Path:
        """Immutable files named by the BLAKE3 hash of their content, in folders of the first two digits."""
        return self.root / "objects"

    @property
    def scratch(self) -> Path:
        """Objects under way whose digest is not known yet."""
        return self.objects / "new"

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.root / "runs"

    @property
    def work(self) -> Path:
        """One folder per execution that runs or whose work folder is kept."""
        return self.root / "work"

    @property
    def cache(self) -> Path:
        """What may be thrown away at any time."""
        return self.root / "cache"

    @property
    def refs(self) -> Path:
        """Names that can be moved, of data and of lists of them (`runner.store.ref`)."""
        return self.root / "refs"

    @property
    def seen_names(self) -> Path:
        """How long the log of names was (`runner.store.extent`)."""
        return self.cache / "names.json"

    @property
    def seen_removals(self) -> Path:
        """How long the journal of removals was (`runner.store.extent`)."""
        return self.cache / "removals.json"

    @property
    def packed(self) -> Path:
        """How to put objects together that are not stored whole (`runner.store.recipe`), in folders like those."""
        return self.root / "packed"

    @property
    def claims(self) -> Path:
        """What processes under way rely on though no record names it yet (`runner.store.claim`)."""
        return self.root / "claims"

    @property
    def trash(self) -> Path:
        """What was removed and can be brought back for a while (`runner.store.trash`)."""
        return self.root / "trash"

    @property
    def quarantine(self) -> Path:
        """Damaged objects, kept for whoever wants to look at them, each under its digest."""
        return self.root / "quarantine"

    @property
    def removed(self) -> Path:
        """The journal of what was removed on purpose (`runner.store.removal`)."""
        return self.root / "removed"

    @property
    def index(self) -> Path:
        """The SQLite index, rebuilt from the journals when it is missing."""
        return self.root / "index.sqlite"

    def run(self, run_id: str) -> RunFolder:
        """The files of one run."""
        return RunFolder(self.runs / run_id)

    def work_folder(self, execution_id: str) -> Path:
        """Where an execution runs."""
        return self.work / execution_id

    @classmethod
    def open_existing(cls, root: Path) -> "Layout | None":
        """The store at `root`, None when there is none. Writes nothing.

        Raises MlrunError (STORE) when the store is of a newer format or cannot be read.
        """
        with disk_errors(root):
            return None if _written_format(root) is None else cls(root)

    @classmethod
    def create_or_open(cls, root: Path) -> "Layout":
        """The store at `root`, made if need be: folders of mode 0700, durable before this returns.

        Raises MlrunError (STORE, also where no store can live; DISK when there is no space).
        """
        layout = cls(root)
        with disk_errors(root):
            check_local(root)
            # Folders that somebody deleted are made again, too; `mlrun store check` tells what was in them.
            whole = all((root / name).exists() for name in _FOLDERS) and layout.cache.is_dir()
            if _written_format(root) != FORMAT or not whole:
                layout._create()
        if not os.access(layout.objects, os.W_OK | os.X_OK):
            denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(layout.objects))
            raise disk_error(refusal(layout.format) or denied, root)
        return layout

    def _create(self) -> None:
        """Make a store, or bring one of an older format up to this one: from format 1 on only folders were added.

        Safe beside others who do the same, and to be done again after a crash: `format` is written last.
        """
        make_folder(self.root)
        found = {entry.name for entry in self.root.iterdir() if not entry.name.startswith(NEW)}
        foreign = found.difference(_FOLDERS, [self.format.name, _IGNORE])
        if foreign and self.format.name not in found:
            raise MlrunError(
                f"`{self.root}` is not a store: it holds `{min(foreign)}`",
                code=ExitCode.STORE,
                hint="set `MLRUN_STORE` to an empty folder, or to one that does not exist yet",
            )
        if self.format.name not in found:
            check_able(self.root)
        if stat.S_ISREG(_mode(self.cache)):
            # The cache may be thrown away at any time, and so may what somebody has put in its place.
            self.cache.unlink(missing_ok=True)
        for folder in (self.root, *(self.root / name for name in _FOLDERS)):
            folder.mkdir(mode=0o700, exist_ok=True)
            # A cache may be here before the store is, with a mode that the umask decided. Others lose what it gave
            # them; what the owner has taken from himself he does not get back.
            status = folder.stat()
            if status.st_uid == os.geteuid() and status.st_mode & 0o077:
                folder.chmod(status.st_mode & 0o700)
        for name in (self.scratch.name, *SHARDS):
            (self.objects / name).mkdir(mode=0o700, exist_ok=True)
        sync_folder(self.objects)
        sync_folder(self.root)
        # A store inside a repository must not be taken for its code.
        replace_file(self.root / _IGNORE, b"*\n")
        replace_file(self.format, _FORMAT_TEXT.encode())


def _written_format(root: Path) -> int | None:
    """The format of the store at `root`, None when there is none. Raises OSError, and MlrunError (STORE) for a newer
    one and for what is no format."""
    try:
        text = Layout(root).format.read_bytes()[:200].decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        if not _was_used(Layout(root)):
            return None
        raise MlrunError(
            f"the store `{root}` has lost its file `format`",
            code=ExitCode.STORE,
            hint=f"put it back from a backup; if this program wrote the store, it read `{_FORMAT_TEXT.strip()}`",
        ) from None
    found = _FORMAT_PATTERN.fullmatch(text)
    if found is None:
        raise MlrunError(
            f"`{root / 'format'}` does not name a store format",
            code=ExitCode.STORE,
            hint=f"it should read `{_FORMAT_TEXT.strip()}`; is this folder a store?",
        )
    if int(found[1]) > FORMAT:
        raise MlrunError(
            f"the store `{root}` has format {found[1]}, this program knows format {FORMAT}",
            code=ExitCode.STORE,
            hint="a newer `mlrun` made it: upgrade this one, or set `MLRUN_STORE` to another folder",
        )
    return int(found[1])


def _mode(path: Path) -> int:
    """What is there, links not followed; 0 for nothing."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def _was_used(layout: Layout) -> bool:
    """Whether there are runs, or names with their log: none of which is written before `format` is."""
    return (layout.refs / "log").exists() or (layout.runs.is_dir() and any(layout.runs.glob("*/journal")))
