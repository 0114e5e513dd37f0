"""Which nodes would run again and which stay valid, each with its reasons. Pure.

The rules are those of reuse: an execution is valid for as long as everything that it was made of is the same, which is
the effective definition, the inputs, the names of all files of the repository, and the contents of those that it read.
What a step reads is known only when it has run, so that a changed file that no command names leaves a doubt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.change.code import ChangedFiles
from runner.change.effect import Effects
from runner.change.fact import Facts
from runner.change.items import Names
from runner.change.model import Fate, FileChange, Foreign, Kind, Phrase, Verdict
from runner.spec.extension import Policy
from runner.spec.model import Node, Pipeline, Step

_SHOWN = 4
"""Reasons that a verdict tells; more are counted."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares what nodes depend on at the base and at the head."""

    base: Effects
    head: Effects
    names: Names
    files: ChangedFiles

    def step(self, step: Step) -> Verdict:
        """The verdict on a step that is run by itself."""
        was = self.names.was("step", step.name)
        earlier = self.base.project.steps.get(was) if was is not None else None
        before = self.base.of_step(earlier) if earlier else None
        return self._verdict(step.name, step, self.head.of_step(step), before, is_new=was is None)

    def pipeline(self, pipeline: Pipeline) -> tuple[Verdict, ...]:
        """The verdicts on all nodes of a pipeline, in the order of the file."""
        was = self.names.was("pipeline", pipeline.name)
        earlier = self.base.project.pipelines.get(was) if was is not None else None
        nodes = self.names.nodes.get(pipeline.name, {})
        called = {old: new for new, old in nodes.items()}
        before = self.base.of_pipeline(earlier, called) if earlier else {}
        after = self.head.of_pipeline(pipeline, {})
        verdicts = {}
        for node in pipeline.nodes:
            old = nodes.get(node.name)
            verdicts[node.name] = self._node(node, after[node.name], before.get(old or ""), is_new=old is None)
        return tuple(_spread(verdicts, after).values())

    def _node(self, node: Node, after: Facts | None, before: Facts | None, *, is_new: bool) -> Verdict:
        step = self.head.step_of(node)
        shown = node.step or node.task or node.deployment
        if after is None:
            word = "task" if node.task else "step"
            reason: Phrase = (f"its {word} ", Foreign(node.task or node.step or ""), " is missing or broken")
            return Verdict(node.name, shown, Fate.UNKNOWN, (reason,))
        if after.missing:
            reason = ("an edge leads from ", Foreign(next(iter(after.missing))), ", which is no node")
            differs = before is not None and not before.missing
            return Verdict(node.name, shown, Fate.UNKNOWN, (reason,), own=differs)
        return replace(self._verdict(node.name, step, after, before, is_new=is_new), step=shown)

    def _verdict(self, name: str, step: Step | None, after: Facts, before: Facts | None, *, is_new: bool) -> Verdict:
        shown = step.name if step else None
        if before is None or before.missing:
            words = "it is new" if is_new else "its definition at the base is missing or broken"
            return Verdict(name, shown, Fate.RUNS_AGAIN, ((words,),), own=True)
        policy = self.head.project.policies.get(step.name) if step else None
        code = self._code(policy)
        own = [*_differences(before, after)]
        named = [] if after.commit else self.files.named_by(after.texts, after.sources, code)
        own += [_file_reason(file) for file in named]
        if own:
            return Verdict(name, shown, Fate.RUNS_AGAIN, _few(own, len(own)), own=True)
        if policy and policy.reuse == 0:
            return Verdict(name, shown, Fate.RUNS_AGAIN, (("its policy says that it is never reused",),))
        if after.commit:
            return Verdict(name, shown, *_of_commit(after.commit))
        return Verdict(name, shown, *_of_code(self.files.others(code), self.files.others(None)))

    def _code(self, policy: Policy | None) -> tuple[str, ...] | None:
        """The patterns of both sides' policies: a change does not narrow by itself what counts for judging it."""
        was = self.names.was("step", policy.step) if policy else None
        earlier = self.base.project.policies.get(was) if was is not None else None
        if policy is None or policy.code is None or earlier is None or earlier.code is None:
            return None
        return (*policy.code, *earlier.code)


def _of_commit(commit: str) -> tuple[Fate, tuple[Phrase, ...]]:
    if len(commit) == 40 and all(sign in "0123456789abcdef" for sign in commit):
        return Fate.STAYS_VALID, ()
    return Fate.MAY_RUN_AGAIN, (("its code is that of ", Foreign(commit), ", which may have moved"),)


