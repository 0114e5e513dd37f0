"""Which files of a snapshot count, and which have changed."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import hash_bytes
from runner.reuse.code import Code, changed, read_paths, renamed
from runner.reuse.content import CodeKey, Contents
from runner.store.record import Reading
from runner.store.tree import EXECUTABLE, FILE, LINK, TreeEntry

FILES: Mapping[str, tuple[str, str]] = {
    "README": (FILE, "hello"),
    "lib/a.py": (FILE, "a"),
    "run.sh": (EXECUTABLE, "run"),
    "link": (LINK, "lib/a.py"),
}


def code(files: Mapping[str, tuple[str, str]] = FILES, **changes: tuple[str, str] | None) -> Code:
    merged = {**files, **{name.replace("__", "/"): value for name, value in changes.items()}}
    return Code(
        TreeEntry(path, one[0], one[1] if one[0] == LINK else hash_bytes(one[1].encode()), len(one[1]))
        for path, one in merged.items()
        if one is not None
    )


def nothing_to_read(digest: str) -> bytes:
    raise AssertionError("its content is not needed")


CONTENTS = Contents(nothing_to_read, CodeKey.BYTES)


@pytest.mark.parametrize(
    "other",
    [
        code(new=(FILE, "")),
        code(README=None),
        code(README=(EXECUTABLE, "hello")),
        code(README=(LINK, "hello")),
        code(link=(LINK, "run.sh")),
        code(link=(FILE, "lib/a.py")),
    ],
    ids=[
        "one more",
        "one less",
        "rights",
        "a link instead of a file",
        "where a link leads",
        "a file instead of a link",
    ],
)
def test_names_kinds_rights_and_targets_of_links_count_for_everybody(other: Code) -> None:
    assert code().names() != other.names()
    assert any(renamed(code(), other))


def test_the_content_of_a_file_is_not_its_name() -> None:
    assert code().names() == code(README=(FILE, "other")).names()
    assert renamed(code(), code(README=(FILE, "other"))) == ([], [], [])


def test_names_that_run_into_each_other_are_told_apart() -> None:
    one, other = (dict.fromkeys(names, (FILE, "")) for names in (("a", "bc"), ("ab", "c")))
    assert code(one).names() != code(other).names()


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from(list(FILES.values())), max_size=4), st.data())
def test_two_trees_have_one_key_of_names_exactly_if_nothing_was_renamed(
    files: dict[str, tuple[str, str]], data: st.DataObject
) -> None:
    others = data.draw(
        st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from(list(FILES.values())), max_size=4)
    )
    files, others = (dict(sorted(one.items())) for one in (files, others))
    assert (code(files).names() == code(others).names()) is not any(renamed(code(files), code(others)))


def test_only_what_was_read_counts() -> None:
    after = code(README=(FILE, "other"))
    assert changed(Reading(("lib/a.py",)), code(), after, CONTENTS) == ()
    assert changed(Reading(()), code(), after, CONTENTS) == ()
    assert changed(Reading(("README", "lib/a.py")), code(), after, CONTENTS) == ("README",)


def test_where_nobody_knows_what_was_read_everything_counts() -> None:
    after = code(README=(FILE, "other"))
    assert changed(Reading(None, "why"), code(), after, CONTENTS) == ("README",)
    assert changed(Reading(None, "why"), code(), code(), CONTENTS) == ()


def test_a_file_that_was_read_and_is_gone_or_was_never_there_has_changed() -> None:
    assert changed(Reading(("README",)), code(), code(README=None), CONTENTS) == ("README",)
    assert changed(Reading(("nowhere",)), code(), code(), CONTENTS) == ("nowhere",)


def test_a_policy_leaves_files_out_and_never_brings_any_in() -> None:
    def only_lib(path: str) -> bool:
        return path.startswith("lib/")

    after = code(README=(FILE, "other"), new=(FILE, ""), link=None)
    assert code().names(only_lib) == after.names(only_lib)
    assert renamed(code(), after, only_lib) == ([], [], [])
    assert changed(Reading(("README",)), code(), after, CONTENTS, only_lib) == ()
    assert read_paths(Reading(None, "why"), code(), only_lib) == ("lib/a.py",)
    assert read_paths(Reading(("README",)), code(), lambda path: True) == ("README",)
    assert code().names(only_lib) != code(lib__b=(FILE, "")).names(only_lib)
    assert code().names(only_lib) != code().names()
