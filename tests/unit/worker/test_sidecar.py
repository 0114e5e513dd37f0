"""What a step says about its outputs: understood, or told and left out."""

import json
from typing import Any

import pytest

from runner.worker.sidecar import (
    SIDECAR_BYTES,
    BadProperties,
    VersionRequest,
    Wishes,
    described_name,
    is_description,
    merged,
    read_lines,
    read_sidecar,
    wishes,
)


def understood(properties: dict[str, Any]) -> tuple[Wishes, list[str]]:
    warnings: list[str] = []
    return wishes(properties, warnings.append), warnings


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("model.pkl.metadata.json", "model.pkl"),
        ("a/b.metadata.json", "a/b"),
        (".metadata.json", None),
        ("a/.metadata.json", None),
        ("metadata.json", None),
        ("a.metadata.json.txt", None),
        ("a.metadata.json.metadata.json", "a.metadata.json"),
    ],
)
def test_a_sidecar_is_known_by_its_name(name: str, described: str | None) -> None:
    assert described_name(name) == described
    assert is_description(name) == (described is not None)


def test_the_file_of_lines_counts_at_the_top_only() -> None:
    assert is_description("valohai.metadata.jsonl")
    assert not is_description("a/valohai.metadata.jsonl")


def test_properties_become_strict_json() -> None:
    data = b'\xef\xbb\xbf{"a": [NaN, -Infinity, 1e999, 1], "b\\ud800": "\\udcff", "c": null}'
    found = read_sidecar(data)
    assert found == {"a": ["NaN", "-Infinity", "Infinity", 1], "b\ufffd": "\ufffd", "c": None}
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no JSON"),
        (b'{"a": 1', "is no JSON: Expecting ',' delimiter at line 1"),
        (b"[1]", "is no JSON object"),
        (b"null", "is no JSON object"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}", "is nested more than 32 deep"),
        (b'{"a": ' + b"[" * 100_000, "is nested more than 32 deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "holds a number that is too long"),
        (b" " * (SIDECAR_BYTES + 1), "is larger than 1,048,576 bytes"),
    ],
    ids=str,
)
def test_what_is_no_object_of_properties_is_told_in_a_sentence(data: bytes, why: str) -> None:
    with pytest.raises(BadProperties) as caught:
        read_sidecar(data)
    assert str(caught.value).startswith(why)


def test_a_bad_line_leaves_the_others_be() -> None:
    lines = [
        b'{"file": "a", "metadata": {"k": 1}}',
        b"",
        b"no json",
        b'{"file": 3, "metadata": {}}',
        b'{"file": "b"}',
        b'{"file": "b", "metadata": []}',
        b'{"file": "./sub//\\udcff", "metadata": {"k": 2}}',
    ]
    warnings: list[str] = []
    assert list(read_lines(b"\r\n".join(lines), warnings.append)) == [("a", {"k": 1}), ("sub/\udcff", {"k": 2})]
    assert [text[:6] for text in warnings] == ["line 3", "line 4", "line 5", "line 6"]


def test_of_two_places_the_later_wins_but_tags_and_versions_add_up() -> None:
    first = {"valohai.tags": ["a", "b"], "valohai.alias": "x", "k": [1], "valohai.dataset-versions": "dataset://d/1"}
    then = {"valohai.tags": "b", "valohai.alias": "y", "k": [2], "valohai.dataset-versions": ["dataset://d/2"]}
    assert merged(first, then) == {
        "valohai.tags": ["a", "b"],
        "valohai.alias": "y",
        "k": [2],
        "valohai.dataset-versions": ["dataset://d/1", "dataset://d/2"],
    }


def test_the_tags_of_many_places_add_up_in_one_go() -> None:
    tags = [f"tag {number}" for number in range(100_000)]
    layers = [{"valohai.tags": tag} for tag in tags]
    assert merged({"valohai.tags": tags}, *layers) == {"valohai.tags": tags}


def test_free_properties_ask_for_nothing() -> None:
    assert understood({"alias": "x", "dataset-versions": ["dataset://a/b"], "k": {}}) == (Wishes(), [])


def test_all_forms_of_versions_are_understood() -> None:
    entry = {
        "uri": "dataset://my data/v 2",
        "from": "dataset://my data/v1",
        "start_fresh": True,
        "exclude": ["old.csv"],
        "targeting_aliases": ["dev", "latest"],
        "packaging": True,
        "valohai.tags": ["t"],
    }
    models = [
        "model://churn/",
        "model://churn",
        {"model_uri": "model://churn/v7", "model_version_tags": ["x"], "model_release_note": "note"},
    ]
    found, warnings = understood(
        {
            "valohai.alias": "prod",
            "valohai.tags": "one",
            "valohai.dataset-versions": ["dataset://iris/v1", entry],
            "valohai.model-versions": models,
        }
    )
    assert warnings == []
    assert found == Wishes(
        "prod",
        ("one",),
        (
            VersionRequest("dataset", "iris", "v1"),
            VersionRequest(
                "dataset",
                "my data",
                "v 2",
                base=("my data", "v1"),
                fresh=True,
                exclude=("old.csv",),
                aliases=("dev", "latest"),
                notes={"packaging": True, "tags": ["t"]},
            ),
            VersionRequest("model", "churn", ""),
            VersionRequest("model", "churn", ""),
            VersionRequest("model", "churn", "v7", notes={"model_version_tags": ["x"], "model_release_note": "note"}),
        ),
    )


@pytest.mark.parametrize(
    "properties",
    [
        {"valohai.alias": 3},
        {"valohai.alias": ""},
        {"valohai.alias": "a/b"},
        {"valohai.alias": ["a"]},
        {"valohai.tags": [1]},
        {"valohai.tags": None},
        {"valohai.dataset-versions": None},
        {"valohai.dataset-versions": ["iris/v1"]},
        {"valohai.dataset-versions": ["dataset://iris"]},
        {"valohai.dataset-versions": ["dataset://iris/"]},
        {"valohai.dataset-versions": ["dataset:///v1"]},
        {"valohai.dataset-versions": ["dataset://a/b/c"]},
        {"valohai.dataset-versions": ["model://a/b"]},
        {"valohai.dataset-versions": [{"from": "dataset://a/b"}]},
        {"valohai.dataset-versions": [{"uri": "dataset://a/b", "from": 3}]},
        {"valohai.dataset-versions": [{"uri": "dataset://a/b", "exclude": [3]}]},
        {"valohai.dataset-versions": [{"uri": "dataset://a/b", "targeting_aliases": ["x/y"]}]},
        {"valohai.dataset-versions": [["dataset://a/b"]]},
        {"valohai.model-versions": ["model:///"]},
        {"valohai.model-versions": ["\x1b[2J" * 100]},
    ],
    ids=str,
)
def test_a_reserved_property_of_the_wrong_shape_is_told_and_does_nothing(properties: dict[str, Any]) -> None:
    found, warnings = understood(properties)
    assert (found.alias, found.tags, found.versions) == (None, (), ())
    (warning,) = warnings
    assert warning.isprintable()
    assert len(warning) < 250
