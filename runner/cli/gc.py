"""`mlrun gc`: what may go from the store goes, by a policy; dry unless told otherwise, and to be undone for a week."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from runner.app import upkeep
from runner.cli.cell import now
from runner.cli.page import Page
from runner.cli.table import Column, text_table
from runner.cli.terminal import print_json, say, show_warning
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.quantity import local_time, size_text
from runner.settings import Settings, load_settings, parse_age, parse_count
from runner.spec.phrase import counted
from runner.store.layout import Layout
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.disk import Heap
from runner.upkeep.plan import Loss, Plan
from runner.upkeep.retention import Ground, Policy

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun gc

  mlrun gc --keep-last 3 --keep-within 14d

  mlrun gc --keep-last 3 --yes

  mlrun gc --undo"""

_NAMED = 4
"""Executions that a row names before it says how many there are between the first and the last."""
_GROUNDS = {
    Ground.UNDER_WAY: "their runs are under way",
    Ground.NAMED: "pinned, aliased, or in a version of a dataset or model",
    Ground.NEWEST: "among the newest of their step",
    Ground.YOUNG: "young enough",
    Ground.REUSED: "later runs reused them",
    Ground.INPUT: "an execution that is kept got a file of theirs",
    Ground.ELSEWHERE: "in other projects",
}


