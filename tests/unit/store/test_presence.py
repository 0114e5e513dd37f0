"""Which objects have a file: the same answer however it is found out."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.digest import Digest
from runner.store import presence
from runner.store.presence import without_file

DIGESTS = [Digest(f"{folder:02x}{number:062x}") for folder in (0, 255) for number in range(6)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(there=st.sets(st.sampled_from(DIGESTS)), wanted=st.sets(st.sampled_from(DIGESTS)))
@pytest.mark.parametrize("worth", [0, 1 << 40], ids=["asked one by one", "listed"])
def test_what_is_listed_and_what_is_asked_for_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth: int, there: set[Digest], wanted: set[Digest]
) -> None:
    for digest in DIGESTS:
        path = tmp_path / digest[:2] / digest
        path.parent.mkdir(exist_ok=True)
        path.touch() if digest in there else path.unlink(missing_ok=True)
    monkeypatch.setattr(presence, "_WORTH", worth)
    assert without_file(str(tmp_path), wanted) == wanted - there


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert without_file(str(tmp_path), DIGESTS) == set(DIGESTS)
