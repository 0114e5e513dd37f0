"""What all formats take from a record."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import hash_bytes
from runner.export.telling import clean, clean_value, code_uri, file_name, file_path, portable, repository, variables
from runner.job import Allowance
from runner.plan.fixed import fixed_variables
from runner.state import State
from runner.store.record import Code, Execution

HERE = hash_bytes(b"")
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1)


@pytest.mark.parametrize("name", ["model.pkl", "a/b c/größe (1).txt", ".hidden", "a+b=c@d.tar.gz", "100%"])
def test_usual_names_stay(name: str) -> None:
    assert portable(name) == name


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\udcff", "a:b", "a\\b", "\u202etxt.exe", " lead", "x" * 300, "a*", "\x7f", "a\u2028", "nul", "COM1.tar"],
)
def test_odd_names_become_names_that_every_file_system_has(name: str) -> None:
    safe = portable(f"deep/{name}.txt")
    assert safe.startswith("deep/") and safe.endswith(".txt")
    assert safe.isprintable() and not set(safe) & set('\\<>:"|?*') and len(safe) < 220
    safe.encode()


@pytest.mark.parametrize("name", ["con", "Aux", "lpt9.a.b", "tail ", "dot.", "..."])
def test_names_that_windows_cuts_or_keeps_for_itself_become_others(name: str) -> None:
    safe = portable(name)
    assert safe != name and safe.rstrip(" .") == safe and portable(safe) != safe


@given(NAMES)
def test_nobody_can_name_a_file_as_another_one_is_called(name: str) -> None:
    safe = portable(name)
    assert safe == name or portable(safe) != safe


@given(NAMES)
def test_the_text_of_a_path_leads_back_to_it_alone(name: str) -> None:
    path = os.fsdecode(name.encode("utf-8", "replace") + b"\\xff\xff\\")
    assert file_path(file_name(path)) == path
    file_name(path).encode()


@given(NAMES, NAMES)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (portable(one) == portable(other)) == (one == other)


def test_bytes_that_are_no_text_are_shown_and_all_else_stays() -> None:
    assert clean("a\udcff\nb\u202e") == "a\\xff\nb\u202e"
    assert clean_value({"k\udcfe": ["\udcff", 1, None, {"a": True}]}) == {"k\\xfe": ["\\xff", 1, None, {"a": True}]}


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://me:secret@example.com/a b.git", "https://example.com/a%20b.git"),
        ("git@example.com:me/iris.git", "ssh://git@example.com/me/iris.git"),
        ("example.com:/srv/iris.git", "ssh://example.com/srv/iris.git"),
        ("ssh://git@example.com/iris", "ssh://example.com/iris"),
        ("/home/me/iris", None),
        ("../iris", None),
        (None, None),
    ],
)
def test_a_repository_has_an_address_without_logins(remote: str | None, address: str | None) -> None:
    assert repository(Code(HERE, remote=remote)) == address


def test_only_code_without_changes_is_named_by_its_commit() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert code_uri(Code(HERE, commit=commit)) == f"swh:1:rev:{commit}"
    assert code_uri(Code(HERE, commit=commit, dirty=True)) == code_uri(Code(HERE)) == f"urn:mlrun-yaml:snapshot:{HERE}"


def test_the_variables_that_hold_results_still_are_told_and_of_others_nothing() -> None:
    fixed = fixed_variables((), Allowance(), 8)
    job = {"defaults": fixed, "environment": {"TOKEN": "s3cret", "VH_JOB_ID": "exec-1", "MLRUN_SEED": "2"}}
    execution = Execution("id", 1, "train", "train", job, State.RUNNING, "2026-01-01T00:00:00Z")
    assert variables(execution) == {**fixed, "MLRUN_SEED": "2"}
