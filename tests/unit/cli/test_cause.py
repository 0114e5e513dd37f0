"""How the causes for which something runs are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from runner.cli.cause import summary, tell
from runner.digest import Digest
from runner.job import Allowance, InputFile, Job, JobInput, Network, Script
from runner.reuse.decide import (
    Cause,
    CodeDiffers,
    FactsDiffer,
    NamesDiffer,
    NothingEarlier,
    OutputsGone,
    TooOld,
    Unreusable,
)
from runner.reuse.fact import Difference, Fact, Kind, Made, compare, facts
from runner.store.tree import EXECUTABLE, FILE, LINK, TreeEntry

JOB = Job(
    id="",
    step="train",
    image="python:3.12",
    script=Script(("python train.py --C=0.5",)),
    snapshot="0" * 64,
    parameters={"C": 0.5, "name": "a b"},
    inputs=(JobInput("data", (InputFile("a.csv", "1" * 64, 3, "a.csv"), InputFile("b.csv", "2" * 64, 3, "b.csv"))),),
    environment={"MODE": "fast"},
    secrets=("TOKEN",),
)
MADE = Made(JOB, "sha256:" + "a" * 64, "docker", Digest("3" * 64))


@dataclass(frozen=True)
class Seen:
    """Evidence that is written down."""

    files: Mapping[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    kinds: Mapping[str, tuple[TreeEntry | None, TreeEntry | None]] = field(default_factory=dict)
    was: Mapping[str, object] = field(default_factory=dict)
    now: Mapping[str, object] = field(default_factory=dict)

    def entries(self, path: str) -> tuple[TreeEntry | None, TreeEntry | None]:
        return self.kinds[path]

    def texts(self, path: str) -> tuple[bytes | None, bytes | None]:
        return self.files[path]


def sentences(*causes: Cause, seen: Seen | None = None) -> list[str]:
    return [one.sentence for one in tell(causes, seen)]


def differing(**changes: object) -> FactsDiffer:
    return FactsDiffer(compare(facts(MADE), facts(replace(MADE, job=replace(JOB, **changes)))))  # type: ignore[arg-type]


def files(*pairs: tuple[str, str]) -> tuple[JobInput, ...]:
    return (JobInput("data", tuple(InputFile(name, digit * 64, 3, name) for name, digit in pairs)),)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": {"C": 0.7, "name": "a b"}}, "parameter C: 0.5 → 0.7"),
        ({"parameters": {"C": 0.5}}, "parameter name: a b → not set"),
        ({"parameters": {"C": 0.5, "name": ""}}, "parameter name: a b → empty"),
        ({"parameters": {"name": "a b", "C": 0.5}}, "order of parameters: C, name → name, C"),
        ({"environment": {"MODE": "slow"}}, "variable MODE: fast → slow"),
        ({"environment": {}}, "variable MODE: fast → not set"),
        ({"secrets": ()}, "secret TOKEN is gone"),
        ({"secrets": ("KEY", "TOKEN")}, "secret KEY is new"),
        ({"network": Network.NONE}, "network: default → none"),
        ({"allowance": Allowance(cpus=2)}, "cpus: not set → 2"),
        ({"allowance": Allowance(devices={"nvidia.com/gpu": 1})}, "device nvidia.com/gpu: not set → 1"),
        ({"stop_condition": "loss < 1"}, "stop-condition: not set → loss < 1"),
        ({"script": Script(JOB.script.items, stop_at_failure=False)}, "command: --keep-going is new"),
        ({"inputs": files(("a.csv", "9"), ("b.csv", "2"))}, "input data: file a.csv changed"),
        ({"inputs": files(("a.csv", "1"))}, "input data: file b.csv gone"),
        ({"inputs": files(("b.csv", "2"), ("a.csv", "1"))}, "input data: its files come in another order"),
        (
            {"inputs": files(*((f"{name}.csv", "1") for name in "abcdef"))},
            "input data: files c.csv, d.csv, e.csv and 1 more new; file b.csv changed",
        ),
    ],
)
def test_a_fact_that_differs_is_told_in_one_line(changes: dict[str, object], said: str) -> None:
    assert sentences(differing(**changes)) == [said]


def test_properties_of_a_file_are_told_apart_from_its_content() -> None:
    one, other = JOB.inputs[0].files
    changed = JobInput("data", (replace(one, metadata={"species": "setosa"}), other))
    assert sentences(differing(inputs=(changed,))) == ["input data: file a.csv has other properties"]


def test_a_changed_file_tells_its_lines_and_how_many_are_others() -> None:
    seen = Seen({"train.py": (b"a = 1\nb = 2\nc = 3\n", b"a = 1\nb = 20\nc = 30\n")})
    (told,) = tell([CodeDiffers(("train.py",), None)], seen)
    assert told.sentence == "train.py changed (2 lines)"
    assert told.diff == (
        "--- a/train.py",
        "+++ b/train.py",
        "@@ -1,3 +1,3 @@",
        " a = 1",
        "-b = 2",
        "-c = 3",
        "+b = 20",
        "+c = 30",
    )


@pytest.mark.parametrize("content", [b"\0binary", None])
def test_what_is_no_text_has_no_lines(content: bytes | None) -> None:
    (told,) = tell([CodeDiffers(("data.bin",), None)], Seen({"data.bin": (b"", content)}))
    assert (told.sentence, told.diff) == ("data.bin changed", ())


def test_lines_of_a_repository_move_no_cursor() -> None:
    seen = Seen({"x\x1b[2J.py": (b"a\n", b"\x1b]0;title\x07\n")})
    (told,) = tell([CodeDiffers(("x\x1b[2J.py",), None)], seen)
    assert "\x1b" not in told.sentence + "".join(told.diff)


def test_that_nobody_knows_what_was_read_is_said_once_and_is_no_cause_of_its_own() -> None:
    cause = CodeDiffers(("README.md", "a.py"), "it ran without isolation")
    seen = Seen({"README.md": (b"a", b"b"), "a.py": (b"a", b"b")})
    assert sentences(cause, seen=seen)[-1] == (
        "every file counts, because nobody knows which were read: it ran without isolation"
    )
    assert summary([cause], seen) == "README.md changed (1 line), a.py changed (1 line)"


def test_names_that_came_and_went_and_other_kinds_are_told() -> None:
    plain, program = TreeEntry("run.sh", FILE, "0" * 64, 1), TreeEntry("run.sh", EXECUTABLE, "0" * 64, 1)
    link = TreeEntry("link", LINK, "a", 1), TreeEntry("link", LINK, "b", 1)
    cause = NamesDiffer(("new.py",), ("old.py",), ("run.sh", "link"))
    assert sentences(cause, seen=Seen(kinds={"run.sh": (plain, program), "link": link})) == [
        "new file new.py",
        "file old.py is gone",
        "run.sh: not executable → executable",
        "link: a link to a → a link to b",
    ]


def test_an_image_an_executor_and_packages_are_told_apart() -> None:
    def made(executor: str, identity: str) -> FactsDiffer:
        return FactsDiffer(compare(facts(MADE), facts(Made(JOB, identity, executor, MADE.names))))

    assert sentences(made("sandbox", "host:1")) == ["executor docker → sandbox"]
    assert sentences(made("docker", "sha256:" + "b" * 64)) == [f"image sha256:{'a' * 12} → sha256:{'b' * 12}"]
    host = replace(MADE, executor="sandbox", identity="host:1")
    other = FactsDiffer(compare(facts(host), facts(replace(host, identity="host:2"))))
    was = {"version": "3.12.1", "distributions": ["numpy==1.26.4", "six==1.16"]}
    now = {"version": "3.12.1", "distributions": ["numpy==2.0.1", "rich==14.0", "six==1.16"]}
    told = sentences(other, seen=Seen(was=was, now=now))
    assert told == ["packages: numpy 1.26.4 → 2.0.1, rich not installed → 14.0"]
    assert sentences(other, seen=Seen(was=was, now=was)) == ["packages: files of one changed, its version did not"]
    editable = {**was, "editable": ["/home/me/lib"]}
    assert sentences(other, seen=Seen(was=was, now=editable)) == [
        "packages: files of an editable install changed: /home/me/lib"
    ]


def test_a_command_that_differs_by_a_parameter_only_is_not_named_beside_it() -> None:
    parameters = {"C": 0.7, "name": "a b"}
    follows = differing(parameters=parameters, script=Script(("python train.py --C=0.7",)))
    assert summary([follows], None) == "parameter C: 0.5 → 0.7"
    assert "command changed (1 line)" in sentences(follows)
    own = differing(parameters=parameters, script=Script(("python -O train.py --C=0.7",)))
    assert summary([own], None) == "command changed (1 line), parameter C: 0.5 → 0.7"


@pytest.mark.parametrize(
    ("before", "after", "was", "now", "is_told"),
    [
        ("svm", "s v m", "train --model=svm", "train '--model=s v m'", False),
        ([1, 2, 3], [4, 5], "train --n=1 --n=2 --n=3", "train --n=4 --n=5", False),
        (True, False, "train --p", "train", False),
        ("", "x", "train", "train x", False),
        ("it's", "x", 'train "it\'s"', "train x", False),
        (1, 2, "train1 1", "train2 2", True),
        (1, 2, "train 1", "train 1 --fast", True),
        (1, 2, "train 1", "fit 2", True),
    ],
)
def test_words_of_a_command_that_tell_a_parameter_are_no_cause_of_their_own(
    before: object, after: object, was: str, now: str, is_told: bool
) -> None:
    facts = (
        Difference(Fact(Kind.COMMAND, "", [[was], True]), Fact(Kind.COMMAND, "", [[now], True])),
        Difference(Fact(Kind.PARAMETER, "p", before), Fact(Kind.PARAMETER, "p", after)),
    )
    assert ("command changed" in summary([FactsDiffer(facts)], None)) == is_told


def test_several_causes_are_summed_up() -> None:
    many = NamesDiffer(("a.py", "b.py", "c.py", "d.py"), (), ())
    assert summary([many], None) == "new file a.py, new file b.py, and 2 more causes"
    assert summary([], None) == ""


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (Unreusable("reuse is off"), "reuse is off"),
        (NothingEarlier(), "no earlier execution of the step that succeeded is recorded"),
        (OutputsGone("model.pkl"), "its output model.pkl is gone or damaged"),
        (TooOld(3 * 86400, 86400), "policy: it is 3 days old, older than 1 day"),
    ],
)
def test_what_is_in_the_way_besides_differences_is_told(cause: Cause, said: str) -> None:
    assert sentences(cause) == [said]
