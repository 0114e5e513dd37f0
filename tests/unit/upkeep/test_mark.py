"""Many digests in little memory."""

from hypothesis import given
from hypothesis import strategies as st

from runner.digest import canonical_json, hash_bytes
from runner.upkeep.mark import BINS, Marks, Mentions, mentioned, raw, spelled, split

# Few first bytes, so that shards grow; few digests, so that they come again.
DIGESTS = st.integers(0, 30).map(lambda number: bytes([number % 3]) + number.to_bytes(31))
ADDED = st.lists(st.tuples(st.lists(DIGESTS, max_size=5), st.integers(0, 3)))


@given(ADDED)
def test_mentions_give_back_what_was_put_in(added: list[tuple[list[bytes], int]]) -> None:
    mentions = Mentions()
    for digests, number in added:
        mentions.add(b"".join(digests), number)
    expected = sorted((digest, number) for digests, number in added for digest in digests)
    assert sorted(one for index in range(BINS) for one in mentions.shard(index)) == expected


@given(ADDED)
def test_marks_know_one_number_for_each_or_that_there_are_several(added: list[tuple[list[bytes], int]]) -> None:
    marks, expected = Marks(), dict[bytes, set[int]]()
    for digests, number in added:
        marks.add(b"".join(digests), number)
        for digest in digests:
            expected.setdefault(digest, set()).add(number)
    found = {digest: number for index in range(BINS) for digest, number in marks.by_digest(index).items()}
    assert found == {digest: min(all) if len(all) == 1 else Marks.SHARED for digest, all in expected.items()}


def test_what_comes_again_takes_no_room() -> None:
    marks, digest = Marks(), raw([hash_bytes(b"x")])
    for _ in range(5000):
        marks.add(digest, 1)
    (index,) = (index for index in range(BINS) if any(marks.shard(index)))
    assert len(list(marks.shard(index))) < 1000 and marks.by_digest(index) == {digest: 1}


def test_everything_that_looks_like_a_digest_in_a_manifest_is_found() -> None:
    digests = [hash_bytes(bytes([number])) for number in range(3)]
    document = canonical_json({"data": [{"digest": digests[0], "id": digests[1]}], "name": f"not {digests[2]}"})
    assert [spelled(one) for one in split(mentioned(document))] == digests[:2]
