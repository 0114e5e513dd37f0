"""NumPy files: what counts as the same array, and which element first differs."""

import io
import struct
import zipfile
from collections.abc import Sequence
from contextlib import suppress

import pytest

from runner.comparison.array import compare_archives, compare_arrays
from runner.comparison.finding import Finding, Likeness
from runner.comparison.kind import Misnamed
from runner.comparison.tolerance import Tolerance

TOLERANCE = Tolerance(1e-6)


def npy(descr: str, shape: Sequence[int], data: bytes, *, fortran: bool = False, version: int = 1) -> bytes:
    header = repr({"descr": descr, "fortran_order": fortran, "shape": tuple(shape)}).encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def floats(*numbers: float, shape: Sequence[int] | None = None, fortran: bool = False) -> bytes:
    return npy(
        "<f8", (len(numbers),) if shape is None else shape, struct.pack(f"<{len(numbers)}d", *numbers), fortran=fortran
    )


def compare(before: bytes, after: bytes) -> Finding:
    return compare_arrays(io.BytesIO(before), io.BytesIO(after), TOLERANCE)


def place(found: Finding) -> tuple[str, str, str]:
    assert found.difference is not None
    return found.difference.where, found.difference.before, found.difference.after


def test_the_first_element_that_differs_is_told_by_its_index() -> None:
    assert place(compare(floats(1, 2, 3), floats(1, 2.5, 3.5))) == ("index [1]", "2.0", "2.5")
    square, changed = floats(1, 2, 3, 4, 5, 6, shape=(2, 3)), floats(1, 2, 3, 4, 5, 7, shape=(2, 3))
    assert place(compare(square, changed)) == ("index [1, 2]", "6.0", "7.0")
    columns, moved = (
        floats(*numbers, shape=(2, 3), fortran=True) for numbers in ((1, 2, 3, 4, 5, 6), (1, 2, 3, 0, 5, 6))
    )
    assert place(compare(columns, moved)) == ("index [1, 1]", "4.0", "0.0")
    assert place(compare(floats(1, shape=()), floats(2, shape=()))) == ("index []", "1.0", "2.0")


def test_a_difference_far_behind_is_found_at_its_index() -> None:
    numbers = [0.5] * 300_000
    changed = [*numbers]
    changed[299_998] = 1.5
    assert place(compare(floats(*numbers), floats(*changed))) == ("index [299998]", "0.5", "1.5")


def test_noise_within_the_tolerance_is_equal_and_its_greatest_is_told() -> None:
    found = compare(floats(1.0, 100.0, float("nan")), floats(1.0, 100.0 * (1 + 5e-7), float("nan")))
    assert found.likeness is Likeness.EQUAL
    assert found.deviation == pytest.approx(5e-7, rel=1e-6)


@pytest.mark.parametrize(
    ("descr", "form", "before", "after", "likeness"),
    [
        ("<f4", "<f", 1.0, 1.0 + 2**-23, Likeness.EQUAL),
        (">f8", ">d", 1.0, 1.0 + 1e-9, Likeness.EQUAL),
        ("<f2", "<e", 1.0, 1.0009765625, Likeness.DIFFERENT),
        ("<i8", "<q", 10**9, 10**9 + 1, Likeness.DIFFERENT),
        ("|u1", "<B", 1, 2, Likeness.DIFFERENT),
        ("|b1", "<?", True, False, Likeness.DIFFERENT),
        ("<M8[ns]", "<q", 1, 2, Likeness.DIFFERENT),
    ],
)
def test_only_floating_point_numbers_have_a_tolerance(
    descr: str, form: str, before: float, after: float, likeness: Likeness
) -> None:
    one, other = (npy(descr, (1,), struct.pack(form, number)) for number in (before, after))
    assert compare(one, other).likeness is likeness


def test_a_zero_below_and_above_are_equal() -> None:
    assert compare(floats(-0.0), floats(0.0)).likeness is Likeness.EQUAL
    assert place(compare(floats(float("nan")), floats(0.0))) == ("index [0]", "nan", "0.0")


def test_both_halves_of_complex_numbers_count() -> None:
    one, near, far = (npy("<c16", (1,), struct.pack("<2d", 1.0, part)) for part in (2.0, 2.0 + 1e-9, 2.5))
    assert compare(one, near).likeness is Likeness.EQUAL
    assert place(compare(one, far)) == ("index [0]", "(1+2j)", "(1+2.5j)")


