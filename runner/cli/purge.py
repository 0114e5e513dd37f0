"""`mlrun purge`: destroys the bytes of a file everywhere in the store, for good."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from runner.app.burial import bury
from runner.cli.page import Page
from runner.cli.reference import REFERENCE_HELP, find_data, writable_store
from runner.cli.subject import open_store
from runner.cli.terminal import print_json, say, show_hint, show_warning
from runner.cli.tombstone import purged_text
from runner.cli.touch import touch_text
from runner.digest import Digest, is_digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.provenance.host import user_name
from runner.quantity import size_text
from runner.settings import load_settings
from runner.store.removal import Purged, Removals
from runner.store.store import Store
from runner.upkeep.lineage import Heir
from runner.upkeep.purge import Purge, carry_out, finish_purges, plan_purge

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun purge 12/people.csv

  mlrun purge 12/people.csv --yes --reason "asked for by a customer"

  mlrun purge --remote ssh://backup/store --yes DIGEST"""

_NO_REASON = "no reason was given"
_NOT_YET = "nothing was destroyed: `--yes` does it, and it cannot be undone"


@app.command(epilog=EXAMPLES)
def purge(
    references: Annotated[list[str], typer.Argument(metavar="DATUM...", help=REFERENCE_HELP)],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept for good.")] = _NO_REASON,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only say what would be destroyed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while executions under way use the file.")] = False,
    remote: Annotated[
        str | None, typer.Option("--remote", metavar="REMOTE", help="Destroy it in a remote store instead.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON, with nothing shortened.")] = False,
) -> int:
    """Destroy the bytes of files everywhere in the store, for good: as objects, packed, in the trash, in work folders.

    What stays is a tombstone, so that nobody takes the content in again, and the records with the names of the files.
    Everything that was made from a file is listed, models with their names. This cannot be undone.
    """
    digests = _digests(references)
    if remote is not None:
        return _bury(remote, digests, reason, yes=yes)
    view = open_store()
    plans = [plan_purge(view, digest) for digest in digests]
    tombstones = Removals(view.layout).read().purged
    if json:
        print_json([_document(plan, tombstones.get(plan.digest)) for plan in plans])
    else:
        for plan in plans:
            print(_page(plan, tombstones.get(plan.digest)))
    if not yes:
        show_hint(_NOT_YET)
        return ExitCode.OK
    for plan in plans:
        _refuse_used(plan, force=force)
    view.close()
    with writable_store() as store:
        return _carry_out(store, plans, reason)


def _digests(references: Sequence[str]) -> list[Digest]:
    """The contents that are meant. A digest is taken as it is: of what was purged before nothing else is left."""
    found: dict[Digest, None] = {}
    for text in references:
        if is_digest(text):
            found[Digest(text)] = None
        else:
            found.update((datum.digest, None) for datum in find_data(text))
    return list(found)


def _refuse_used(plan: Purge, *, force: bool) -> None:
    if force or not (plan.users or plan.is_claimed):
        return
    who = ", ".join(touch_text(touch) for touch in plan.users) or "another process"
    raise MlrunError(
        f"`{plan.digest}` is in use by {who}",
        code=ExitCode.LOCKED,
        hint="wait for it or `mlrun stop` it; `--force` destroys the file all the same",
    )


def _carry_out(store: Store, plans: Sequence[Purge], reason: str) -> int:
    failed: list[str] = []
    store.reconcile()
    finish_purges(store)
    for plan in plans:
        failed += carry_out(store, plan, user_name(), reason)
        left = size_text(plan.size) if plan.traces else "nothing of it was left"
        say(f"purged: `{plan.digest}`, {left}")
    for line in failed:
        show_warning(f"may still have the bytes: {line}")
    if failed:
        show_hint("remove these yourself, or call this again with the right to; it goes on where it stopped")
        return ExitCode.STORE
    say("copies elsewhere are untouched: outputs that were copied out, backups, snapshots of the disk, remote stores")
    show_hint("`mlrun purge --remote REMOTE DIGEST` destroys what was pushed to a remote store")
    return ExitCode.OK


def _bury(url: str, digests: Sequence[Digest], reason: str, *, yes: bool) -> int:
    for one in bury(load_settings(), url, digests, reason, dry=not yes):
        if not yes:
            there = "not there" if one.size is None else f"{size_text(one.size)} there"
            say(f"would be purged: `{one.digest}`, {there}")
        else:
            say(f"{'refused there from now on' if one.size is None else 'purged there'}: `{one.digest}`")
    if not yes:
        show_hint(_NOT_YET)
    return ExitCode.OK


def _page(plan: Purge, tombstone: Purged | None) -> Page:
    page = Page()
    page.head(f"purge of {plan.digest}")
    page.facts(
        None,
        [
            ("size", f"{size_text(plan.size)} ({plan.size:,} bytes)"),
            ("purged", purged_text(tombstone) if tombstone else ""),
            ("outside", f"{plan.outside} hard links of these files lie outside the store" if plan.outside else ""),
        ],
    )
    page.table("places", [(printable(str(one.path)), one.what, size_text(one.size)) for one in plan.traces])
    page.table("not looked at", [(printable(line),) for line in plan.unseen])
    page.table("named by", [(touch_text(touch),) for touch in plan.touched])
    page.table("in use by", [(touch_text(touch),) for touch in plan.users])
    page.table("made from it", [row for heir in plan.heirs for row in _heir_rows(heir)])
    page.table("parts in common with", [(digest, "a file of its own, which stays") for digest in plan.shared])
    return page


def _heir_rows(heir: Heir) -> list[tuple[str, str, str]]:
    who = f"execution {heir.counter} ({printable(heir.step)}), run {heir.run_counter}, {printable(heir.project)}"
    got = "got it" if heir.direct else "got something made from it"
    rows = [(who, got, "")]
    rows += [("", printable(left.name), printable(", ".join(left.names))) for left in heir.outputs]
    return rows


def _document(plan: Purge, tombstone: Purged | None) -> dict[str, Any]:
    return {
        "digest": plan.digest,
        "size": plan.size,
        "purged": None if tombstone is None else asdict(tombstone),
        "places": [{"path": str(one.path), "what": one.what, "size": one.size} for one in plan.traces],
        "outside": plan.outside,
        "unseen": plan.unseen,
        "named_by": [asdict(touch) for touch in plan.touched],
        "in_use_by": [asdict(touch) for touch in plan.users],
        "made_from_it": [asdict(heir) for heir in plan.heirs],
        "shared_with": list(plan.shared),
    }
