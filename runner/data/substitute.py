"""The user's own map of input addresses: what to take in place of one that cannot be reached from this machine.

Kept in `inputs.toml` beside the settings, because it says something about this machine and nothing about a project.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from runner.errors import ExitCode, MlrunError, usage_error
from runner.plan.address import public, scheme
from runner.store.durable import replace_file

_HEAD = "# Input addresses and what is taken in their place; written by `mlrun inputs map`.\n\n[map]\n"


@dataclass(frozen=True, slots=True)
class Substitutes:
    """What stands for an address: a whole one, or all that begin with a prefix that ends in `/` or `*`."""

    entries: Mapping[str, str]

    def find(self, uri: str) -> str | None:
        """The address to use in place of `uri`: that of the whole address, else of its longest prefix. Pure.

        None if there is none, also where `..` would lead out of what the prefix stands for.
        """
        shown = public(uri)
        for address in (uri, shown):
            if address in self.entries:
                return self.entries[address]
        prefixes = [old for old in self.entries if old.endswith(("/", "*")) and shown.startswith(old.removesuffix("*"))]
        if not prefixes:
            return None
        old = max(prefixes, key=len)
        rest = shown.removeprefix(old.removesuffix("*"))
        if ".." in unquote(rest).split("/"):
            # The rest is the repository's word, and may name nothing but what the user has put behind the new prefix.
            return None
        return self.entries[old].removesuffix("*") + rest


def substitutes_file(settings: Path) -> Path:
    """Where the map is kept, beside the settings file `settings`."""
    return settings.parent / "inputs.toml"


def load_substitutes(file: Path) -> Substitutes:
    """The map in `file`, empty if there is none. Raises MlrunError (USAGE) for a file that cannot be understood."""
    try:
        written = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Substitutes({})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise usage_error(f"{file}: {error}", hint=_FORM) from error
    entries = written.get("map", {})
    if not isinstance(entries, dict) or not all(isinstance(new, str) for new in entries.values()):
        raise usage_error(f"{file}: `map` must be a table of texts", hint=_FORM)
    return Substitutes(entries)


_FORM = 'it is a TOML file with one table `[map]` of lines `"OLD" = "NEW"`'


def check_entry(old: str, new: str, folder: Path) -> tuple[str, str]:
    """The entry as it is kept: a path that is taken in place of an address becomes absolute, beginning at `folder`.

    Raises MlrunError (USAGE) for an entry that could never be meant.
    """
    if not old.strip() or not new.strip():
        raise usage_error("an address is empty", hint="write `mlrun inputs map OLD NEW`")
    if public(old) != old:
        raise usage_error(f"leave the login out of `{public(old)}`", hint="an address is known by the rest of it")
    kind = scheme(new)
    if kind == "":
        path = os.path.join(folder, os.path.expanduser(new))
        new = os.path.normpath(path) + ("/" if new.endswith("/") else "")
    if old.endswith(("/", "*")) and not new.endswith(("/", "*")):
        if kind or not os.path.isdir(new):
            raise usage_error(
                f"`{old}` stands for many addresses and `{public(new)}` for one",
                hint="end both with `/`: what follows is the same in both",
            )
        new += "/"
    if old == new:
        raise usage_error(f"`{old}` would stand for itself", hint="write `mlrun inputs map OLD NEW`")
    return old, new


def save_substitutes(file: Path, substitutes: Substitutes) -> None:
    """Write the map, for this user only. Raises MlrunError (DISK) when the folder cannot be written."""
    lines = [f"{_text(old)} = {_text(new)}\n" for old, new in sorted(substitutes.entries.items())]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, (_HEAD + "".join(lines)).encode())
    except OSError as error:
        raise MlrunError(f"cannot write `{file}`: {error.strerror}", code=ExitCode.DISK) from error


def _text(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for the one control code that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
