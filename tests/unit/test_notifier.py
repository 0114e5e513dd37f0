"""The user's `notify`."""

import tomllib

import pytest

from runner.errors import MlrunError
from runner.notifier import Notifier, Occasion, parse_notifiers
from runner.settings import parse_age


def parsed(text: str) -> tuple[Notifier, ...]:
    return parse_notifiers(tomllib.loads(text)["notify"], parse_age)


def test_one_table_is_one_notifier_for_everything() -> None:
    assert parsed('[notify]\ncommand = ["notify-send", "{title}"]') == (Notifier(command=("notify-send", "{title}")),)


def test_several_tables_are_several_notifiers() -> None:
    text = '[[notify]]\nwebhook = "https://example.com/x"\non = ["failed"]\n'
    text += '[[notify]]\napprise = "slack://a/b"\nafter = "10min"\non = "approval"'
    assert parsed(text) == (
        Notifier(webhook="https://example.com/x", on=frozenset({Occasion.FAILED})),
        Notifier(apprise="slack://a/b", on=frozenset({Occasion.APPROVAL}), after=600.0),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('notify = "x"', "`notify` must be a table"),
        ("[notify]\nwebhok = 1", "there is no setting `webhok` in `notify`"),
        ('[notify]\non = ["failed"]', "says neither"),
        ('[notify]\ncommand = "a"\nwebhook = "https://a"', "says both `command` and `webhook`"),
        ("[notify]\ncommand = []", "names no program"),
        ("[notify]\ncommand = [1]", "must be a list of texts"),
        ('[notify]\nwebhook = "ftp://a/hunter2"', "`notify.webhook` is no address"),
        ('[notify]\nwebhook = "https://[a/hunter2"', "`notify.webhook` is no address"),
        ('[notify]\nwebhook = "https://a:99999/hunter2"', "`notify.webhook` is no address"),
        ('[notify]\nwebhook = "hunter2"', "`notify.webhook` is no address"),
        ("[notify]\napprise = 7", "`notify.apprise` is no address"),
        ('[notify]\ncommand = "a"\non = ["faild"]', "`notify.on` cannot be `faild`"),
        ('[notify]\ncommand = "a"\non = 7', "`notify.on` must be a list"),
        ('[notify]\ncommand = "a"\nafter = "soon"', "`notify.after` cannot be `soon`"),
    ],
)
def test_what_cannot_be_understood_is_said_without_the_address(text: str, message: str) -> None:
    with pytest.raises(MlrunError) as caught:
        parsed(text)
    assert message in caught.value.message
    assert caught.value.hint
    assert "hunter2" not in caught.value.message + caught.value.hint
