"""The planned tense: a `Plan` of `PlannedNode`s, and what the user gave on the command line. Pure.

A single step is a plan with one node; there is no second path for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from runner.job import InputFile, Value
from runner.plan.address import public
from runner.spec.model import Edge, OnError, Step


@dataclass(frozen=True, slots=True)
class Source:
    """Where files of an input come from: a path, glob or URI, and the folder that relative paths start at.

    `trusted` tells whether the user named it (command line) or only the repository did (YAML file).
    """

    uri: str
    folder: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line gives to one node; parameter values are still text or lists of text.

    `files` come from an earlier run that the command line names, and are in the store; `inputs` win over them.
    """

    parameters: Mapping[str, object] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, tuple[InputFile, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line of a run: values for nodes by name, for pipeline parameters, and for every node alike.

    `folder` is where relative paths of the command line start; with `keep_going` a failing command of a step does not
    stop the step, its last command decides. `granted` names the secrets for steps that declare the variable, `secret`
    those for every step.
    """

    folder: str
    nodes: Mapping[str, Given] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    keep_going: bool = False
    granted: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node with everything that can be known before its upstreams ran.

    `step` has the node's override applied; `parameters` hold the effective values but for those that an edge will
    bring; `inputs` the sources per input, where edges will be added or take their place (`append_edges`); `edges` are
    the edges into this node, `upstream` the nodes they come from. `secrets` are the names of variables whose values no
    plan or record has. `files` are those of inputs that an earlier run gives; such an input has no sources.
    """

    name: str
    step: Step
    parameters: Mapping[str, Value]
    inputs: Mapping[str, tuple[Source, ...]]
    environment: Mapping[str, str]
    edges: tuple[Edge, ...] = ()
    upstream: tuple[str, ...] = ()
    on_error: OnError = OnError.STOP_ALL
    append_edges: bool = False
    keep_going: bool = False
    secrets: tuple[str, ...] = ()
    files: Mapping[str, tuple[InputFile, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """The node of an earlier run that a plan took values and files from. `execution` is None if it never ran; then they
    were computed from what its upstreams left."""

    run: str
    counter: int
    node: str
    execution: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph of nodes in an order in which every node comes after its upstreams."""

    kind: Literal["exec", "pipeline"]
    name: str
    nodes: Mapping[str, PlannedNode]
    origin: Origin | None = None


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data for the record."""
    origin = {"inputs-from": asdict(plan.origin)} if plan.origin else {}
    return origin | {
        "kind": plan.kind,
        "name": plan.name,
        "nodes": [
            {
                "name": node.name,
                "step": node.step.name,
                "image": node.step.image,
                "definition": node.step.source,
                "parameters": dict(node.parameters),
                "inputs": {name: list(_addresses(node, name)) for name in node.inputs},
                "environment": sorted(node.environment),
                "edges": [[str(edge.source), str(edge.target)] for edge in node.edges],
                "upstream": list(node.upstream),
                "on-error": str(node.on_error),
            }
            for node in plan.nodes.values()
        ],
    }


def _addresses(node: PlannedNode, name: str) -> Iterator[str]:
    """Where the files of an input come from, as far as it is known before its upstreams ran."""
    yield from (public(source.uri) for source in node.inputs[name])
    yield from (public(file.origin) for file in node.files.get(name, ()))
