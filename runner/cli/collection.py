"""What `mlrun dataset` and `mlrun model` have in common: lists of data under a name, in versions that never change."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from runner.app.publication import make_version, version_data
from runner.cli.cell import now
from runner.cli.page import Page
from runner.cli.reference import REFERENCE_HELP, author, author_text, find_data, writable_store
from runner.cli.subject import open_store
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.cli.tombstone import marked
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.quantity import exact_text, local_time, relative_time, size_text
from runner.spec.phrase import counted
from runner.store.ref import LATEST, Collection, CollectionKind, Version
from runner.store.store import Store
from runner.worker.sidecar import VersionRequest

_DIGITS = 16

Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def make_app(kind: CollectionKind, summary: str) -> typer.Typer:
    """The commands of one kind."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    examples = f"""Examples:

  mlrun {kind} list

  mlrun {kind} show iris

  mlrun {kind} show iris/latest

  mlrun {kind} add iris/v2 12/train.csv '12/more/*' --from v1 --alias prod"""
    explained = (
        f"{summary}\n\nAn input can name a version as `{kind}://NAME/VERSION`, where `latest` is the newest. Outputs "
        f"make versions with the property `valohai.{kind}-versions`. They are yours, in all projects, and never change."
    )
    app.callback(epilog=examples, help=explained)(_nothing)
    app.command(name="list", epilog=examples, help=f"List the {kind}s.")(_lister(kind))
    app.command(name="show", epilog=examples, help=f"Show the versions of a {kind}, or the files of one version.")(
        _shower(kind)
    )
    app.command(name="add", epilog=examples, help="Make a version from files of the store.")(_adder(kind))
    return app


def _nothing() -> None:
    """The commands do it all."""


def _lister(kind: CollectionKind) -> Callable[..., int]:
    def show_all(json: Json = False) -> int:
        found = open_store().refs.collections(kind)
        if json:
            print_json([_to_json(one) for one in found])
        elif found:
            columns = [Column(kind), Column("versions", right=True), Column("newest"), Column("files", right=True),
                       Column("size", right=True), Column("made"), Column("aliases")]  # fmt: skip
            print_table(columns, [_row(one) for one in found])
        else:
            say(f"there are no {kind}s: `mlrun {kind} add NAME/VERSION FILE` makes one")
        return ExitCode.OK

    return show_all


def _row(one: Collection) -> list[str]:
    newest = one.versions[-1] if one.versions else None
    facts = (
        [printable(newest.name), str(newest.files), size_text(newest.size), relative_time(newest.time, now())]
        if newest
        else [""] * 4
    )
    return [printable(one.name), str(len(one.versions)), *facts, printable(", ".join(sorted(one.aliases)))]


def _shower(kind: CollectionKind) -> Callable[..., int]:
    def show(
        name: Annotated[str, typer.Argument(metavar="NAME[/VERSION]", help="What to show; `NAME/latest` is allowed.")],
        json: Json = False,
    ) -> int:
        store = open_store()
        title, _, version = name.removeprefix(f"{kind}://").partition("/")
        collection = _existing(store, kind, title)
        if version:
            _show_version(store, collection, version, json=json)
        elif json:
            print_json(_to_json(collection))
        else:
            print(_page(collection))
        return ExitCode.OK

    return show


def _existing(store: Store, kind: CollectionKind, name: str) -> Collection:
    found = store.refs.collection(kind, name)
    if found is None:
        known = [printable(one.name) for one in store.refs.collections(kind)]
        hint = did_you_mean(name, known) or f"`mlrun {kind} add NAME/VERSION FILE` makes one"
        raise usage_error(f"there is no {kind} `{printable(name)}`", hint=hint)
    return found


def _page(one: Collection) -> Page:
    page = Page()
    page.head(f"{one.kind} {printable(one.name)}")
    page.table(
        "versions, newest first",
        [
            (
                printable(version.name),
                printable(", ".join(_aliases(one, version))),
                counted(version.files, "file"),
                size_text(version.size),
                local_time(version.time),
                f"by {author_text(version.by)}",
            )
            for version in reversed(one.versions)
        ],
    )
    return page


def _show_version(store: Store, one: Collection, name: str, *, json: bool) -> None:
    data = store.catalog.version(one.kind, one.name, name)
    version = one.find(name) or one.find(f"v{name}")
    if json:
        said = _version_json(version) if version else {}
        print_json({"name": one.name, "version": said, "data": [asdict(datum) for datum in data]})
        return
    page = Page()
    page.head(f"{one.kind} {printable(one.name)}/{printable(version.name if version else name)}")
    if version:
        page.facts(
            None,
            [
                ("made", f"{local_time(version.time)} by {author_text(version.by)}"),
                ("aliases", printable(", ".join(_aliases(one, version)))),
                ("size", size_text(version.size)),
                *((printable(key), exact_text(value)) for key, value in version.notes.items()),
                ("use it as", printable(f"{one.kind}://{one.name}/{version.name}")),
            ],
        )
    page.table(
        counted(len(data), "file"),
        [
            (marked(store, datum.name, datum.digest), size_text(datum.size), datum.digest[:_DIGITS], datum.id)
            for datum in data
        ],
    )
    print(page)


def _aliases(one: Collection, version: Version) -> list[str]:
    names = sorted(alias for alias, target in one.aliases.items() if target == version.name)
    return ([LATEST] if version is one.versions[-1] else []) + names


def _adder(kind: CollectionKind) -> Callable[..., int]:
    def add(
        name: Annotated[str, typer.Argument(metavar="NAME/VERSION", help="The version to make; it must not exist.")],
        references: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help=REFERENCE_HELP)] = None,
        base: Annotated[
            str | None, typer.Option("--from", metavar="VERSION", help="Begin with the files of this version.")
        ] = None,
        exclude: Annotated[
            list[str] | None, typer.Option("--exclude", metavar="PATTERN", help="But not with these files of it.")
        ] = None,
        alias: Annotated[
            list[str] | None, typer.Option("--alias", metavar="ALIAS", help="Let this alias mean the version.")
        ] = None,
    ) -> int:
        title, _, version = name.removeprefix(f"{kind}://").partition("/")
        if not version and kind == "dataset":
            raise usage_error(
                f"`{printable(name)}` names no version", hint=f"`mlrun {kind} add {printable(title)}/v1 …`"
            )
        if not references and base is None:
            raise usage_error("a version needs files", hint="name some, or a version with `--from`")
        data = [datum for reference in references or () for datum in find_data(reference)]
        asked = VersionRequest(
            kind, title, version, base=None if base is None else (title, base), exclude=tuple(exclude or ())
        )
        with writable_store() as store, store.refs.changing(author()) as change:
            files = version_data(store.catalog, asked, data)
            if not files:
                raise usage_error("no file is left for the version", hint="`--exclude` took them all")
            for file in files:
                store.catalog.require(file.name, file.digest)
            made = make_version(store, change, (kind, title), version, files, {}, alias or ())
        say(f"`{kind}://{printable(title)}/{printable(made)}` has {counted(len(files), 'file')}")
        return ExitCode.OK

    return add


def _to_json(one: Collection) -> dict[str, Any]:
    versions = [_version_json(version) for version in one.versions]
    return {"name": one.name, "versions": versions, "aliases": dict(one.aliases)}


def _version_json(version: Version) -> dict[str, Any]:
    return asdict(version)
