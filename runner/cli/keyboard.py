"""What is typed at the terminal while something is asked, read on a thread of its own. Knows terminals (`termios`).

A run in the background reads nothing: it would be stopped, as job control has it. It hears again in the foreground.
"""

import codecs
import os
import select
import signal
import termios
import threading
from collections.abc import Callable
from typing import Any

_LOOK = 0.25
"""Seconds between two looks whether somebody still listens and we are in the foreground."""
_BLOCK = 1024
_JOB_CONTROL = {signal.SIGTTIN, signal.SIGTTOU}
"""What stops whoever touches the terminal from the background, unless it is blocked: then the call fails, or does what
it should."""


class Keyboard:
    """Hands what is typed to `hear`, key by key and not echoed with `keys`, else in whole lines as the terminal has
    them. Nothing is read, and the terminal is left as it was, unless somebody listens. `hear` is called on the thread
    that reads."""

    def __init__(self, fd: int, hear: Callable[[str], None], *, keys: bool) -> None:
        self._fd = fd
        self._hear = hear
        self._keys = keys
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._wanted = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def listen(self, *, wanted: bool) -> None:
        """Listen from now on, or no longer. What was typed before is thrown away."""
        if wanted:
            # Here and not on the thread: who is asked may answer before that has begun.
            self._forget()
        with self._changed:
            self._wanted = wanted
            if wanted and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="keyboard", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Leave the terminal as it was; idempotent."""
        with self._changed:
            self._closed, self._wanted = True, False
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _JOB_CONTROL)
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closed)
            try:
                self._listen()
            except (OSError, termios.error):
                # The terminal is another's, or went away, which a signal tells the run.
                self._rest()

    def _listen(self) -> None:
        """Read until nobody wants it any more. Raises OSError and termios.error."""
        before: list[Any] | None = None
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        try:
            while self._wanted:
                if os.tcgetpgrp(self._fd) != os.getpgrp():
                    self._rest()
                    continue
                found = termios.tcgetattr(self._fd)
                if self._keys and found[3] & termios.ICANON:
                    # Also after a stop and `fg`: a shell gives the terminal back as it likes it.
                    before = before or termios.tcgetattr(self._fd)
                    found[3] &= ~(termios.ICANON | termios.ECHO)
                    termios.tcsetattr(self._fd, termios.TCSADRAIN, found)
                if poll.poll(1000 * _LOOK):
                    data = os.read(self._fd, _BLOCK)
                    if not data:
                        # The end of what is typed: nobody will say more.
                        self._wanted = False
                    self._hear(self._decoder.decode(data))
        finally:
            if before is not None:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    def _forget(self) -> None:
        """Throw away what was typed so far, unless the terminal is another's."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _JOB_CONTROL)
        try:
            if os.tcgetpgrp(self._fd) == os.getpgrp():
                termios.tcflush(self._fd, termios.TCIFLUSH)
        except (OSError, termios.error):
            # It is no terminal, or went away.
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._wanted, _LOOK)
