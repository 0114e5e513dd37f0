from hypothesis import given
from hypothesis import strategies as some

from runner.executors.frames import skip, split, take_whole
from runner.job import LogChunk


def frame(number, data):
    return bytes([number, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def joined(chunks):
    streams = {"stdout": b"", "stderr": b""}
    for chunk in chunks:
        streams[chunk.stream] += chunk.data
    return streams


@given(some.lists(some.tuples(some.sampled_from([1, 2]), some.binary(max_size=40))), some.integers(1, 13))
def test_the_streams_are_told_apart_however_the_bytes_arrive(pieces, size):
    wire = b"".join(frame(number, data) for number, data in pieces)
    arriving = [wire[start : start + size] for start in range(0, len(wire), size)]
    wanted = {
        name: b"".join(data for number, data in pieces if number == n) for name, n in (("stdout", 1), ("stderr", 2))
    }

    assert joined(split(arriving)) == wanted


def test_a_part_of_a_frame_is_passed_on_at_once():
    chunks = split(iter([frame(1, b"hello")[:10], b"llo"]))

    assert next(chunks) == LogChunk("stdout", b"he")


def test_a_frame_that_breaks_off_loses_nothing_that_came():
    assert joined(split([frame(2, b"whole"), frame(1, b"broken")[:11]])) == {"stdout": b"bro", "stderr": b"whole"}


@given(some.lists(some.tuples(some.sampled_from(["stdout", "stderr"]), some.binary(max_size=9))), some.integers(0, 30))
def test_what_was_seen_is_left_out_of_each_stream(pieces, seen):
    chunks = [LogChunk(stream, data) for stream, data in pieces]
    whole = joined(chunks)
    left = joined(skip(chunks, {"stdout": seen, "stderr": 0}))

    assert left == {"stdout": whole["stdout"][seen:], "stderr": whole["stderr"]}


@given(some.lists(some.tuples(some.sampled_from([1, 2]), some.binary(max_size=40))), some.integers(1, 13))
def test_whole_frames_are_taken_off_a_buffer_however_it_grows(pieces, size):
    wire = b"".join(frame(number, data) for number, data in pieces)
    buffer, taken = bytearray(), []
    for start in range(0, len(wire), size):
        buffer += wire[start : start + size]
        taken += take_whole(buffer)

    assert buffer == b""
    assert taken == [LogChunk("stdout" if number == 1 else "stderr", data) for number, data in pieces]
