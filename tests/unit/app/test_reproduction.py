"""Verdicts on repetitions: of one execution, of a whole run, and why something differs."""

import pytest

from runner.app.reproduction import (
    Cause,
    Lack,
    Need,
    Repeated,
    Reproduction,
    Verdict,
    cannot_run,
    find_causes,
    judge,
    to_json,
    worst_verdict,
)
from runner.app.result import Kind, Part
from runner.comparison.finding import IDENTICAL, Finding, different, equal

OTHER = different("byte 1", "a", "b")


def part(name: str, finding: Finding, kind: Kind = Kind.FILE) -> Part:
    return Part(kind, name, finding)


def report(*verdicts: Verdict, signal: int | None = None) -> Reproduction:
    return Reproduction({}, 1e-6, tuple(Repeated(str(at), "s", one) for at, one in enumerate(verdicts)), signal)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((Verdict.IDENTICAL,), 0),
        ((Verdict.IDENTICAL, Verdict.EQUAL, Verdict.NEVER_RAN), 0),
        ((Verdict.EQUAL, Verdict.CANNOT_RUN), 51),
        ((Verdict.CANNOT_RUN, Verdict.DIFFERENT, Verdict.IDENTICAL), 50),
        ((Verdict.NEVER_RAN,), 51),
        ((), 51),
    ],
)
def test_the_exit_code_is_that_of_the_worst(verdicts: tuple[Verdict, ...], code: int) -> None:
    assert report(*verdicts).exit == code


def test_a_signal_is_the_exit_code_whatever_was_found() -> None:
    assert report(Verdict.DIFFERENT, signal=15).exit == 143


def test_a_difference_outweighs_what_could_not_run_and_both_all_else() -> None:
    assert worst_verdict([Verdict.CANNOT_RUN, Verdict.DIFFERENT]) is Verdict.DIFFERENT
    assert worst_verdict([Verdict.NEVER_RAN, Verdict.IDENTICAL]) is Verdict.IDENTICAL


def test_the_log_has_no_part_in_the_verdict() -> None:
    assert judge((part("a", IDENTICAL), part("stdout", OTHER, Kind.LOG))) is Verdict.IDENTICAL
    assert judge((part("a", equal(0.1)), part("", OTHER, Kind.END))) is Verdict.DIFFERENT


def test_what_differs_between_the_repetitions_comes_of_chance_and_all_else_of_a_change() -> None:
    parts = (part("a", OTHER), part("b", OTHER), part("c", equal(0.1)), part("stdout", OTHER, Kind.LOG))
    again = (part("a", OTHER), part("b", equal(0.0)), part("c", OTHER), part("stdout", OTHER, Kind.LOG))

    causes = find_causes(parts, again)

    assert causes == {
        (Kind.FILE, "a"): Cause.CHANCE,
        (Kind.FILE, "b"): Cause.CHANGE,
        (Kind.LOG, "stdout"): Cause.CHANCE,
    }
    node = Repeated("n", "s", Verdict.DIFFERENT, parts=parts, causes={key: causes[key] for key in causes})
    assert node.why == (Cause.CHANCE, Cause.CHANGE)
    only_log = Repeated("n", "s", Verdict.IDENTICAL, causes={(Kind.LOG, "stdout"): Cause.CHANCE})
    assert only_log.why == ()


def test_what_is_missing_adds_up_in_the_report() -> None:
    node = cannot_run(Repeated("n", "s", Verdict.NEVER_RAN, 7), Lack(Need.SECRET, "TOKEN", "no record has its value"))
    node = cannot_run(node, Lack(Need.INPUT, "a/b", "gone", None, "d" * 64, 5, "s3://x/b"))

    told = to_json(Reproduction({"run": "r"}, 0.5, (node,)))

    assert (told["verdict"], told["exit"], told["tolerance"]) == ("cannot-run", 51, 0.5)
    assert [lack["need"] for lack in told["nodes"][0]["missing"]] == ["secret", "input"]
    assert told["nodes"][0]["missing"][1]["origin"] == "s3://x/b"
