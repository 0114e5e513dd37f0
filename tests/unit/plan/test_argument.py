"""The arguments of a plan in the record."""

import json

from runner.digest import hash_bytes
from runner.job import InputFile
from runner.plan.argument import arguments_from_json, arguments_to_json
from runner.plan.model import Arguments, Given

FILE = InputFile("a/b.csv", hash_bytes(b"x"), 1, "datum://d", {"k": [1]})


def read_back(arguments: Arguments) -> Arguments:
    return arguments_from_json(json.loads(json.dumps(arguments_to_json(arguments))))


def test_all_arguments_are_read_back() -> None:
    arguments = Arguments(
        folder="/home/me",
        nodes={"a": Given({"lr": "0.1", "xs": ["1", "2"]}, {"data": ("x.csv", "s3://b/k")}, {"old": (FILE,)})},
        parameters={"seed": "7"},
        image="python:3.12",
        environment={"K": "V"},
        keep_going=True,
        granted=frozenset({"TOKEN"}),
        secret=frozenset({"KEY"}),
        taken={"b": "0190"},
    )
    assert read_back(arguments) == arguments


def test_arguments_without_anything_are_read_back() -> None:
    assert read_back(Arguments("/")) == Arguments("/")


def test_no_password_of_an_address_is_recorded() -> None:
    file = InputFile("x", hash_bytes(b"x"), 1, "https://me:word@host/x")
    given = Given(inputs={"data": ("https://me:word@host/x",)}, files={"old": (file,)})
    assert "word" not in json.dumps(arguments_to_json(Arguments("/", nodes={"a": given})))