@app.command(epilog=EXAMPLES)
def collect(
    keep_last: Annotated[
        str | None,
        typer.Option("--keep-last", metavar="N", help="Keep the newest N of each step, and N that succeeded."),
    ] = None,
    keep_within: Annotated[
        str | None,
        typer.Option("--keep-within", metavar="AGE", help="Keep what is younger: `12h`, `30d`, `8w`."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="NAME", help="Only of this project; `here`: of this folder."),
    ] = None,
    all_projects: Annotated[bool, typer.Option("--all-projects", help="Of all projects: the default.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: move the files into the trash, for a week.")] = False,
    at_once: Annotated[
        bool, typer.Option("--now", help="Do it, and destroy them and all that is in the trash at once.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back what was removed last.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """Say which files of the store may go, and why; with --yes, move them into the trash.

    Records stay for ever: an expired execution loses its outputs, its copies of inputs and its logs, nothing else. What
    is pinned, aliased or in a version stays, and whatever runs under way use. Without options, your settings decide
    (`keep-last`, `keep-within`); without these, the newest 10 executions of each step and what is younger than 30 days
    stay.
    """
    settings = load_settings()
    if undo:
        if yes or at_once or project or all_projects or keep_last or keep_within:
            raise usage_error("`--undo` stands alone", hint="it brings back the newest batch of the trash")
        return _undo(settings, json=json)
    if project is not None and all_projects:
        raise usage_error("`--project` and `--all-projects` exclude each other", hint="leave one out")
    last = None if keep_last is None else parse_count(keep_last)
    within = None if keep_within is None else parse_age(keep_within)
    policy = upkeep.policy_of(settings, last, within)
    only = None if project is None else _project(settings, project)
    done = _remove(settings, policy, only, at_once=at_once) if yes or at_once else None
    plan = done.plan if done else None if yes or at_once else upkeep.plan_removal(settings, policy, now(), only)
    if plan is None:
        return _no_store(settings, json=json)
    if json:
        print_json(_document(plan) | {"done": _done_document(done) if done else None})
    else:
        print(_page(plan, done=done is not None))
        say(_closing(plan) if done is None else "\n".join(_done_lines(done)))
    for stuck in done.swept.stuck if done else ():
        show_warning(f"cannot be removed: {stuck}")
    return ExitCode.STORE if done and done.swept.stuck else ExitCode.OK


def _remove(settings: Settings, policy: Policy, project: str | None, *, at_once: bool) -> upkeep.Done | None:
    try:
        return upkeep.remove(settings, policy, now(), project, at_once=at_once)
    except MlrunError as error:
        if error.code is not ExitCode.DISK:
            raise
        raise MlrunError(error.message, code=error.code, hint=_room_hint(settings, at_once=at_once)) from error


def _room_hint(settings: Settings, *, at_once: bool) -> str:
    """How a removal finds the little room that it needs itself, to note what goes."""
    if Trash(Layout(settings.store)).batches() and not at_once:
        return "the same with `--now` makes room first: it destroys all that is in the trash, and what may go"
    again = "do this again" if at_once else "say `--now` instead of `--yes`, as what waits in the trash frees no room"
    return f"free a little elsewhere on this disk, then {again}"


def _no_store(settings: Settings, *, json: bool) -> int:
    if json:
        print_json(None)
    say(f"there is no store in {settings.store} yet, so there is nothing to remove")
    return ExitCode.OK


def _undo(settings: Settings, *, json: bool) -> int:
    undone = upkeep.undo(settings)
    if undone is None:
        raise usage_error(f"there is no store in {settings.store}", hint="nothing was ever removed")
    if json:
        print_json(
            {
                "batch": undone.batch.id,
                "time": undone.batch.time,
                "why": undone.batch.why,
                "files": undone.heap.files,
                "size": undone.heap.size,
                "executions": undone.executions,
                "runs": undone.runs,
            }
        )
    parts = []
    if undone.executions or not undone.runs:
        have = "has its" if undone.executions == 1 else "have their"
        parts.append(f"{counted(undone.executions, 'execution')} {have} files again")
    if undone.runs:
        parts.append(f"{counted(undone.runs, 'run')} {'is' if undone.runs == 1 else 'are'} listed again")
    are = "is" if undone.heap.files == 1 else "are"
    say(
        f"{_heap_text(undone.heap)} {are} back, which `mlrun {printable(undone.batch.why)}` removed on "
        f"{local_time(undone.batch.time)}: {' and '.join(parts)}"
    )
    return ExitCode.OK


def _project(settings: Settings, text: str) -> str:
    """The id of the project that a user names."""
    if text == "here":
        from runner.app.place import locate

        return locate(Path.cwd()).ref.id
    with Store.open(settings.store, create=False) as store:
        known = {str(row["project"]): str(row["project_name"]) for row in store.runs()}
    found = [id for id, name in known.items() if text in (id, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise usage_error(
            f"{len(found)} projects are called `{printable(text)}`",
            hint="go to its folder and say `--project here`, or name its id: " + ", ".join(f"`{id}`" for id in found),
        )
    raise usage_error(
        f"the store knows no project `{printable(text)}`", hint=did_you_mean(text, sorted(set(known.values())))
    )


def _page(plan: Plan, *, done: bool) -> str:
    parts = [f"keeps {plan.policy}" + (", as nobody decided otherwise" if plan.policy.is_default else "")]
    if plan.losses:
        columns = [Column("project"), Column("step"), Column("executions"), Column("files", right=True),
                   Column("freed" if done else "frees", right=True), Column("why")]  # fmt: skip
        parts += ["", text_table(columns, [_row(loss) for loss in plan.losses])]
    page = Page()
    page.facts("besides", _besides(plan))
    page.facts("executions that keep their files", _kept(plan))
    if not done:
        page.table(
            "in the trash",
            [
                (f"removed {local_time(batch.time)}", f"by `mlrun {printable(batch.why)}`", size_text(heap.size),
                 f"until {local_time(batch.due)}")
                for batch, heap in plan.waiting
            ],
        )  # fmt: skip
    if page.lines:
        parts += ["", str(page)]
    return "\n".join(parts)


def _row(loss: Loss) -> list[str]:
    return [
        printable(loss.project_name),
        printable(loss.step),
        _numbers(loss.executions),
        f"{loss.heap.files:,}",
        size_text(loss.heap.size),
        loss.why,
    ]


def _numbers(counters: list[int]) -> str:
    ordered = sorted(counters)
    if len(ordered) <= _NAMED:
        return ", ".join(map(str, ordered))
    return f"{len(ordered):,}: {ordered[0]} … {ordered[-1]}"


def _besides(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.orphans:
        yield "nobody names them", _heap_text(plan.orphans)
    if plan.taken_out:
        yield "of removed runs", _heap_text(plan.taken_out)
    for left in plan.work:
        yield printable(left.path.name), f"{_heap_text(left.heap)} in a folder: {left.why}"
    if plan.stale:
        yield "half written", _heap_text(_sum(left.heap for left in plan.stale))
    if plan.young:
        yield "too young to go", f"{_heap_text(plan.young)} that nobody names yet, kept for a day"
    if plan.quarantined:
        yield "in quarantine", f"{_heap_text(plan.quarantined)}, longer than 30 days; they stay until you remove them"


def _kept(plan: Plan) -> Iterator[tuple[str, str]]:
    for ground, words in _GROUNDS.items():
        if count := plan.kept.get(ground, 0):
            yield f"{count:,}", words


def _closing(plan: Plan) -> str:
    if plan.is_empty:
        return "nothing would go" + ("; `mlrun gc --now` would empty the trash" if plan.waiting else "")
    them = "it" if plan.heap.files == 1 else "them"
    return (
        f"nothing was removed; {_heap_text(plan.heap)} would go: the same with `--yes` moves {them} into the trash "
        f"for a week, with `--now` destroys {them} at once"
    )


def _done_lines(done: upkeep.Done) -> Iterator[str]:
    swept, packed = done.swept, done.packed
    if swept.batch is not None and swept.moved and not swept.at_once:
        kept = Heap(swept.moved.files - swept.back.files, swept.moved.size - swept.back.size)
        yield (
            f"removed {_heap_text(kept)} of {counted(len(done.plan.losers), 'execution')}; until "
            f"{local_time(swept.batch.due)} `mlrun gc --undo` brings {'it' if kept.files == 1 else 'them'} back"
        )
    if swept.found:
        are, them = ("is", "it") if swept.found.files == 1 else ("are", "them")
        yield f"{_heap_text(swept.found)} {are} back from the trash, because something names {them}"
    if swept.destroyed:
        yield f"destroyed {_heap_text(swept.destroyed)} for good"
    if packed is not None and packed.objects:
        yield (
            f"packed {counted(packed.objects, 'older version')} from {size_text(packed.before)} into "
            f"{size_text(packed.after)}"
        )
    if not (swept.moved or swept.found or swept.destroyed or (packed and packed.objects)):
        yield "there was nothing to remove"


def _document(plan: Plan) -> dict[str, Any]:
    heap = plan.heap
    return {
        "policy": {
            "keep_last": plan.policy.last,
            "keep_within": plan.policy.within,
            "default": plan.policy.is_default,
        },
        "losses": [
            {
                "project": loss.project,
                "project_name": loss.project_name,
                "step": loss.step,
                "executions": sorted(loss.executions),
                "why": loss.why,
                **_heap_json(loss.heap),
            }
            for loss in plan.losses
        ],
        "kept": {str(ground): count for ground, count in plan.kept.items()},
        "orphans": _heap_json(plan.orphans),
        "of_removed_runs": _heap_json(plan.taken_out),
        "too_young": _heap_json(plan.young),
        "folders": [{"path": str(left.path), "why": left.why, **_heap_json(left.heap)} for left in plan.work],
        "half_written": _heap_json(_sum(left.heap for left in plan.stale)),
        "quarantine": _heap_json(plan.quarantined),
        "trash": [
            {"batch": batch.id, "time": batch.time, "until": batch.due, "why": batch.why, "by": batch.by,
             **_heap_json(waiting)}
            for batch, waiting in plan.waiting
        ],
        **_heap_json(heap),
    }  # fmt: skip


def _done_document(done: upkeep.Done) -> dict[str, Any]:
    swept, packed = done.swept, done.packed
    return {
        "batch": swept.batch.id if swept.batch else None,
        "removed": _heap_json(swept.moved),
        "put_back": _heap_json(swept.back),
        "brought_back": _heap_json(swept.found),
        "destroyed": _heap_json(swept.destroyed),
        "stuck": swept.stuck,
        "packed": None
        if packed is None
        else {"objects": packed.objects, "before": packed.before, "after": packed.after},
    }


def _sum(heaps: Iterator[Heap]) -> Heap:
    total = Heap()
    for heap in heaps:
        total.add(heap.size, heap.files)
    return total


def _heap_text(heap: Heap) -> str:
    return f"{counted(heap.files, 'file')} ({size_text(heap.size)})"


def _heap_json(heap: Heap) -> dict[str, int]:
    return {"files": heap.files, "size": heap.size}
