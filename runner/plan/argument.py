"""What a plan was compiled with, as JSON for the record, so that it can be compiled again. Pure.

No value of a secret is among it, only names; and addresses are without passwords, as everywhere in the record.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from runner.job import InputFile
from runner.plan.address import public
from runner.plan.model import Arguments, Given, Tuning


def arguments_to_json(arguments: Arguments) -> dict[str, Any]:
    """The arguments as JSON data."""
    return {
        "folder": arguments.folder,
        "nodes": {name: _given_to_json(given) for name, given in arguments.nodes.items()},
        "parameters": dict(arguments.parameters),
        "image": arguments.image,
        "environment": dict(arguments.environment),
        "keep_going": arguments.keep_going,
        "granted": sorted(arguments.granted),
        "secret": sorted(arguments.secret),
        "tuning": None if arguments.tuning is None else asdict(arguments.tuning),
        "taken": dict(arguments.taken),
    }


def arguments_from_json(data: Mapping[str, Any]) -> Arguments:
    """The arguments that a record has. Raises KeyError, TypeError or AttributeError for what are none."""
    return Arguments(
        folder=data["folder"],
        nodes={name: _given_from_json(given) for name, given in data["nodes"].items()},
        parameters=dict(data["parameters"]),
        image=data["image"],
        environment=dict(data["environment"]),
        keep_going=data["keep_going"],
        granted=frozenset(data["granted"]),
        secret=frozenset(data["secret"]),
        tuning=None if data.get("tuning") is None else Tuning(**data["tuning"]),
        taken=dict(data.get("taken", {})),
    )


def _given_to_json(given: Given) -> dict[str, Any]:
    return {
        "parameters": dict(given.parameters),
        "inputs": {name: list(map(public, uris)) for name, uris in given.inputs.items()},
        "files": {name: [_file_to_json(file) for file in files] for name, files in given.files.items()},
    }


def _file_to_json(file: InputFile) -> dict[str, Any]:
    return asdict(replace(file, origin=public(file.origin)))


def _given_from_json(data: Mapping[str, Any]) -> Given:
    return Given(
        parameters=dict(data["parameters"]),
        inputs={name: tuple(uris) for name, uris in data["inputs"].items()},
        files={name: tuple(InputFile(**file) for file in files) for name, files in data["files"].items()},
    )
