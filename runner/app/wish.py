"""What the user wants of reuse: at all, for which nodes, and what counts as a change. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.change.code import is_code
from runner.reuse.code import everything
from runner.reuse.content import CodeKey
from runner.reuse.decide import Rule
from runner.spec.model import Policy


@dataclass(frozen=True, slots=True)
class Globs:
    """The `code:` of a policy: a path counts if one of these patterns means it."""

    patterns: tuple[str, ...]

    def __call__(self, path: str) -> bool:
        """Whether a path counts."""
        return is_code(path, self.patterns)


NO_REUSE = "reuse is off"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line and the file want of reuse: `on` at all, `refresh` names nodes that run in any case,
    `code_key` says what a change of a Python file is."""

    on: bool = True
    refresh: frozenset[str] = frozenset()
    code_key: CodeKey = CodeKey.SYNTAX
    policies: Mapping[str, Policy] = field(default_factory=dict)

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
        return Rule(never, most, counts)


NEVER = Wish(on=False)
