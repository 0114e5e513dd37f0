"""What listeners are told of a run that was recorded before they came. Pure."""

from collections.abc import Iterator

from runner.events import Event, NodeChanged, NodeShown, TrialsAdded
from runner.state import State
from runner.store.record import NodeRecord, Run, trials


def so_far(run: Run) -> Iterator[Event]:
    """What a listener missed of a run: its trials, and where each of its nodes is."""
    for name in dict.fromkeys(node.trial_of for node in run.nodes.values() if node.trial_of is not None):
        yield TrialsAdded(name, tuple(map(shown_trial, trials(run, name))), run.nodes[name].size)
    for node in run.nodes.values():
        if node.state is not State.WAITING:
            yield changed(run, node)


def shown_nodes(run: Run) -> Iterator[NodeShown]:
    """The nodes of a recorded plan as listeners need them."""
    for node in run.plan["nodes"]:
        upstream = tuple(node.get("upstream", ()))
        yield NodeShown(node["name"], node["step"], node.get("image", ""), upstream, kind=node.get("kind", "execution"))


def shown_trial(node: NodeRecord) -> NodeShown:
    """A recorded trial as listeners need it."""
    return NodeShown(node.name, node.step, "", (), trial_of=node.trial_of, parameters=node.parameters)


def changed(run: Run, node: NodeRecord) -> NodeChanged:
    """That a recorded node is where it is."""
    last = run.executions[node.executions[-1]] if node.executions else None
    counter = last.counter if last is not None else None
    return NodeChanged(
        node.name,
        node.state,
        node.reason,
        node.detail,
        execution=node.reused.counter if node.reused is not None else counter,
        exit_code=last.exit_code if last is not None else None,
        duration=last.duration if last is not None else None,
        work=last.work if last is not None else None,
    )
