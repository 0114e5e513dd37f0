"""What a word on the command line means when it stands for data: outputs of an execution, or references."""

from runner.cli.delivery import choose_outputs
from runner.cli.subject import find_execution, open_store
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.provenance.host import user_name
from runner.settings import load_settings
from runner.store.catalog import data_of
from runner.store.datum import Datum
from runner.store.ref import KINDS, LATEST, Author
from runner.store.store import Store

REFERENCE_HELP = (
    "EXECUTION/FILE (such as `12/model.pkl` or `latest/*.csv`), an alias, the id of a datum, a digest, or the start of "
    "one, or `dataset://NAME/VERSION`."
)

_LEAST_PREFIX = 4
"""Digits of the start of an id; fewer are a number."""


def find_data(text: str) -> tuple[Datum, ...]:
    """The data that `text` names. Raises MlrunError: USAGE or INPUT when there are none."""
    for kind in KINDS:
        if text.startswith(f"{kind}://"):
            name, _, version = text.removeprefix(f"{kind}://").partition("/")
            return open_store().catalog.version(kind, name, version or "latest")
    if "/" in text and "://" not in text:
        return _outputs(*text.split("/", 1))
    if text == LATEST or (text.isascii() and text.isdecimal() and len(text) < _LEAST_PREFIX):
        raise usage_error(
            f"`{text}` names an execution, and this needs a file",
            hint=f"`mlrun outputs {text}` lists its files: name one like `{text}/FILE`",
        )
    return (open_store().catalog.find(text),)


def find_datum(text: str) -> Datum:
    """The one datum that `text` names. Raises MlrunError: USAGE or INPUT when there is none, or several."""
    data = find_data(text)
    if len(data) > 1:
        names = ", ".join(f"`{printable(datum.name)}`" for datum in data[:3])
        raise usage_error(f"`{printable(text)}` means {len(data)} files: {names}…", hint="name one of them")
    return data[0]


def writable_store() -> Store:
    """The user's store, to set names in."""
    return Store.open(load_settings().store, create=True)


def author() -> Author:
    """Whoever is at the keyboard."""
    return {"user": user_name()}


def author_text(by: Author) -> str:
    """Who set a name, in a few words."""
    return printable(by.get("user", "")) + (f", execution {by['execution']}" if "execution" in by else "")


def _outputs(execution: str, file: str) -> tuple[Datum, ...]:
    found = find_execution(execution).execution
    data = data_of(found)
    exact = [datum for datum in data if datum.name == file]
    chosen = {output.name for output in choose_outputs(found.outputs, [file])}
    matching = exact or [datum for datum in data if datum.name in chosen]
    if not matching:
        raise MlrunError(
            f"execution {found.counter} has no output `{printable(file)}`",
            code=ExitCode.USAGE,
            hint=did_you_mean(file, [printable(datum.name) for datum in data]) or "it left no outputs",
        )
    return tuple(matching)
