"""Deployment nodes: what would be deployed is gathered and gets its ids. Nothing serves it."""

import uuid
from collections.abc import Mapping

from runner.digest import Digest, hash_json
from runner.engine.callback import Deployed
from runner.job import InputFile
from runner.plan.bind import Left, gather
from runner.plan.document import RunContext
from runner.plan.model import PlannedNode
from runner.store.record import Gathered, OutputFile

_NAMESPACE = uuid.UUID("6c1f5d0e-94b7-5c7a-8f0a-3d1b7e2a4c55")
"""The RFC 9562 name space of deployments and their versions; an arbitrary constant that must never change."""


def deploy(node: PlannedNode, upstream: Mapping[str, Left], context: RunContext) -> Deployed:
    """What a deployment node leaves. A deployment has the same id in all runs of its project, a version is of one run.

    Raises MlrunError (code INPUT) for a file that is not to be had.
    """
    found = gather(node, upstream)
    service = node.service
    name = service.deployment if service else node.name
    deployment = uuid.uuid5(_NAMESPACE, hash_json([context.project_id, name]))
    version = uuid.uuid5(_NAMESPACE, hash_json([context.run_id, node.name]))
    gathered = Gathered(
        deployment=name,
        id=str(deployment),
        version_id=str(version),
        endpoints={one: {key: _output(file) for key, file in files.items()} for one, files in found.items()},
        aliases=service.aliases if service else (),
    )
    count = sum(map(len, found.values()))
    files = "1 file" if count == 1 else f"{count} files"
    endpoints = "1 endpoint" if len(found) == 1 else f"{len(found)} endpoints"
    ids = Left({"id": gathered.id, "version_id": gathered.version_id})
    return Deployed(gathered, ids, f"not deployed: {files} of {endpoints} gathered")


def _output(file: InputFile) -> OutputFile:
    return OutputFile(file.name, Digest(file.digest), file.size, dict(file.metadata))
