"""Which words of a shell command are programs for another interpreter, as in `sh -c WORD`. Pure."""

import re

UNKNOWN = "\0"
"""Stands in a word for what is known only at run time."""

_CODE_OPTIONS = {
    re.compile(r"(ba|da|a|k|mk|z|fi)?sh|busybox|python[\d.]*|pypy[\d.]*"): re.compile(r"-[A-Za-z]*c[A-Za-z]*"),
    re.compile(r"perl|ruby|lua|julia|Rscript|R|node|nodejs|deno|bun|php"): re.compile(
        r"-[A-Za-z0-9]*[eEpr]|--(eval|print)(=.*)?"
    ),
}
_LOOSE = re.compile(r"su|runuser|script|flock|env")
_LOOSE_OPTION = re.compile(r"-[A-Za-z]*[cS]|--(command|session-command|split-string)(=.*)?")
_FIRST_WORD = re.compile(r"[gmn]?awk|g?sed|trap")
_ALL_WORDS = re.compile(r"eval|ssh|alias|watch|parallel|at|batch|tmux|screen")
_EXPRESSIONS = frozenset({"[[", "let", "declare", "typeset", "local", "readonly", "unset", "read", "mapfile"})
_BEFORE_COMMAND = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "exec", "command"})
_TAKES_WORD = re.compile(r"[-+][A-Za-z]*[oOWXIM]")


class Invocation:
    """One simple command, as far as its words have been read."""

    def __init__(self, after_pipe: bool = False, after_compound: bool = False) -> None:
        self.reads_text = after_pipe
        """Whether its standard input may hold a placeholder."""
        self.after_compound = after_compound
        self.first: str | None = None
        self.redirects = False
        self.expression = False
        self.option: re.Pattern[str] | None = None
        self.strict = False
        self.program = ""
        self.next_is_code = False
        self.rest_is_code = False
        self.last = ""

    def code(self, word: str) -> str | None:
        """The program for which the word that begins so is code."""
        if self.redirects or (self.program == "awk" and self.last in ("-v", "-F")):
            return None
        if self.next_is_code or self.rest_is_code or (self.program == "sed" and word.startswith("-e")):
            return self.program
        return self.program if self.option and word and self.option.match(word) else None

    def add(self, word: str) -> None:
        """Learn a complete word."""
        if self.redirects:
            self.redirects = False
            return
        if self.next_is_code and not self._is_option_of_filter(word):
            self.next_is_code, self.option = False, None
        if self.option and self.option.fullmatch(word) and "=" not in word:
            self.next_is_code = True
        elif self.option and self.strict and not word.startswith(("-", "+")) and not _TAKES_WORD.fullmatch(self.last):
            self.option = None
        if word in _EXPRESSIONS or (word == "-v" and self.first in ("[", "test", "printf")):
            self.expression = True
        elif word == "]]":
            self.expression = False
        self._recognise(word, word.rsplit("/", 1)[-1])
        if self.first is None and word not in _BEFORE_COMMAND:
            self.first = word
        self.last = word

    def _is_option_of_filter(self, word: str) -> bool:
        """Whether the program of `awk` or `sed` is still to come."""
        return self.program in ("awk", "sed") and (word.startswith("-") or self.last in ("-v", "-F"))

    def _recognise(self, word: str, name: str) -> None:
        for names, option in _CODE_OPTIONS.items():
            if names.fullmatch(name):
                self.option, self.strict, self.program = option, True, name
        if self.first is None and UNKNOWN in word:
            self.option, self.strict, self.program = re.compile(r"-[A-Za-z]*[ce]"), True, "the command"
        elif _LOOSE.fullmatch(name):
            self.option, self.strict, self.program = _LOOSE_OPTION, False, name
        elif _FIRST_WORD.fullmatch(name) and not self.next_is_code and self.program != name:
            self.next_is_code, self.program = True, "awk" if "awk" in name else "sed" if "sed" in name else name
        elif _ALL_WORDS.fullmatch(name):
            self.rest_is_code, self.program = True, name
        elif self.program == "sed" and word in ("-e", "--expression"):
            self.next_is_code = True

    @property
    def runs_its_input(self) -> bool:
        """Whether it is a shell or interpreter that got no program, so that it reads one from its standard input."""
        return self.option is not None and self.strict and not self.next_is_code and self.reads_text
