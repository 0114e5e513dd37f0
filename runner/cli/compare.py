"""`mlrun compare`: executions, runs or the makers of files side by side."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from runner.app.compare import Comparison, Side, all_nodes, compare, executions_of
from runner.cli.comment import markdown
from runner.cli.contrast import document, page
from runner.cli.lineage import find_subject
from runner.cli.subject import find, open_store
from runner.cli.table import choose
from runner.cli.terminal import print_json
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.lineage.model import Subject
from runner.reuse.content import CodeKey
from runner.settings import load_settings
from runner.store.store import RUN_PREFIX, Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun compare 12 15

  mlrun compare run:4 run:7

  mlrun compare 12 15 18 --format markdown

  mlrun compare model.pkl ../elsewhere/model.pkl --code"""

MOST = 6
"""Subjects: more have no room beside one another."""


class Format(StrEnum):
    """How a comparison is told."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@app.command(epilog=EXAMPLES)
def show(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [...]", help="2 to 6 executions, runs (`run:N`), or files, for which their makers stand."
        ),
    ],
    code: Annotated[bool, typer.Option("--code", help="With the lines of the code that differ.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Also what is the same.")] = False,
    form: Annotated[str, typer.Option("--format", metavar="F", help="text, markdown or json.")] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when anything differs.")] = False,
) -> int:
    """Show in what executions differ: parameters, code, inputs, environment, metrics, outputs, times.

    The first one is what the others are told against. Of runs each node is compared with the node of the same name.
    """
    kind = Format.JSON if json else choose(Format, form, "format")
    if not 2 <= len(words) <= MOST:
        raise usage_error(f"`mlrun compare` puts 2 to {MOST} side by side, not {len(words)}")
    store = open_store()
    compared = compare_words(store, words)
    match kind:
        case Format.JSON:
            print_json(document(compared))
        case Format.MARKDOWN:
            print(markdown(compared, code=code, every=every))
        case _:
            print("\n".join(page(compared, code=code, every=every)))
    return ExitCode.STEP_FAILED if exit_code and any(one.differs for one in compared) else ExitCode.OK


def compare_words(store: Store, words: Sequence[str]) -> list[Comparison]:
    """What the words of a command line name, side by side: one comparison, or one for each node of runs. What counts of
    a Python file is what the settings say, as for `mlrun why`.

    Raises MlrunError: USAGE, INPUT, STORE.
    """
    code_key = CodeKey(load_settings().code_key)
    subjects = [_Named(store, word) for word in words]
    if all(len(subject.nodes) > 1 for subject in subjects):
        nodes = all_nodes(subject.nodes for subject in subjects)
        return [compare(store, [subject.nodes.get(node) for subject in subjects], node, code_key) for node in nodes]
    single = next(subject.side for subject in subjects if subject.side is not None)
    return [compare(store, [subject.like(single) for subject in subjects], code_key=code_key)]


class _Named:
    """What a word names: the executions of a run by node, or one."""

    def __init__(self, store: Store, word: str) -> None:
        self._word = word
        self.nodes: Mapping[str, Side]
        subject = find_subject(store, word)
        if subject.kind == "run":
            run = find(word).run
            self.nodes = executions_of(store, run, f"{RUN_PREFIX}{run.counter}")
        else:
            side = _maker(store, subject)
            self.nodes = {side.execution.node: side}
        if not self.nodes:
            raise usage_error(f"`{printable(word)}` has no execution whose record is here")

    @property
    def side(self) -> Side | None:
        """The one execution that is named; None for several."""
        return next(iter(self.nodes.values())) if len(self.nodes) == 1 else None

    def like(self, other: Side) -> Side:
        """The execution that can be compared with another: the only one, or the one of the same node or step."""
        if self.side is not None:
            return self.side
        if other.execution.node in self.nodes:
            return self.nodes[other.execution.node]
        same_step = [side for side in self.nodes.values() if side.execution.step == other.execution.step]
        if len(same_step) == 1:
            return same_step[0]
        raise usage_error(
            f"`{printable(self._word)}` has several executions, and none of node `{printable(other.execution.node)}`",
            hint=did_you_mean(other.execution.node, [printable(name) for name in self.nodes]),
        )


def _maker(store: Store, subject: Subject) -> Side:
    """The execution that a word names, or that made the file that it names: the one that is meant, else the newest."""
    if subject.executions:
        ((id, run_id),) = subject.executions
        return _side(store, id, run_id, subject.shown)
    if len({digest for _, digest in subject.data}) > 1:
        raise usage_error(f"`{printable(subject.shown)}` means {len(subject.data)} files", hint="name one of them")
    name, digest = subject.data[0]
    makers = store.makers_of(digest)
    chosen = [maker for maker in makers if maker[0] in subject.meant] or makers
    if not chosen:
        raise MlrunError(
            f"no execution left `{printable(name)}` (BLAKE3 {digest})",
            code=ExitCode.INPUT,
            hint=f"`mlrun lineage {subject.shown}` says who got it",
        )
    return _side(store, *chosen[0], name)


def _side(store: Store, id: str, run_id: str, label: str) -> Side:
    run = store.run(run_id)
    return Side(label, run, run.executions[id])
