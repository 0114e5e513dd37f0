"""The kinds of remotes by the scheme of their address, and how an address is understood. Opens; knows no content."""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from runner.data.cloud import CLOUDS
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.plan.address import public, scheme
from runner.remote.remote import Remote

_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}")


def choose_remote(wanted: str | None, remotes: Mapping[str, str], option: str) -> str:
    """The address that `wanted`, which `option` gives, means: an address, a path or a name of the settings; without it
    the `default` of the settings, or the only one. Raises MlrunError (USAGE)."""
    named = {name: address for name, address in remotes.items() if name != "default"}
    if wanted is None:
        wanted = remotes.get("default") or (next(iter(named)) if len(named) == 1 else None)
    if wanted is None:
        known = ", ".join(f"`{printable(name)}`" for name in sorted(named))
        raise usage_error(
            "no remote is named",
            hint=f"choose one with `{option}`: {known}"
            if known
            else f"`{option}` names a folder or an address, or put one under `[remotes]` in the"
            ' settings: `default = "ssh://host/folder"`',
        )
    address = named.get(wanted, wanted)
    if is_address(address):
        return address
    raise usage_error(
        f"there is no remote `{printable(wanted)}`",
        hint=did_you_mean(wanted, named) or f"a folder is written with a `/`: `./{printable(wanted)}`",
    )


def is_address(text: str) -> bool:
    """Whether a text is an address or a path, rather than the name of a remote."""
    return bool(scheme(text)) or "/" in text or text.startswith((".", "~"))


def open_remote(address: str) -> Remote:
    """The remote at an address or a path. Raises MlrunError: USAGE for an address that cannot be one, INPUT when the
    place cannot be reached."""
    kind = scheme(address)
    opener = _KINDS.get(kind)
    if opener is None:
        raise usage_error(
            f"a remote cannot be at `{kind}://`", hint=f"it can be a folder, {', '.join(filter(None, _KINDS))}"
        )
    if any(ord(sign) < 32 for sign in address):
        raise usage_error(f"`{printable(public(address))}` is no address", hint="it has control characters")
    return opener(address)


def shown(address: str) -> str:
    """What people call the remote at an address (`Remote.shown`), which is not looked at."""
    kind = scheme(address)
    with suppress(ValueError):  # what cannot be an address has no parts
        if kind in {"", "file"}:
            path = unquote(urlsplit(address).path) if kind else address
            return os.path.abspath(os.path.expanduser(path))
        if kind == "ssh":
            parts = urlsplit(address)
            # With the user, who is part of the way there.
            return urlunsplit(("ssh", parts.netloc, parts.path, "", ""))
    return public(address)


def _open_directory(address: str) -> Remote:
    from runner.remote.directory import Directory

    return Directory(Path(shown(address)), shown(address))


def _open_ssh(address: str) -> Remote:
    from runner.remote.ssh import Ssh, is_installed

    if not is_installed():
        raise MlrunError(
            f"the remote `{printable(public(address))}` needs the package `asyncssh`, which is not installed",
            code=ExitCode.INPUT,
            hint="`pip install 'mlrun-yaml[ssh]'`",
        )
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise usage_error(f"`{printable(public(address))}` is no address: {error}") from None
    path = unquote(parts.path)
    if not host or not _HOST.fullmatch(host) or host.startswith("-") or path in {"", "/"} or "\0" in path:
        raise usage_error(
            f"`{printable(public(address))}` names no folder of a host",
            hint="its form is `ssh://USER@HOST:PORT/FOLDER`, and `ssh://HOST/~/FOLDER` begins in the home there",
        )
    if parts.password is not None:
        raise usage_error(
            f"`{printable(public(address))}` has a password",
            hint="use a key, or the agent: `ssh-copy-id` and `ssh-add`",
        )
    user = unquote(parts.username) if parts.username else None
    return Ssh(host, port, user, path.removeprefix("/~/"), shown(address))


def _open_bucket(address: str) -> Remote:
    from runner.remote.bucket import Bucket

    kind = scheme(address)
    text = address.partition("://")[2].strip("/")
    account, root = text.partition("/")[::2] if CLOUDS[kind].account_first else ("", text)
    if not root or (CLOUDS[kind].account_first and not account):
        form = "ACCOUNT/CONTAINER/PREFIX" if CLOUDS[kind].account_first else "BUCKET/PREFIX"
        raise usage_error(f"`{printable(public(address))}` names no bucket", hint=f"its form is `{kind}://{form}`")
    return Bucket(kind, account, root, shown(address))


_KINDS: dict[str, Callable[[str], Remote]] = {
    "": _open_directory,
    "file": _open_directory,
    "ssh": _open_ssh,
    "s3": _open_bucket,
    "gs": _open_bucket,
    "azure": _open_bucket,
}
