"""Ways to tell somebody what became of a run: a program, a webhook, Apprise."""

from runner.notice.message import Message
from runner.notifier import Notifier


def send(notifier: Notifier, message: Message) -> None:
    """Tell it. Raises NotTold where that fails, with a reason in which nothing is secret."""
    # Not at the top: most users have no notifier, and every run would wait for the weight of HTTP.
    from runner.notice import apprise, command, webhook

    if notifier.webhook is not None:
        webhook.send(notifier, message)
    elif notifier.apprise is not None:
        apprise.send(notifier, message)
    else:
        command.send(notifier, message)
