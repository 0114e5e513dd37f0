"""The user's own store of secrets, and files of variables."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from runner.app.place import Place, locate
from runner.app.secret import EVERYWHERE, MAX_BYTES, SecretFile, load_secrets, read_variables
from runner.errors import ExitCode, MlrunError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A project in git, and a folder for settings of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / "valohai.yaml").write_text("- step: {name: train, image: busybox, command: 'true'}\n")
    return locate(folder)


def written(place: Place, text: str, name: str = "../variables") -> str:
    path = place.root / name
    path.write_text(text)
    return str(path)


def test_a_secret_is_kept_for_its_project_alone(place: Place) -> None:
    mine = SecretFile.of(place.ref.id)
    assert mine.set("TOKEN", "one\ntwo é") is False
    assert mine.set("TOKEN", "other") is True
    SecretFile.of("another-project").set("OTHER", "x")
    SecretFile.of(EVERYWHERE).set("TOKEN", "for all")
    SecretFile.of(EVERYWHERE).set("ALL", "for all")

    assert load_secrets(place).values == {"TOKEN": "other", "ALL": "for all"}
    assert mine.remove("TOKEN") is True
    assert mine.remove("TOKEN") is False
    assert load_secrets(place).values == {"TOKEN": "for all", "ALL": "for all"}


def test_nobody_else_can_read_it(place: Place) -> None:
    before = os.umask(0)
    try:
        mine = SecretFile.of(place.ref.id)
        mine.set("TOKEN", "x")
    finally:
        os.umask(before)

    assert stat.S_IMODE(mine.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(mine.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in mine.path.parent.iterdir()] == [mine.path.name]
    assert not mine.path.is_relative_to(place.root)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_can_read_is_refused_with_what_to_do(place: Place, mode: int) -> None:
    mine = SecretFile.of(place.ref.id)
    mine.set("TOKEN", "s3cret")
    mine.path.chmod(mode)

    with pytest.raises(MlrunError) as refusal:
        load_secrets(place)
    assert refusal.value.code is ExitCode.POLICY
    assert "chmod 600" in (refusal.value.hint or "")
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '"s3cret', '{"A": "s3cret"', "\x00", '{"a b": "s3cret"}', '{"A": ""}']
)
def test_a_damaged_file_is_told_without_its_content(place: Place, content: str) -> None:
    mine = SecretFile.of(place.ref.id)
    mine.path.parent.mkdir(parents=True)
    mine.path.touch(0o600)
    mine.path.write_text(content)

    with pytest.raises(MlrunError) as refusal:
        load_secrets(place)
    assert refusal.value.code is ExitCode.USAGE
    assert "s3cret" not in f"{refusal.value} {refusal.value.hint}"


def test_a_link_is_not_followed(place: Place, tmp_path: Path) -> None:
    mine = SecretFile.of(place.ref.id)
    mine.path.parent.mkdir(parents=True)
    mine.path.symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(MlrunError, match="cannot read"):
        load_secrets(place)


@pytest.mark.parametrize("name", ["", "a b", "A=x", "1A", "A-B", "é", "VH_JOB_ID", "A\n"])
def test_a_name_that_no_variable_has_is_refused(place: Place, name: str) -> None:
    with pytest.raises(MlrunError):
        SecretFile.of(place.ref.id).set(name, "value")


@pytest.mark.parametrize("value", ["", "a\0b", "x" * (MAX_BYTES + 1)])
def test_a_value_that_no_variable_can_have_is_refused(place: Place, value: str) -> None:
    with pytest.raises(MlrunError) as refusal:
        SecretFile.of(place.ref.id).set("TOKEN", value)
    assert "xx" not in str(refusal.value)


def test_a_file_of_variables_is_read_as_others_read_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "mine")
    text = (
        "\ufeff# comment\n\nPLAIN=a b # c\nexport EXPORTED=x=y\n SPACED = z \r\n"
        'SINGLE=\'it\\n "q"\'\nDOUBLE="one\\ntwo \\"q\\" \\\\ \\$x"\nEMPTY=\nFROM_HERE\n'
    )

    assert read_variables(written(place, text), place) == {
        "PLAIN": "a b # c",
        "EXPORTED": "x=y",
        "SPACED": "z",
        "SINGLE": 'it\\n "q"',
        "DOUBLE": 'one\ntwo "q" \\ $x',
        "FROM_HERE": "mine",
    }


@pytest.mark.parametrize(
    "line", ["s3cret", "a b=s3cret", "A='s3cret", 'A="s3cret', "VH_JOB_ID=s3cret", "=s3cret", "A=s3cret\0", "hf_s3cret"]
)
def test_a_line_that_is_no_variable_is_refused_by_its_number_without_its_value(place: Place, line: str) -> None:
    with pytest.raises(MlrunError) as refusal:
        read_variables(written(place, f"OK=1\n{line}\n"), place)
    assert refusal.value.code is ExitCode.USAGE
    assert "variables:2: " in refusal.value.message
    assert "s3cret" not in f"{refusal.value} {refusal.value.hint}"


def test_only_line_ends_end_a_line(place: Place) -> None:
    text = "A=one\u2028two\x0bthree\u00a0\rB=\x1cx\nexport\tC=1\r\n"
    assert read_variables(written(place, text), place) == {"A": "one\u2028two\x0bthree\u00a0", "B": "\x1cx", "C": "1"}


def test_a_missing_file_is_named(place: Place) -> None:
    with pytest.raises(MlrunError, match="cannot read `--env-file"):
        read_variables(str(place.root / "missing"), place)


def test_a_file_that_would_be_recorded_with_the_code_is_refused(place: Place) -> None:
    file = written(place, "TOKEN=s3cret\n", ".env")
    with pytest.raises(MlrunError) as refusal:
        load_secrets(place, [file])
    assert refusal.value.code is ExitCode.POLICY
    assert ".gitignore" in (refusal.value.hint or "")


@pytest.mark.parametrize("ignore", [".gitignore", ".vhignore"])
def test_a_file_that_is_ignored_may_lie_in_the_project(place: Place, ignore: str) -> None:
    file = written(place, "TOKEN=s3cret\n", ".env")
    (place.root / ignore).write_text(".env\n")

    assert load_secrets(place, [file]).given == {"TOKEN": "s3cret"}


def test_what_is_given_for_a_run_wins_over_what_is_stored(place: Place) -> None:
    SecretFile.of(place.ref.id).set("TOKEN", "stored")
    first, second = written(place, "TOKEN=a\nA=1\n", "../one"), written(place, "TOKEN=b\n", "../two")
    secrets = load_secrets(place, [first, second])

    assert secrets.values == {"TOKEN": "b", "A": "1"}
    assert "stored" not in repr(secrets)