def _of_code(files: Sequence[FileChange], every: Sequence[FileChange]) -> tuple[Fate, tuple[Phrase, ...]]:
    """Names of files count for every step, contents only for those that read them. `files` are those of `every` that
    the step's policy counts."""
    if renamed := [file for file in files if file.names]:
        first = [_file_reason(file) for file in renamed[:_SHOWN]]
        return Fate.RUNS_AGAIN, _few(first, len(renamed))
    if files:
        many = "1 file of code" if len(files) == 1 else f"{len(files)} files of code"
        return Fate.MAY_RUN_AGAIN, ((f"{many} changed; which of them a step reads is known when it has run",),)
    return Fate.STAYS_VALID, (("its policy leaves out the files that changed",),) if every else ()


def _file_reason(file: FileChange) -> Phrase:
    words = {Kind.ADDED: " is new", Kind.REMOVED: " is gone"}
    other = " is of another kind or mode" if file.names else " changed"
    return ("file ", Foreign(file.path), words.get(file.kind, other))


def _differences(before: Facts, after: Facts) -> Iterator[Phrase]:
    found = False
    for label in dict.fromkeys([*before.values, *after.values]):
        one, other = before.values.get(label), after.values.get(label)
        if one != other:
            found = True
            word = "changed"
            if label[1] is not None and label not in before.values:
                word = "added"
            elif label[1] is not None and label not in after.values:
                word = "removed"
            yield _labelled(label, word)
    common = set(before.order) & set(after.order)
    orders = [[name for name in facts.order if name in common] for facts in (before, after)]
    if not found and orders[0] != orders[1]:
        yield ("its parameters are passed in another order",)


def _labelled(label: tuple[str, str | None], word: str) -> Phrase:
    noun, name = label
    return (f"{noun} {word}",) if name is None else (f"{noun} ", Foreign(name), f" {word}")


def _few(reasons: Sequence[Phrase], count: int) -> tuple[Phrase, ...]:
    """The first of `count` reasons, and how many there are besides."""
    if count <= _SHOWN:
        return tuple(reasons)
    return (*reasons[: _SHOWN - 1], (f"{count - _SHOWN + 1} more things changed",))


def _spread(verdicts: dict[str, Verdict], facts: Mapping[str, Facts | None]) -> dict[str, Verdict]:
    """What runs again makes doubtful what reads its outputs: if they come out the same, those stay valid."""
    readers: dict[str, list[str]] = {}
    for name, found in facts.items():
        for source in found.reads if found else ():
            readers.setdefault(source, []).append(name)
    sure = [name for name, verdict in verdicts.items() if verdict.fate is Fate.RUNS_AGAIN]
    reached = _reached(sure, readers)
    doubtful = [name for name, verdict in verdicts.items() if verdict.fate in (Fate.MAY_RUN_AGAIN, Fate.UNKNOWN)]
    maybe = _reached([*doubtful], readers)
    for name, verdict in verdicts.items():
        found = facts[name]
        if found is None or verdict.fate in (Fate.RUNS_AGAIN, Fate.UNKNOWN):
            continue
        for fate, origin in ((Fate.DEPENDS, reached | set(sure)), (Fate.MAY_RUN_AGAIN, maybe | set(doubtful))):
            upstream = tuple(source for source in found.reads if source in origin)
            if upstream and (fate is Fate.DEPENDS or verdict.fate is Fate.STAYS_VALID):
                verdicts[name] = replace(verdict, fate=fate, upstream=upstream, reasons=(_depends(upstream),))
                break
    return verdicts


def _reached(start: list[str], readers: Mapping[str, list[str]]) -> set[str]:
    """All names below some names."""
    found: set[str] = set()
    left = list(start)
    while left:
        for name in readers.get(left.pop(), ()):
            if name not in found:
                found.add(name)
                left.append(name)
    return found


def _depends(upstream: tuple[str, ...]) -> Phrase:
    """`depends on what X writes`, for a few names."""
    words: list[str] = ["depends on what "]
    for index, name in enumerate(upstream[:3]):
        words += [" and " if index and index == len(upstream) - 1 else ", " if index else "", Foreign(name)]
    rest = len(upstream) - 3
    words.append(f" and {rest} more write" if rest > 0 else " writes" if len(upstream) == 1 else " write")
    return tuple(word for word in words if word)
