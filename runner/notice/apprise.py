"""Apprise, which knows how to write to more than a hundred services. The only place that imports it."""

import importlib
import logging
from typing import Any

from runner.notice.message import Message, NotTold
from runner.notifier import Notifier


def send(notifier: Notifier, message: Message) -> None:
    """Tell the service. Raises NotTold, also where the library is not installed."""
    try:
        # Loaded by whom is told this way; the extra `notify` installs it.
        library: Any = importlib.import_module("apprise")
    except ImportError:
        raise NotTold("`apprise` is not installed: `pip install 'mlrun-yaml[notify]'`") from None
    # What it logs may have the address in it.
    logging.getLogger("apprise").addHandler(logging.NullHandler())
    logging.getLogger("apprise").propagate = False
    postman = library.Apprise()
    try:
        if not postman.add(notifier.apprise):
            raise NotTold("apprise does not know such an address")
        told = postman.notify(title=message.title, body=message.text)
    except NotTold:
        raise
    except Exception as error:  # noqa: BLE001 - a plug-in of a library that can raise anything, with the address in it
        raise NotTold(f"apprise failed ({type(error).__name__})") from None
    if not told:
        raise NotTold("the service did not take it")
