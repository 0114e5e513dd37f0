"""Where in a shell script a piece of text stands: bare, in quotes, or where no quoting can make it plain data.

Reads POSIX `sh` with the additions of bash (`sh(1p)`, `bash(1)`), only as far as needed to follow quotes, comments,
here-documents and substitutions. Where dash and bash would read a script differently, everything behind that place is
`OTHER`. Pure.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runner.spec.invocation import UNKNOWN, Invocation


class Quoting(StrEnum):
    """How the shell reads a place."""

    BARE = "bare"
    DOUBLE = "double"
    SINGLE = "single"
    COMMENT = "comment"
    OTHER = "other"
    """Code of some kind, or text that the shell rewrites: there is no way to quote for it."""


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of a span.

    `reason` says for `OTHER` what it stands in; in an `expression` bash would still evaluate `$(…)` inside quotes;
    `delimiter` is the last line of the here-document which the span's line might become.
    """

    quoting: Quoting
    reason: str = ""
    expression: bool = False
    delimiter: str | None = None


def contexts(script: str, spans: Sequence[tuple[int, int]]) -> list[Context]:
    """The context of each span (start and end offset, in order, not overlapping) of a script."""
    return _Lexer(script, spans).run()


_MAX_NESTING = 40
_ENDS_COMPOUND = frozenset({"done", "}", "fi", "esac"})


