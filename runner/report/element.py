"""HTML by construction: what is text is escaped because it is text. Pure.

A foreign string can only become text or the value of an attribute. `Markup` comes from `element`, from `join`, and from
`drawn`, which is for what our own pictures are made of.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from runner.escape import printable_lines

_VOID = frozenset({"meta", "img", "br"})
"""Elements that have no end tag (HTML, section 13.1.2)."""


@dataclass(frozen=True, slots=True)
class Markup:
    """A piece of HTML in which nothing has to be escaped any more."""

    text: str


Child = Markup | str | None
"""A string is text; None is left out."""
Attribute = str | int | float | bool | None
"""True is an attribute without a value; None and False leave it out."""

NOTHING = Markup("")


def element(tag: str, /, *children: Child | Iterable[Child], **attributes: Attribute) -> Markup:
    """An element with its children in order. Of a name of an attribute a `_` is written `-`, one at its end dropped."""
    start = f"<{tag}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(start if tag in _VOID else f"{start}{join(*children).text}</{tag}>")


def join(*children: Child | Iterable[Child]) -> Markup:
    """Pieces in order."""
    return Markup("".join(map(_piece, children)))


def drawn(text: str) -> Markup:
    """A whole picture or style sheet that the program made itself, in which foreign text is escaped."""
    return Markup(text)


def clean(text: str) -> str:
    """Text that no parser and no eye stumbles over: control codes, lone surrogates and what turns text as escapes."""
    return printable_lines(text)


def _piece(child: Child | Iterable[Child]) -> str:
    match child:
        case None:
            return ""
        case str():
            return escape(clean(child), quote=False)
        case Markup():
            return child.text
    return "".join(map(_piece, child))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(clean(str(value)))}"'
