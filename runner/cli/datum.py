"""`mlrun datum`: everything that is known about one file in the store."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any

import typer

from runner.cli.page import Page
from runner.cli.reference import REFERENCE_HELP, find_datum
from runner.cli.subject import open_store
from runner.cli.terminal import print_json
from runner.cli.tombstone import tombstone_text
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.quantity import exact_text, local_time, size_text
from runner.store.datum import Datum
from runner.store.record import Execution, Run, code_of
from runner.store.ref import KINDS
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun datum show 12/model.pkl

  mlrun datum show model-prod --checksums

  mlrun datum show 5e0c1a7b --uses --json"""


@app.callback(epilog=EXAMPLES)
def datum() -> None:
    """Show what is known about a file in the store: what made it, what it is called, who used it."""


@app.command(epilog=EXAMPLES)
def show(
    reference: Annotated[str, typer.Argument(metavar="DATUM", help=REFERENCE_HELP)],
    checksums: Annotated[bool, typer.Option("--checksums", help="With MD5, SHA-1 and SHA-256.")] = False,
    uses: Annotated[bool, typer.Option("--uses", help="With the executions that got it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON, with nothing shortened.")] = False,
) -> int:
    """Show a file's name, size, digest and properties, the execution that made it, and every name that means it."""
    found, store = find_datum(reference), open_store()
    sums = store.checksums.compute(found.digest) if checksums else {}
    document = {
        "id": found.id,
        "name": found.name,
        "size": found.size,
        "digest": found.digest,
        "metadata": dict(found.metadata),
        "made_by": _maker(store, found),
        "aliases": [alias.name for alias in store.refs.aliases() if alias.datum.id == found.id],
        "versions": list(_versions(store, found)),
    }
    purged = tombstone_text(store, found.digest)
    document |= {"purged": purged} if purged else {}
    document |= {"checksums": sums} if checksums else {}
    document |= {"used_by": list(_users(store, found))} if uses else {}
    if json:
        print_json(document)
    else:
        print(_page(document))
    return ExitCode.OK


def _maker(store: Store, found: Datum) -> dict[str, Any] | None:
    """The execution that left it; None for content that was brought in, or when its record is gone."""
    if not found.execution:
        return None
    try:
        run, execution = store.find_execution(None, found.execution)
    except MlrunError:
        return {"execution": found.execution}
    return _about(run, execution)


def _about(run: Run, execution: Execution) -> dict[str, Any]:
    return {
        "execution": execution.id,
        "counter": execution.counter,
        "step": execution.step,
        "state": str(execution.state),
        "finished": execution.finished,
        "run": run.id,
        "run_counter": run.counter,
        "project": run.project.name,
        "commit": code_of(run, execution.node).commit,
    }


def _versions(store: Store, found: Datum) -> Iterator[str]:
    for kind in KINDS:
        for collection in store.refs.collections(kind):
            for version in collection.versions:
                # The list is read as bytes: most have nothing to do with this file.
                if found.id.encode() in store.objects.read(version.manifest):
                    yield f"{kind}://{collection.name}/{version.name}"


def _users(store: Store, found: Datum) -> Iterator[dict[str, Any]]:
    read = lru_cache(maxsize=1)(store.run)
    for id, run_id in reversed(store.users_of(found.digest)):
        try:
            run = read(run_id)
        except MlrunError:
            continue
        execution = run.executions[id]
        for given in execution.job.get("inputs", ()):
            if any(_is(file, found) for file in given["files"]):
                yield _about(run, execution) | {"input": given["name"]}


def _is(file: Mapping[str, Any], datum: Datum) -> bool:
    """Whether a recorded input file is the datum; equal content of another origin is not, but where the datum is
    nothing else than content."""
    return bool(file["digest"] == datum.digest if not datum.execution else file["origin"] == f"datum://{datum.id}")


def _page(document: dict[str, Any]) -> Page:
    page = Page()
    page.head(f"datum {printable(document['name'])}")
    maker = document["made_by"]
    page.facts(
        None,
        [
            ("id", document["id"]),
            ("size", f"{size_text(document['size'])} ({document['size']:,} bytes)"),
            ("blake3", document["digest"]),
            *((name, text) for name, text in document.get("checksums", {}).items() if name != "blake3"),
            ("made by", _execution_text(maker) if maker else "brought in from elsewhere"),
            ("made", local_time(maker.get("finished")) if maker else ""),
            ("commit", maker.get("commit") if maker else ""),
            ("purged", document.get("purged", "")),
            ("use it as", f"datum://{document['id']}"),
            ("aliases", printable(", ".join(document["aliases"]))),
        ],
    )
    page.table("in versions", [(printable(uri),) for uri in document["versions"]])
    page.facts("properties", ((printable(name), exact_text(value)) for name, value in document["metadata"].items()))
    page.table(
        "used by", [(_execution_text(one), f"as {printable(one['input'])}") for one in document.get("used_by", ())]
    )
    return page


def _execution_text(one: dict[str, Any]) -> str:
    if "counter" not in one:
        return f"execution {one['execution']}, whose record is gone"
    step, project = printable(one["step"]), printable(one["project"])
    return f"execution {one['counter']} ({step}, {one['state']}) of run {one['run_counter']}, project {project}"
