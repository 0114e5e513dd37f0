"""Endpoints and deployments. Pure."""

from runner.errors import Location
from runner.spec.check.sheet import Findings
from runner.spec.tree import Table, shorten, tables


def check_volumes(findings: Findings, body: Table) -> None:
    """Where the volumes of an endpoint appear: below the root, and each at a place of its own."""
    noun = f"endpoint `{shorten(str(body.get('name')))}`"
    seen: dict[str, Location] = {}
    for row in tables(body.get("shared-volumes")):
        _check_mount(findings, row, f"a shared volume of {noun}", seen)
        sub_path = row.get("sub-path")
        if isinstance(sub_path, str) and sub_path.startswith("/"):
            message = f"the `sub-path` of a shared volume of {noun} begins with `/`"
            hint = "it is meant below the volume: leave the `/` out"
            findings.error("bad-volume", message, findings.sheet.value(row, "sub-path"), hint)
    workspace = body.get("workspace-volume")
    if isinstance(workspace, Table):
        _check_mount(findings, workspace, f"the workspace volume of {noun}", seen)


def _check_mount(findings: Findings, table: Table, noun: str, seen: dict[str, Location]) -> None:
    path = table.get("mount-path")
    if not isinstance(path, str):
        return
    location = findings.sheet.value(table, "mount-path")
    if not path.startswith("/"):
        message = f"the `mount-path` of {noun} does not begin with `/`"
        findings.error("bad-volume", message, location, f"did you mean `/{shorten(path)}`?")
    if before := seen.get(path):
        message = f"the `mount-path` of {noun}, `{shorten(path)}`, is taken by the volume on line {before.line}"
        findings.error("bad-volume", message, location, "mount one of them elsewhere")
    seen[path] = location


def check_target(findings: Findings, body: Table) -> None:
    """A deployment that does not exist yet is made only where its target is known."""
    if body.get("defaults") is None:
        message = f"deployment `{shorten(str(body.get('name')))}` has no `defaults` with a `target`"
        hint = "add `defaults: {target: NAME}` with the name of a cluster"
        findings.warn("no-deployment-target", message, findings.sheet.value(body, "name"), hint)
