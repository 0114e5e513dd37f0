"""Policies: whether the steps that they are for exist. Pure."""

from runner.spec.check.sheet import Findings
from runner.spec.extension import Policy
from runner.spec.tree import shorten


def check_policy(findings: Findings, policy: Policy) -> None:
    """The step that a policy is for; a broken one is there, too."""
    sheet = findings.sheet
    if policy.step not in sheet.step_names:
        message = f"there is a policy for step `{shorten(policy.step)}`, which does not exist"
        hint = sheet.guess(policy.step, sheet.step_names, "the file has no step")
        findings.warn("dangling-policy", message, policy.location, hint)
