"""`mlrun init`: make a project folder with a working example, as a git repository with a first commit."""

import os
import shlex
import subprocess
from pathlib import Path
from shutil import which
from typing import Annotated
from uuid import uuid4

import typer

from runner.cli.example import example_files, example_folder
from runner.cli.terminal import say
from runner.errors import ExitCode, MlrunError, usage_error, write_code
from runner.escape import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun init iris

  mlrun init"""

_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_TEMPLATE_DIR",
)
"""Variables that would lead git to another repository than the folder's own, or put something into it."""
_FALLBACK = {"user.name": "mlrun", "user.email": "mlrun@localhost"}


@app.command(epilog=EXAMPLES)
def init(
    folder: Annotated[str, typer.Argument(metavar="[DIR]", help="A folder that is new or empty.")] = ".",
) -> int:
    """Make a new project: the example's YAML file and steps in a git repository, with a first commit.

    The folder must be new or empty (a fresh `.git` may be there); nothing is ever overwritten.
    """
    target = Path(folder).absolute()
    _refuse_unfit(target, folder)
    if which("git") is None:
        raise usage_error("there is no `git` here, and a project is a git repository", hint="install git")
    files = list(example_files(example_folder()))
    outer = _enclosing_repository(target)
    try:
        _write(target, files)
    except OSError as error:
        raise _unwritable(target, error) from error
    _commit(target, [name for name, _ in files])
    if outer is not None:
        say(f"note: the folder lies inside the repository {outer} and is a repository of its own")
    _say_next(target)
    return ExitCode.OK


def _refuse_unfit(target: Path, shown: str) -> None:
    """Raise MlrunError (USAGE) unless `target` is new, empty, or holds nothing but a repository without a commit."""
    try:
        names = sorted(os.listdir(target))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise usage_error(f"`{shown}` is a file", hint="name a folder that is new or empty") from None
    except OSError as error:
        raise _unwritable(target, error) from error
    if "valohai.yaml" in names:
        raise usage_error(f"there is a `valohai.yaml` in `{shown}` already", hint="`mlrun lint` checks it")
    others = [name for name in names if name != ".git"]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise usage_error(f"`{shown}` is not empty: it holds `{printable(others[0])}`{more}",
                          hint="name a new folder, such as `mlrun init iris`")  # fmt: skip
    if ".git" in names and _git(target, "rev-parse", "--verify", "--quiet", "HEAD").returncode == 0:
        raise usage_error(f"`{shown}` is a repository with commits, though its files are gone",
                          hint="name a new folder, such as `mlrun init iris`")  # fmt: skip


def _unwritable(target: Path, error: OSError) -> MlrunError:
    message = f"`{error.filename or target}`: {error.strerror}"
    return MlrunError(message, code=write_code(error), hint="name another folder")


def _write(target: Path, files: list[tuple[str, bytes]]) -> None:
    """Write the files, none over another. What was written goes again when one fails. Raises OSError."""
    made: list[Path] = []
    try:
        for name, data in files:
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as stream:
                made.append(file)
                stream.write(data)
    except OSError:
        for file in reversed(made):
            file.unlink(missing_ok=True)
        raise


def _enclosing_repository(target: Path) -> Path | None:
    """The repository that `target` would lie in without one of its own."""
    return next((parent for parent in target.resolve().parents if (parent / ".git").exists()), None)


def _commit(target: Path, names: list[str]) -> None:
    """Make the repository and its first commit, with the user's identity if git knows one, without hooks.

    A project is known by its first commit: the id in the message keeps two that were made at once apart.
    """
    configuration = {key: value for key, value in _FALLBACK.items() if not _known(target, key)}
    if not _git(target, "config", "init.defaultBranch").stdout:
        configuration["init.defaultBranch"] = "main"
    configuration |= {"core.hooksPath": os.devnull, "commit.gpgSign": "false", "init.templateDir": ""}
    options = [word for key, value in configuration.items() for word in ("-c", f"{key}={value}")]
    for command in (
        ["init", "--quiet"],
        ["add", "--force", "--", *names],
        ["commit", "--quiet", "--no-verify", "--message", f"The example project of mlrun init\n\nProject: {uuid4()}"],
    ):
        done = _git(target, *options, *command)
        if done.returncode:
            raise MlrunError(
                f"`git {command[0]}` failed: {printable(done.stderr.strip())}",
                code=ExitCode.USAGE,
                hint=f"the files are in {target}; make a commit there by hand",
            )


def _known(target: Path, key: str) -> bool:
    variable = key.replace("user.", "GIT_AUTHOR_").upper()
    return bool(os.environ.get(variable) or _git(target, "config", key).stdout.strip())


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return subprocess.run(
        ["git", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )


def _say_next(target: Path) -> None:
    say(f"made a project in {target}")
    say("next:")
    if target != Path.cwd():
        say(f"  cd {shlex.quote(os.path.relpath(target))}")
    say('  mlrun pipeline "Training Pipeline"')
    say("  mlrun list")
