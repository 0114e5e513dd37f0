import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors.image import PullMeter, pull_error, split_reference
from runner.job import PullProgress
from tests.patience import not_for_ever


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("python", "python", "latest"),
        ("python:3.12-slim", "python", "3.12-slim"),
        ("tensorflow/tensorflow:2.6.0-GPU", "tensorflow/tensorflow", "2.6.0-GPU"),
        ("localhost:5000/a/b__c/d-e.f:V1_2", "localhost:5000/a/b__c/d-e.f", "V1_2"),
        ("Registry.Example.COM/team/image", "Registry.Example.COM/team/image", "latest"),
        ("[::1]:5000/image", "[::1]:5000/image", "latest"),
        ("a@sha256:" + "0" * 64, "a", "sha256:" + "0" * 64),
        ("a:1@sha256:" + "0" * 64, "a", "sha256:" + "0" * 64),
        ("sha256:" + "0" * 64, "sha256", "0" * 64),
    ],
)
def test_the_name_of_an_image_is_split(image, repository, tag):
    assert split_reference(image) == (repository, tag)


@pytest.mark.parametrize(
    "image",
    [
        "", " ", "a b", "a\n", "--privileged", "-v=/:/h", "x;id", "$(id)", "Upper", "Upper/case", "a/", "/a", "a//b",
        "a:", "a:b:c", "a@b", "a@sha256:12", "a..b", "a___b", "_a", "a" * 256, "../a", "http://a/b", "a:" + "t" * 129,
        "é", "a/B", "a" * 5000,
    ],
)  # fmt: skip
def test_what_cannot_be_an_image_is_an_error_with_a_hint(image):
    with pytest.raises(MlrunError) as refusal:
        split_reference(image)

    assert refusal.value.code is ExitCode.IMAGE
    assert refusal.value.hint
    assert "\n" not in refusal.value.message


def test_capitals_are_named_as_the_cause():
    with pytest.raises(MlrunError) as refusal:
        split_reference("My/Image:1")

    assert "lower case" in refusal.value.hint


def test_a_hostile_name_takes_no_time():
    # Each takes well below a millisecond; a grammar that tries things over takes many seconds.
    with not_for_ever():
        for image in 100 * ("a-" * 500 + "!", "a." * 500 + "!", "a/" * 500 + "!", "A" * 1000 + "!"):
            with pytest.raises(MlrunError):
                split_reference(image)


@pytest.mark.parametrize(
    "words",
    [
        'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
        "Get https://x/v2/: net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        "dial tcp 127.0.0.1:1: connect: connection refused",
    ],
)
def test_a_registry_that_does_not_answer_is_told_from_one_that_refuses(words):
    silent = pull_error("a:1", words)
    refused = pull_error("a:1", "pull access denied for a, repository does not exist\nor may require 'docker login'")

    assert silent.message.startswith("image `a:1` is not on this machine and no registry answered")
    assert "no registry answered" not in refused.message
    assert "pull access denied" in refused.message
    assert "\n" not in refused.message
    assert "--executor sandbox" in silent.hint
    assert (silent.code, refused.code) == (ExitCode.IMAGE, ExitCode.IMAGE)


def test_the_progress_of_all_layers_is_added_up():
    meter = PullMeter()
    events = [
        {"status": "Pulling from library/python", "id": "3.12"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "b"},
        {"status": "Downloading", "progressDetail": {"current": 10, "total": 100}, "id": "a"},
        {"status": "Downloading", "progressDetail": {"current": 5, "total": 50}, "id": "b"},
        {"status": "Download complete", "progressDetail": {}, "id": "a"},
        {"status": "Extracting", "progressDetail": {"current": 1, "total": 100}, "id": "a"},
        {"status": "Pull complete", "progressDetail": {}, "id": "a"},
        {"status": "Status: Downloaded newer image for python:3.12"},
    ]
    progress = [meter.feed(event) for event in events]

    assert progress[0] is None
    assert progress[3] == PullProgress("0 of 2 layers", 10, 0)
    assert progress[4] == PullProgress("0 of 2 layers", 15, 150)
    assert progress[7] == PullProgress("1 of 2 layers", 105, 150)
    assert progress[8] is None


@pytest.mark.parametrize("event", [{}, {"id": 3}, {"id": "a", "status": None}, {"id": "a", "status": "Downloading"}])
def test_an_event_of_unknown_shape_does_no_harm(event):
    progress = PullMeter().feed(event)

    assert progress is None or progress.done == 0
