"""What a run would do, in words and as JSON: the fate of each node with its reason, and what all is likely to take."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.app.forecast import Asks, Depends, Estimate, Fails, Fate, Runs, Stands, Sweeps, stands
from runner.app.why import Outlook
from runner.cli.cause import Evidence, summary, tell
from runner.cli.display import about, stand_words
from runner.engine.callback import Stand
from runner.escape import printable
from runner.plan.address import public
from runner.quantity import size_text
from runner.reuse.decide import Miss, Unreusable
from runner.spec.phrase import counted
from runner.store.record import Execution, Run

WORDS: Mapping[type[Fate], str] = {
    Stands: "reused",
    Runs: "runs",
    Depends: "depends",
    Asks: "asks",
    Fails: "fails",
    Sweeps: "runs",
}


def fate_word(fate: Fate) -> str:
    """The fate of a node in a word."""
    return WORDS[Stands if stands(fate) else type(fate)]


def fate_sentence(fate: Fate, outlook: Outlook) -> str:
    """The fate of a node and its reason in one line."""
    match fate:
        case Stands(stand):
            return f"reused: {stand_words(stand.detail, stand.age)}"
        case Runs(miss):
            said = summary(miss.causes, outlook.evidence(miss))
            return f"runs: {said}" if said else "runs"
        case Depends(upstream, besides):
            said = summary(besides.causes, outlook.evidence(besides)) if besides is not None else ""
            return depends_words(upstream) + (f"; besides, {said}" if said else "")
        case Asks(addresses):
            return f"asks {', '.join(map(printable, addresses))}"
        case Fails(error):
            return f"fails: {printable(error.message)}"
        case Sweeps():
            return sweep_words(fate)


def sweep_words(fate: Sweeps) -> str:
    """What becomes of the trials of a task, as far as that is known."""
    many = counted(fate.size, "trial") + (" at most" if fate.may_stop else "")
    if fate.never is not None:
        return f"runs: {many}; {fate.never}"
    if fate.is_whole:
        return f"reused: all of {many}"
    reused = len(fate.stands)
    if fate.waits:
        found = f"{reused:,} of the first {fate.looked_at:,} reused"
        return f"runs: {many}, {found}; what comes after depends on how those come out"
    if fate.is_cut:
        return f"runs: {many}, at least {reused:,} reused; {fate.looked_at:,} were looked at"
    return f"runs: {many}" + (f", {reused:,} reused" if reused else "")


def trial_lines(fate: Sweeps) -> Iterator[str]:
    """What stands for the trials of a task."""
    for name, stand in fate.stands.items():
        yield f"  {printable(name)}: {stand_words(stand.detail, stand.age)}"


def depends_words(upstream: Sequence[str]) -> str:
    """What a node waits for before its fate is known."""
    return f"depends on what {_joined(upstream)} {'writes' if len(upstream) == 1 else 'write'}"


def _joined(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = map(printable, names)
    return f"{', '.join(first)} and {last}" if first else last


def estimate_words(told: Estimate) -> str:
    """What the nodes that may run are likely to take; empty where nothing is known or nothing runs."""
    if told.reused == told.nodes:
        return ""
    pieces = [about(told.seconds)] if told.seconds is not None else []
    pieces += [f"{size_text(told.memory)} of memory"] if told.memory is not None else []
    pieces += [f"{size_text(told.output_bytes)} of outputs"] if told.output_bytes is not None else []
    return ", ".join(pieces) + ", by what it took before" if pieces else ""


def head_words(fates: Mapping[str, Fate]) -> str:
    """How many nodes have which fate: `12 nodes would run`, or `12 nodes: 9 reused, 1 runs, 2 depend on others`."""
    reused = sum(map(stands, fates.values()))
    depends = sum(isinstance(fate, Depends | Asks) for fate in fates.values())
    runs = len(fates) - reused - depends
    total = counted(len(fates), "node")
    if runs == len(fates):
        return f"{total} would run"
    if reused == len(fates):
        return f"{total}: all reused"
    pieces = [f"{reused} reused"] if reused else []
    pieces += [f"{runs} {'runs' if runs == 1 else 'run'}"] if runs else []
    pieces += [f"{depends} {'depends' if depends == 1 else 'depend'} on others"] if depends else []
    return f"{total}: {', '.join(pieces)}"


def outlook_text(outlook: Outlook) -> str:
    """What would run, one node per paragraph, in order."""
    plan = outlook.plan
    lines = [f"{plan.kind} `{printable(plan.name)}`: {head_words(outlook.fates)}"]
    for node in plan.nodes.values():
        after = f" after {', '.join(node.upstream)}" if node.upstream else ""
        what = f"step `{node.step.name}` in `{node.step.image}`"
        what = f"deployment `{node.step.name}`" if node.kind == "deployment" else what
        lines.append(printable(f"  {node.name}: {what}{after}"))
        lines += [f"    {fate_sentence(outlook.fates[node.name], outlook)}"] if outlook.reuser else []
        lines += [printable(f"    {name} = {value}") for name, value in node.parameters.items()]
        lines += [printable(f"    {name} is a secret") for name in node.secrets]
        lines += [
            printable(f"    {name} ← {public(source.uri)}")
            for name, sources in node.inputs.items()
            for source in sources
        ]
        lines += [
            printable(f"    {name} ← {public(file.origin)}") for name, files in node.files.items() for file in files
        ]
        lines += [printable(f"    {edge.target.key} ← {edge.source}") for edge in node.edges]
    lines += [words] if (words := estimate_words(outlook.estimate)) else []
    return "\n".join(lines)


# JSON ---------------------------------------------------------------------------------------------------------------


def outlook_json(outlook: Outlook) -> dict[str, Any]:
    """The whole outlook as JSON data."""
    told = outlook.estimate
    return {
        "kind": outlook.plan.kind,
        "name": outlook.plan.name,
        "nodes": [node_json(name, outlook) for name in outlook.fates],
        "estimate": {
            "nodes": told.nodes,
            "reused": told.reused,
            "seconds": told.seconds,
            "memory": told.memory,
            "output_bytes": told.output_bytes,
            "trials": told.trials.size,
            "trials_reused": told.trials.reused,
        },
    }


def node_json(name: str, outlook: Outlook) -> dict[str, Any]:
    """One node of it."""
    node, fate = outlook.plan.nodes[name], outlook.fates[name]
    head = {"name": name, "step": node.step.name, "image": node.step.image, "fate": fate_word(fate)}
    return head | dict(_details(fate, outlook))


def _details(fate: Fate, outlook: Outlook) -> Iterator[tuple[str, Any]]:
    match fate:
        case Stands(stand):
            if stand.reused is not None:
                yield "execution", stand.reused.execution
                yield "counter", stand.reused.counter
                yield "run", stand.reused.run
            if stand.trials:
                yield "trials", [_trial_json(name, one) for name, (_, one) in stand.trials.items()]
            yield "age", round(stand.age, 3)
        case Runs(miss):
            yield from miss_json(miss, outlook).items()
        case Depends(upstream, besides):
            yield "upstream", list(upstream)
            if besides is not None:
                yield from miss_json(besides, outlook).items()
        case Asks(addresses):
            yield "addresses", list(addresses)
        case Fails(error):
            yield "error", error.message
        case Sweeps():
            yield "size", fate.size
            yield "looked_at", fate.looked_at
            yield "trials", [_trial_json(name, one) for name, one in fate.stands.items()]
            if fate.never is not None:
                yield "causes", causes_json(Miss((Unreusable(fate.never),)), None)


def _trial_json(name: str, stand: Stand) -> dict[str, Any]:
    """A trial for which an execution stands."""
    return {"name": name} | {"execution": stand.reused.execution if stand.reused else None}


def miss_json(miss: Miss, outlook: Outlook) -> dict[str, Any]:
    """The causes, and the execution that they are told against."""
    nearest = miss.nearest
    return {
        "causes": causes_json(miss, outlook.evidence(miss)),
        "nearest": execution_json(nearest, outlook.run_of(nearest)) if nearest else None,
    }


def causes_json(miss: Miss, evidence: Evidence | None) -> list[dict[str, Any]]:
    """Each cause with its sentence, and the lines that show it."""
    return [
        {"kind": one.kind, "sentence": one.sentence} | ({"diff": list(one.diff)} if one.diff else {})
        for one in tell(miss.causes, evidence)
    ]


def execution_json(execution: Execution, run: Run | None) -> dict[str, Any]:
    """Which execution it is."""
    owner = {"run": run.id, "run_counter": run.counter} if run is not None else {}
    return {"id": execution.id, "counter": execution.counter} | owner
