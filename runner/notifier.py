"""Whom to tell of what happens to runs that nobody watches: the user's `notify`, understood. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from runner.errors import MlrunError, did_you_mean, usage_error


class Occasion(StrEnum):
    """What there is to tell of. The end of a run is told once, though it may be several of these."""

    ENDED = "ended"
    """A run came to an end, whichever."""
    FAILED = "failed"
    """A run failed, after the last attempt of what failed in it."""
    VALIDATION = "validation"
    """An action of the pipeline (`stop-pipeline`, `error-pipeline`) ended the run."""
    APPROVAL = "approval"
    """A node waits until somebody approves or rejects."""


@dataclass(frozen=True, slots=True)
class Notifier:
    """One way to tell somebody: exactly one of `command` (a program with its arguments, no shell), `webhook` (an http
    or https address) and `apprise` (an address as Apprise has them). `after` is how many seconds a run must have taken
    to be told of; then it is told of though somebody may watch."""

    command: tuple[str, ...] = ()
    webhook: str | None = field(default=None, repr=False)
    apprise: str | None = field(default=None, repr=False)
    on: frozenset[Occasion] = frozenset(Occasion)
    after: float | None = None

    @property
    def shown(self) -> str:
        """What it is, without what could be a key: of an address often the path is one."""
        if self.webhook is not None:
            parts = urlsplit(self.webhook)
            return f"webhook at {parts.hostname}"
        if self.apprise is not None:
            return f"apprise address {self.apprise.partition('://')[0]}://…"
        return f"command `{self.command[0]}`"


_WAYS = ("command", "webhook", "apprise")
_KEYS = (*_WAYS, "on", "after")


def parse_notifiers(value: object, parse_age: Callable[[object], float]) -> tuple[Notifier, ...]:
    """The notifiers of a table or a list of tables. Raises MlrunError (code USAGE), which tells no address."""
    tables = value if isinstance(value, list) else [value]
    return tuple(_parse(one, parse_age) for one in tables)


def _parse(table: object, parse_age: Callable[[object], float]) -> Notifier:
    if not isinstance(table, Mapping):
        raise usage_error("`notify` must be a table", hint='such as `[notify]` and `webhook = "https://…"` below')
    for key in table:
        if key not in _KEYS:
            raise usage_error(f"there is no setting `{key}` in `notify`", hint=did_you_mean(str(key), _KEYS))
    chosen = [way for way in _WAYS if way in table]
    if len(chosen) != 1:
        said = "says neither `command` nor `webhook` nor `apprise`" if not chosen else f"says both {_both(chosen)}"
        raise usage_error(f"`notify` {said}", hint="write one `[[notify]]` for each way to be told")
    return Notifier(
        command=_command(table["command"]) if "command" in table else (),
        webhook=_address(table, "webhook", ("http", "https")),
        apprise=_address(table, "apprise", ()),
        on=_occasions(table.get("on", list(Occasion))),
        after=_after(table["after"], parse_age) if "after" in table else None,
    )


def _both(chosen: list[str]) -> str:
    return " and ".join(f"`{way}`" for way in chosen)


def _command(value: object) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise usage_error("`notify.command` must be a list of texts", hint='such as `["notify-send", "{title}"]`')
    if not words or not words[0]:
        raise usage_error("`notify.command` names no program", hint='such as `["notify-send", "{title}", "{text}"]`')
    return tuple(words)


def _address(table: Mapping[str, object], key: str, schemes: tuple[str, ...]) -> str | None:
    if key not in table:
        return None
    value = table[key]
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        fits = parts is not None and bool(parts.scheme) and "://" in str(value)
        if fits and parts is not None and schemes:
            fits = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        such = "https://example.com/hook" if schemes else "mailto://…"
        raise usage_error(f"`notify.{key}` is no address", hint=f'such as `{key} = "{such}"`')
    return str(value)


def _occasions(value: object) -> frozenset[Occasion]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list):
        raise usage_error("`notify.on` must be a list of texts", hint='such as `on = ["failed", "approval"]`')
    found = set()
    for word in words:
        try:
            found.add(Occasion(str(word)))
        except ValueError:
            raise usage_error(f"`notify.on` cannot be `{word}`", hint=did_you_mean(str(word), list(Occasion))) from None
    return frozenset(found)


def _after(value: object, parse_age: Callable[[object], float]) -> float:
    try:
        return parse_age(value)
    except MlrunError:
        raise usage_error(f"`notify.after` cannot be `{value}`", hint='write such as `after = "10min"`') from None
