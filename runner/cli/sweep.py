"""Running a plan of one task node, or telling which trials it would have."""

from runner.app.place import Place
from runner.app.secret import Secrets
from runner.app.sweep import Preview, preview
from runner.cli.launch import Options, launch
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode
from runner.escape import printable
from runner.plan.model import Plan
from runner.quantity import value_text
from runner.spec.model import Project
from runner.spec.phrase import counted

_LISTED = 50
"""Trials that a dry run lists; JSON has them all."""


def launch_task(place: Place, project: Project, plan: Plan, options: Options, secrets: Secrets) -> int:
    """Run a plan of one task node, or say which trials it would have; returns the exit code. A library that it needs
    is missed before anything is recorded."""
    found = preview(plan.nodes[plan.name])
    if options.dry_run:
        return _tell_trials(plan, found, json=options.json)
    return launch(place, project, plan, options, secrets)


def _tell_trials(plan: Plan, found: Preview, *, json: bool) -> int:
    """Say which trials a task would have; nothing runs."""
    step = plan.nodes[plan.name].step.name
    if json:
        print_json({"task": plan.name, "step": step, "size": found.size, "trials": list(found.trials)})
        return ExitCode.OK
    names = list(dict.fromkeys(name for one in found.trials for name in one))
    rows = [
        [str(number), *(value_text(one.get(name)) for name in names)]
        for number, one in enumerate(found.trials[:_LISTED], 1)
    ]
    if rows:
        print_table([Column("trial", right=True), *(Column(printable(name)) for name in names)], rows)
    say(_sentence(found, step, len(rows)))
    return ExitCode.OK


def _sentence(found: Preview, step: str, listed: int) -> str:
    many = f"{counted(found.size, 'trial')} of step `{printable(step)}`"
    if len(found.trials) < found.size:
        return f"{many}; what comes after {len(found.trials)} depends on how those come out"
    return many + (f", of which {listed} are listed; `--json` has them all" if listed < found.size else "")