def test_texts_are_shown_as_texts() -> None:
    one, other = (npy("<U2", (1,), text.encode("utf-32-le")) for text in ("ab", "ac"))
    assert place(compare(one, other)) == ("index [0]", "ab", "ac")
    one, other = (npy("|S2", (1,), text) for text in (b"a\0", b"b\0"))
    assert place(compare(one, other)) == ("index [0]", "a", "b")


def test_another_type_or_shape_is_another_array() -> None:
    assert place(compare(floats(1, 2), floats(1, 2, 3))) == ("shape", "(2,)", "(3,)")
    assert place(compare(floats(1), npy("<f4", (1,), b"\0" * 4))) == ("type of the elements", "<f8", "<f4")


def test_headers_of_later_versions_are_read() -> None:
    one = npy("<f8", (1,), struct.pack("<d", 1.0), version=2)
    assert compare(one, npy("<f8", (1,), struct.pack("<d", 1.0 + 1e-9), version=3)).likeness is Likeness.EQUAL


def test_an_empty_array_is_equal_to_itself() -> None:
    assert compare(floats(shape=(0, 3)), floats(shape=(0, 3))).likeness is Likeness.EQUAL


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY\x09\0",
        b"\x93NUMPY\1\0\xff\xff",
        npy("|O", (1,), b"pickle"),
        npy("<f8", (2,), b"\0" * 8),
        npy("<f8", (1,), b"\0" * 9),
        npy("<f8", (-1,), b""),
        npy("|S9999999", (1,), b""),
        b"\x93NUMPY\1\0\x0b\0__import__(",
        b"\x93NUMPY\1\0" + struct.pack("<H", 6000) + b"(" * 6000,
    ],
)
def test_what_is_no_plain_array_is_left_to_its_bytes(data: bytes) -> None:
    with pytest.raises(Misnamed):
        compare(data, data)


def archive(date: tuple[int, int, int, int, int, int] = (1980, 1, 1, 0, 0, 0), **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(f"{name}.npy", date), data)
    return buffer.getvalue()


def compare_zipped(before: bytes, after: bytes) -> Finding:
    return compare_archives(io.BytesIO(before), io.BytesIO(after), TOLERANCE)


def test_archives_are_compared_array_by_array() -> None:
    one = archive(a=floats(1, 2), b=floats(3))
    later = archive((2024, 5, 6, 7, 8, 10), b=floats(3), a=floats(1, 2 + 1e-9))
    assert compare_zipped(one, later).likeness is Likeness.EQUAL
    assert place(compare_zipped(one, archive(a=floats(1, 2), b=floats(4)))) == ("array `b`, index [0]", "3.0", "4.0")
    assert place(compare_zipped(one, archive(a=floats(1, 2))))[0] == "array `b`"
    assert place(compare_zipped(archive(a=b"x1"), archive(a=b"x2")))[0] == "array `a`, line 1, byte 1"


def test_what_is_no_archive_is_left_to_its_bytes() -> None:
    good = archive(a=floats(1, 2))
    for bad in (b"", b"PK\3\4", good[:-30]):
        with pytest.raises(Misnamed):
            compare_zipped(good, bad)


def test_an_archive_that_is_damaged_anywhere_is_left_to_its_bytes_or_still_understood() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as file:
            file.writestr(zipfile.ZipInfo("a.npy"), floats(*range(20)), method)
        good = buffer.getvalue()
        for at in range(len(good)):
            for flip in (0x01, 0x80, 0xFF):
                bad = good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]
                with suppress(Misnamed):
                    compare_zipped(good, bad)


def test_arrays_of_numpy_itself_are_understood() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")

    def saved(array: object) -> bytes:
        buffer = io.BytesIO()
        numpy.save(buffer, array)
        return buffer.getvalue()

    numbers = numpy.arange(24.0).reshape(2, 3, 4)
    changed = numbers.copy()
    changed[1, 2, 3] = 0
    assert place(compare(saved(numbers), saved(changed)))[0] == "index [1, 2, 3]"
    assert place(compare(saved(numbers.T), saved(changed.T)))[0] == "index [3, 2, 1]"
    assert compare(saved(numbers), saved(numbers + 1e-12)).likeness is Likeness.EQUAL
    with pytest.raises(Misnamed):
        compare(saved(numpy.array([{}], dtype=object)), saved(numpy.array([{}], dtype=object)))
