"""Tree → typed policies: what Valohai's language has no word for. Pure."""

from runner.spec import field
from runner.spec.model import Policy
from runner.spec.reader import Reader, named
from runner.spec.tree import Table

NEVER = "never"

IGNORED = ("retries", "pool")
"""Fields of a policy that do not act in this version."""


def parse_policy(body: Table, reader: Reader) -> Policy:
    """The policy that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("step"), "the policy of step")
    return Policy(
        step=reader.text(body, "step", "a policy", required=True) or "",
        location=field.place_of(body, reader, "step"),
        reuse=0.0 if body.get("reuse") == NEVER else field.duration(body, "reuse", reader, noun),
        retries=reader.count(body, "retries", noun, 0),
        pool=reader.text(body, "pool", noun),
        code=None if body.get("code") is None else field.texts(body, "code", reader, noun),
    )
