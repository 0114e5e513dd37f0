"""`mlrun du`: what takes the room in the store."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from runner.app import upkeep
from runner.cli.cell import now
from runner.cli.page import Page
from runner.cli.subject import open_store, project_here
from runner.cli.table import Column, choose, text_table
from runner.cli.terminal import print_json, say, show_warning
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.quantity import local_time, size_text
from runner.settings import Settings, load_settings
from runner.spec.phrase import counted
from runner.store.layout import Layout
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.disk import Heap, weigh_batch
from runner.upkeep.ledger import Account, By, Keeper, Ledger, keep_ledger
from runner.upkeep.usage import COUNTED, measure

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun du

  mlrun du --by step

  mlrun du --by execution --all-projects --json"""

_ROWS = 30
"""Rows of a table; JSON has them all."""
_ONE_FOR_ALL = frozenset({By.PROJECT, By.KIND})
"""These tell about all projects in any case."""
_WORDS = {
    "whole": "objects, each once, whatever names it",
    "packed": "recipes of older versions",
    "trash": "removed, and to be had back for a while",
    "work": "work folders of what runs, failed or was kept",
    "quarantine": "damaged objects that were set aside",
    "records": "journals, names and the index",
    "cache": "what can be found out again",
}


@app.command(epilog=EXAMPLES)
def usage(
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="project, pipeline, step, kind or execution.")
    ] = By.PROJECT.value,
    all_projects: Annotated[bool, typer.Option("--all-projects", help="Not only of this project.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON, with every row.")] = False,
) -> int:
    """Print how many bytes the store takes on the disk: by who names them, and by where they are.

    What several of them name is counted once, and told as shared. Sizes are those of the files; one with holes in it
    may take less. Work folders count without files that are objects at the same time.
    """
    chosen = choose(By, by, "way to tell")
    settings = load_settings()
    layout = Layout.open_existing(settings.store)
    if layout is None:
        if json:
            print_json(None)
        say(f"there is no store in {settings.store} yet")
        return ExitCode.OK
    with open_store() as store:
        ledger, garbage, problem = _look(store, chosen, settings)
    project = None if all_projects or chosen in _ONE_FOR_ALL else project_here()
    accounts = [one for one in ledger.accounts if project in (None, one.holder.project)]
    parts = measure(layout)
    if json:
        print_json(_document(settings, layout, ledger, accounts, parts, garbage))
    else:
        print(_page(settings, layout, (chosen, ledger, accounts), parts))
        say(problem or f"`mlrun gc` would free {size_text(garbage.size if garbage else 0)}")
    if ledger.unread:
        show_warning(f"{counted(ledger.unread, 'run')} cannot be read, so what they name counts as named by nobody")
    return ExitCode.OK


def _look(store: Store, by: By, settings: Settings) -> tuple[Ledger, Heap | None, str | None]:
    """Who names what, and what a removal by the user's policy would free, or why nobody knows. Reads every run once,
    unless one of them cannot be read."""
    keeper = Keeper(store, by)
    try:
        plan = upkeep.plan_removal(settings, upkeep.policy_of(settings), now(), watch=keeper.add_run)
    except MlrunError as error:
        return keep_ledger(store, by), None, f"what `mlrun gc` would free cannot be told: {error.message}"
    return keeper.ledger(), (plan.heap if plan else Heap()), None


def _page(
    settings: Settings, layout: Layout, told: tuple[By, Ledger, Sequence[Account]], parts: Mapping[str, Heap]
) -> str:
    by, ledger, accounts = told
    page = Page()
    total = sum(heap.size for heap in parts.values())
    page.table(
        f"store {layout.root}",
        [
            *(
                (name, size_text(heap.size), counted(heap.files, "file"), _WORDS[name])
                for name, heap in parts.items()
                if heap
            ),
            ("total", size_text(total), counted(sum(heap.files for heap in parts.values()), "file"), ""),
        ],
    )
    page.table("in the trash", list(_waiting(layout)))
    if settings.quota is not None:
        page.facts("quota", [(size_text(settings.quota), _quota_words(settings.quota, parts))])
    columns = [Column("project"), *([] if by is By.PROJECT else [Column(by.value)]), Column("files", right=True),
               Column("size", right=True), Column("only its own", right=True)]  # fmt: skip
    if by is By.KIND:
        columns = columns[1:]
    rows = [_row(by, account) for account in accounts[:_ROWS]]
    if len(accounts) > _ROWS:
        say(f"{len(accounts) - _ROWS:,} more rows are in the JSON")
    besides = [
        f"{size_text(heap.size)} ({counted(heap.files, 'object')}) {'is' if heap.files == 1 else 'are'} {words}"
        for heap, words in (
            (ledger.shared, "named by several of all these"),
            (ledger.unnamed, "named by no record"),
        )
        if heap
    ]
    table = ["", text_table(columns, rows), *besides] if rows else besides
    return "\n".join([str(page), *table])


def _row(by: By, account: Account) -> list[str]:
    holder = account.holder
    names = [] if by is By.KIND else [printable(holder.project_name)]
    names += [] if by is By.PROJECT else [printable(holder.name)]
    return [*names, f"{account.named.files:,}", size_text(account.named.size), size_text(account.own.size)]


def _quota_words(quota: int, parts: Mapping[str, Heap]) -> str:
    counts = sum(parts[name].size for name in COUNTED)
    return f"{counts / quota:.0%} used" + (": runs are refused" if counts > quota else "")


def _waiting(layout: Layout) -> Iterator[tuple[str, str, str]]:
    trash = Trash(layout)
    for batch in trash.batches():
        size = size_text(weigh_batch(trash.folder(batch)).size)
        yield f"removed by `mlrun {printable(batch.why)}`", size, f"until {local_time(batch.due)}"


def _document(
    settings: Settings,
    layout: Layout,
    ledger: Ledger,
    accounts: Sequence[Account],
    parts: Mapping[str, Heap],
    garbage: Heap | None,
) -> dict[str, Any]:
    trash = Trash(layout)
    return {
        "store": str(layout.root),
        "parts": {name: _heap_json(heap) for name, heap in parts.items()},
        "total": sum(heap.size for heap in parts.values()),
        "quota": settings.quota,
        "counts_for_quota": sum(parts[name].size for name in COUNTED),
        "trash": [
            {"batch": batch.id, "why": batch.why, "time": batch.time, "until": batch.due,
             **_heap_json(weigh_batch(trash.folder(batch)))}
            for batch in trash.batches()
        ],
        "holders": [
            {
                "project": one.holder.project or None,
                "project_name": one.holder.project_name or None,
                "name": one.holder.name or None,
                **_heap_json(one.named),
                "own": _heap_json(one.own),
            }
            for one in accounts
        ],
        "shared": _heap_json(ledger.shared),
        "unnamed": _heap_json(ledger.unnamed),
        "unreadable_runs": ledger.unread,
        "gc_would_free": None if garbage is None else _heap_json(garbage),
    }  # fmt: skip


def _heap_json(heap: Heap) -> dict[str, int]:
    return {"files": heap.files, "size": heap.size}
