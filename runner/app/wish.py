"""What the user wants of reuse: at all, for which nodes, and what counts as a change. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.reuse.code import everything
from runner.reuse.content import CodeKey
from runner.reuse.decide import Rule
from runner.settings import Settings
from runner.spec.extension import Policy
from runner.store.record import ReuseOptions


@dataclass(frozen=True, slots=True)
class Globs:
    """The `code:` of a policy: a path counts if one of these patterns means it."""

    patterns: tuple[str, ...]

    def __call__(self, path: str) -> bool:
        """Whether a path counts."""
        # Not at the top: few files have policies, and every run would pay for the model of changes.
        from runner.change.code import is_code

        return is_code(path, self.patterns)


NO_REUSE = "reuse is off"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line and the file want of reuse: `on` at all, `refresh` names nodes that run in any case,
    `code_key` says what a change of a Python file is, `sources` from which remotes, as they are shown, runs may have
    come that stand for something here; None for any."""

    on: bool = True
    refresh: frozenset[str] = frozenset()
    code_key: CodeKey = CodeKey.SYNTAX
    policies: Mapping[str, Policy] = field(default_factory=dict)
    sources: frozenset[str] | None = frozenset()

    def rule(self, node: str, step: str) -> Rule:
        """What holds for one node."""
        policy = self.policies.get(step)
        counts = everything if policy is None or policy.code is None else Globs(policy.code)
        never = None
        if not self.on:
            never = NO_REUSE
        elif node in self.refresh:
            never = "`--refresh` names it"
        elif policy is not None and policy.reuse == 0:
            never = "its policy says never"
        most = policy.reuse if policy is not None and policy.reuse else None
        return Rule(never, most, counts, self.sources)

    def options(self) -> ReuseOptions:
        """What a run records of it; the policies are in the file."""
        sources = None if self.sources is None else tuple(sorted(self.sources))
        return ReuseOptions(self.on, tuple(sorted(self.refresh)), self.code_key, sources)


NEVER = Wish(on=False)


def believed_sources(settings: Settings) -> frozenset[str] | None:
    """The other stores whose runs may stand for work of this one, by the user's settings; None for any."""
    if settings.reuse_pulled == "all":
        return None
    if settings.reuse_pulled == "none" or not settings.remotes:
        return frozenset()
    # Not at the top: most users have no remotes, and every run asks.
    from runner.remote.kind import is_address, shown

    return frozenset(shown(address) for address in settings.remotes.values() if is_address(address))
