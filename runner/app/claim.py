"""What the jobs of a plan take of this machine while they run, what of it there is to share out, and which jobs the end
of the run waits for longest."""

from collections.abc import Iterator, Mapping

from runner.app.grant import EVERY, Granted
from runner.engine.slots import Capacity, Claim
from runner.escape import printable
from runner.executors.device import installed
from runner.plan.limit import CPU_LIMIT, MEGABYTE, Grant, allowance
from runner.plan.model import Plan, PlannedNode
from runner.settings import Settings
from runner.share import Share


def make_capacity(settings: Settings, places: int, share: Share, granted: Granted) -> Capacity:
    """What the jobs of a run share out: as many `places`, and of the rest what the user's settings say, or what is
    their `share` of this machine."""
    kinds = {kind for grant in granted.nodes.values() for kind in grant.devices}
    return Capacity(
        places=places,
        cpus=settings.cpus or share.processors,
        memory=settings.memory or share.memory,
        devices={kind: installed(kind) for kind in kinds},
        pools=settings.pools,
    )


def make_claims(plan: Plan, granted: Granted, seconds: Mapping[str, float]) -> dict[str, Claim]:
    """What each node claims; trials claim what their task node does. `seconds` are what the steps are likely to take.

    A step claims the least that its `resources` ask for, else the most that it may have, of each. One that says nothing
    claims nothing besides its place.
    """
    paths = critical_paths(plan, seconds)
    return {name: _claim(node, granted.nodes[name], paths[name]) for name, node in plan.nodes.items()}


def critical_paths(plan: Plan, seconds: Mapping[str, float]) -> dict[str, float]:
    """Of each node, how many seconds pass at least from its start to the end of the run, as far as `seconds`, by the
    names of steps, tell."""
    downstream = plan.downstream()
    paths: dict[str, float] = {}
    for name, node in reversed(list(plan.nodes.items())):
        below = max((paths[one] for one in downstream[name]), default=0.0)
        paths[name] = below + seconds.get(node.step.name, 0.0)
    return paths


def unbounded(plan: Plan, settings: Settings) -> Iterator[str]:
    """The pools of the plan that have no size, in one sentence each."""
    pools = {node.pool: None for node in plan.nodes.values() if node.pool is not None}
    for pool in pools:
        if pool not in settings.pools:
            said = printable(pool)
            yield f"pool `{said}` bounds nothing: say how many places it has under `[pools]` in your settings"


def _claim(node: PlannedNode, grant: Grant, path: float) -> Claim:
    resources, allowed = node.step.resources, allowance(node.step, node.environment, grant)
    cpus = len(allowed.cpu_set) or allowed.cpus or 0.0
    if resources.cpu.minimum is not None and not node.environment.get(CPU_LIMIT, "").strip():
        cpus = resources.cpu.minimum
    megabytes = resources.memory.minimum
    return Claim(
        cpus=cpus,
        memory=int(megabytes * MEGABYTE) if megabytes is not None else allowed.memory or 0,
        devices={kind: installed(kind) if count == EVERY else count for kind, count in grant.devices.items()},
        pools=(node.pool,) if node.pool is not None else (),
        priority=node.priority,
        path=path,
    )