class _Lexer:
    def __init__(self, text: str, spans: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._spans = {start: (index, end) for index, (start, end) in enumerate(spans)}
        self._found: list[Context] = [Context(Quoting.OTHER, "code")] * len(spans)
        self._at = 0
        self._inside: list[str] = []
        self._unsure: str | None = None
        self._documents: list[tuple[str | None, bool, bool]] = []
        self._pipeline: list[int] = []
        self._seen = 0
        self._command = Invocation()
        self._word: list[str] | None = None

    def run(self) -> list[Context]:
        while self._at < len(self._text):
            self._commands(None, 0)
            self._at += 1
        return self._found

    # Spans

    def _take(self, quoting: Quoting, reason: str = "", delimiter: str | None = None) -> bool:
        """Note the span that begins here, if one does, and step over it."""
        span = self._spans.get(self._at)
        if span is None:
            return False
        index, self._at = span
        word = "".join(self._word or ())
        code = self._command.code(word)
        expression = self._command.expression or re.match(r"[A-Za-z_]\w*\[", word) is not None
        if quoting is not Quoting.COMMENT:
            reason = reason or (self._inside[-1] if self._inside else "") or self._unsure or ""
            reason = reason or (f"an argument that {code} runs as code" if code else "")
        if reason:
            quoting = Quoting.OTHER
        self._found[index] = Context(quoting, reason, expression, delimiter)
        self._pipeline.append(index)
        self._seen = index + 1
        self._grow(UNKNOWN)
        return True

    def _grow(self, piece: str) -> None:
        if self._word is None:
            self._word = []
        self._word.append(piece)

    # Words and commands

    def _end_word(self) -> None:
        if self._word is not None:
            self._command.add("".join(self._word))
        self._word = None

    def _end_command(self, pipe: bool = False) -> None:
        self._end_word()
        command = self._command
        if command.runs_its_input:
            for index in range(self._seen) if command.after_compound else self._pipeline:
                self._found[index] = Context(Quoting.OTHER, f"text that {command.program} reads as its program")
        if not pipe:
            self._pipeline = []
        self._command = Invocation(pipe, pipe and (command.after_compound or command.first in _ENDS_COMPOUND))

    def _commands(self, closer: str | None, depth: int) -> None:
        """Read commands up to `closer`, which is left to the caller, or to the end."""
        if depth > _MAX_NESTING:
            self._unsure = "deeply nested code"
            self._skip_to_end()
            return
        cases = 0
        while self._at < len(self._text):
            character = self._text[self._at]
            if self._take(Quoting.BARE):
                continue
            if character in " \t;&|()<>\n" and self._word is not None:
                word = "".join(self._word)
                if self._command.first is None:
                    cases += {"case": 1, "esac": -1 if cases else 0}.get(word, 0)
                if character in "<>" and word.isdigit():
                    self._word = None
                self._end_word()
            if character == closer and not cases:
                break
            self._one(character, depth)
        self._end_command()
        if closer and self._documents:
            self._unsure = "code behind a here-document that is not closed"
            self._documents = []

    def _one(self, character: str, depth: int) -> None:
        match character:
            case "\\":
                self._backslash()
            case "'":
                self._single()
            case '"':
                self._at += 1
                self._double(depth)
            case "`":
                self._backquote()
            case "$":
                self._dollar(depth, quoted=False)
            case "#" if self._word is None:
                self._until("\n", Quoting.COMMENT)
            case "\n":
                self._at += 1
                self._end_command()
                self._read_documents()
            case ";" | "&" | "|" | "(" | ")" | "<" | ">":
                self._operator(character, depth)
            case " " | "\t":
                self._at += 1
            case _:
                self._grow(character)
                self._at += 1

    def _operator(self, character: str, depth: int) -> None:
        rest = self._text[self._at : self._at + 3]
        if character == "(":
            self._parenthesis(depth)
        elif rest.startswith(("<(", ">(")):
            self._at += 2
            self._nested("a process substitution", ")", depth)
        elif rest == "<<<":
            self._at += 3
            self._command.reads_text = self._command.redirects = True
        elif rest.startswith("<<"):
            self._here_document()
        elif rest.startswith((">&", "<&", "&>", ">>", ">|", "<>")):
            self._at += 2
            self._command.redirects = True
        elif character in "<>":
            self._at += 1
            self._command.redirects = True
        else:
            pipe = character == "|" and not rest.startswith("||")
            self._at += 2 if rest[:2] in ("||", "&&", ";;", "|&") else 1
            self._end_command(pipe)

    def _parenthesis(self, depth: int) -> None:
        if self._text.startswith("((", self._at):
            self._arithmetic(self._at + 2)
            return
        self._at += 1
        outer, self._command = self._command, Invocation()
        pipeline, self._pipeline, before = self._pipeline, [], self._seen
        self._commands(")", depth + 1)
        self._at += 1
        self._command, self._pipeline = outer, [*pipeline, *range(before, self._seen)]

    def _nested(self, what: str, closer: str, depth: int) -> None:
        """Read code inside a word, up to and with its closer."""
        self._inside.append(what)
        outer = self._command, self._word, self._pipeline
        self._command, self._word, self._pipeline = Invocation(), None, []
        self._commands(closer, depth + 1)
        self._at += 1
        self._command, self._word, self._pipeline = outer
        self._grow(UNKNOWN)
        self._inside.pop()

    # Quotes

    def _backslash(self) -> None:
        self._at += 1
        if self._text.startswith("\n", self._at):
            self._at += 1
        elif not self._take(Quoting.OTHER, "a place behind a backslash"):
            self._grow(self._text[self._at : self._at + 1])
            self._at += 1

    def _single(self) -> None:
        self._at += 1
        self._grow("")
        self._until("'", Quoting.SINGLE)
        self._at += 1

    def _until(self, end: str, quoting: Quoting, reason: str = "") -> None:
        """Read literal text up to `end`, which is left to the caller."""
        while self._at < len(self._text) and self._text[self._at] != end:
            if not self._take(quoting, reason):
                if quoting is not Quoting.COMMENT:
                    self._grow(self._text[self._at])
                self._at += 1

    def _double(self, depth: int) -> None:
        self._grow("")
        while self._at < len(self._text) and self._text[self._at] != '"':
            if self._take(Quoting.DOUBLE):
                continue
            match self._text[self._at]:
                case "\\":
                    self._backslash()
                case "`":
                    self._backquote()
                case "$":
                    self._dollar(depth, quoted=True)
                case character:
                    self._grow(character)
                    self._at += 1
        self._at += 1

    def _backquote(self) -> None:
        self._at += 1
        self._opaque(lambda: self._text[self._at] == "`", "backquotes")
        self._at += 1

    def _opaque(self, ends: Callable[[], bool], reason: str) -> None:
        """Step over code, minding only backslashes, up to where `ends`."""
        while self._at < len(self._text) and not ends():
            if self._take(Quoting.OTHER, reason):
                continue
            self._at += 1
            if self._text[self._at - 1] == "\\" and not self._take(Quoting.OTHER, reason):
                self._at += 1
        self._grow(UNKNOWN)

    # Dollars

    def _dollar(self, depth: int, quoted: bool) -> None:
        following = self._text[self._at + 1 : self._at + 3]
        if self._at + 1 in self._spans:
            self._at += 1
            self._take(Quoting.OTHER, "a place behind `$`")
        elif following == "((":
            self._arithmetic(self._at + 3)
        elif following[:1] == "(":
            self._at += 2
            self._nested("`$(…)`", ")", depth)
        elif following[:1] == "{":
            self._at += 2
            self._braces()
        elif following[:1] == "'" and not quoted:
            self._ansi()
        elif following[:1] == '"' and not quoted:
            self._at += 2
            self._double(depth)
        else:
            if following[:1] == "[":
                self._unsure = "code behind `$[`"
            self._grow(UNKNOWN)
            self._at += 2 if following[:1] in "#$!?*@-" else 1

    def _braces(self) -> None:
        """`${…}`: quotes inside it are read differently by different shells."""
        level = 1
        start = self._at

        def ends() -> bool:
            nonlocal level
            character = self._text[self._at]
            level += {"{": 1, "}": -1}.get(character, 0)
            return level == 0

        self._opaque(ends, "`${…}`")
        inside = self._text[start : self._at]
        self._at += 1
        if re.search(r"""['"`]|\$\(""", inside):
            self._unsure = "code behind a `${…}` with quotes in it"

    def _ansi(self) -> None:
        """`$'…'`: dash does not know it, and would end it at an escaped quote."""
        self._at += 2
        start = self._at
        self._opaque(lambda: self._text[self._at] == "'", "`$'…'`")
        if re.search(r"(?<!\\)(\\\\)*\\'", self._text[start : self._at]):
            self._unsure = "code behind a `$'…'` with an escaped quote"
        self._at += 1

    def _arithmetic(self, start: int) -> None:
        self._at = start
        level = 2

        def ends() -> bool:
            nonlocal level
            level += {"(": 1, ")": -1}.get(self._text[self._at], 0)
            return level == 0

        self._opaque(ends, "`((…))`")
        inside = self._text[start : self._at]
        self._at += 1
        if not inside.endswith(")") or re.search(r"""['"`#]|\$\(""", inside):
            self._unsure = "code behind a `((…))` that may be commands"

    # Here-documents

    def _here_document(self) -> None:
        self._at += 2
        tabs = self._text.startswith("-", self._at)
        self._at += tabs
        found = re.compile(r"""[ \t]*((?:[^\s;&|()<>'"\\]|\\.|'[^']*'|"[^"]*")+)""").match(self._text, self._at)
        span = range(self._at, found.end()) if found else range(0)
        if found is None or any(at in self._spans for at in span):
            self._unsure = "code behind a here-document without a plain last line"
            return
        word = found[1]
        plain = re.sub(r"""\\(.)|['"]""", r"\1", word)
        self._documents.append((plain, tabs, plain != word))
        self._at = found.end()

    def _read_documents(self) -> None:
        documents, self._documents = self._documents, []
        for delimiter, tabs, quoted in documents:
            self._read_document(delimiter or "", tabs, quoted)
        self._word = None

    def _read_document(self, delimiter: str, tabs: bool, quoted: bool) -> None:
        continued = False
        while self._at < len(self._text):
            end = self._text.find("\n", self._at)
            end = len(self._text) if end < 0 else end
            line = self._text[self._at : end]
            bare = line.lstrip("\t") if tabs else line
            if bare == delimiter and not continued:
                self._at = min(end + 1, len(self._text))
                return
            continued = not quoted and (len(line) - len(line.rstrip("\\"))) % 2 == 1
            spanned = any(at in self._spans for at in range(self._at, end))
            possible = delimiter if spanned and self._may_become(self._at, end, delimiter, tabs) else None
            while self._at < end:
                if not self._take(Quoting.OTHER, "a here-document", possible):
                    self._at += 1
            self._at = min(end + 1, len(self._text))

    def _may_become(self, start: int, end: int, delimiter: str, tabs: bool) -> bool:
        """Whether some values of its spans would turn a line into the delimiter."""
        pattern, at = ["\t*"] if tabs else [], start
        while at < end:
            if at in self._spans:
                at = self._spans[at][1]
                pattern.append(".*")
            else:
                pattern.append(re.escape(self._text[at]))
                at += 1
        return re.fullmatch("".join(pattern), delimiter) is not None

    def _skip_to_end(self) -> None:
        while self._at < len(self._text):
            if not self._take(Quoting.OTHER, self._unsure or "code"):
                self._at += 1
