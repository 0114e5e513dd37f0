"""What the parts of a report say in the same way: states, times, reasons, tables. Pure."""

from collections.abc import Iterable, Sequence

from runner.quantity import duration_text, moment, seconds_between
from runner.report.element import Child, Markup, element
from runner.sign import Standing, sign_of, tone_of, word_of
from runner.state import FINAL, Reason, State
from runner.store.record import Execution, NodeRecord, Run


def state_badge(what: Standing) -> Markup:
    """The word of its state on its colour, with its sign."""
    word = word_of(what)
    return element("span", f"{sign_of(word)} {word}", class_=f"badge {tone_of(word)}")


def time_text(text: str | None) -> Markup | None:
    """A recorded time, in UTC to the second: a page is read in many places."""
    if text is None:
        return None
    return element("time", moment(text).strftime("%Y-%m-%d %H:%M:%S UTC"), datetime=text)


def lasted(what: Run | Execution, by: str) -> str:
    """How long it took, or has taken by then."""
    if what.duration is not None:
        return duration_text(what.duration)
    begun = what.started if isinstance(what, Execution) else what.created
    return f"{duration_text(seconds_between(begun, moment(by)))} so far" if begun and what.state not in FINAL else ""


def why(what: NodeRecord | Execution) -> str:
    """Why it came to its state, in a line; empty where that is plain."""
    code = what.exit_code if isinstance(what, Execution) else None
    fine = what.state is State.SUCCEEDED
    plain = (what.reason is Reason.EXIT and (code is not None or fine)) or word_of(what) != what.state
    parts = [str(what.reason)] if what.reason and not plain else []
    parts += [f"exit code {code}"] if code is not None and not (fine and code == 0) else []
    parts += [what.detail] if what.detail else []
    return ", ".join(parts)


def table(heads: Sequence[str], rows: Iterable[Sequence[Child]], caption: str, numeric: Iterable[int] = ()) -> Markup:
    """A table that scrolls by itself where it is too wide. The first cell of a row heads it; columns of `numeric` are
    set to the right."""
    right = frozenset(numeric)
    styles = ["num" if place in right else None for place in range(len(heads))]
    head = [element("th", text, scope="col", class_=style) for text, style in zip(heads, styles, strict=True)]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            [element("td", cell, class_=style) for cell, style in zip(row[1:], styles[1:], strict=True)],
        )
        for row in rows
    ]
    inner = element("table", element("caption", caption), element("thead", element("tr", head)), element("tbody", body))
    return scrolling(inner, caption)


def scrolling(inner: Markup, name: str) -> Markup:
    """What may be wider than its place; the keyboard reaches it."""
    return element("div", inner, class_="wide", tabindex=0, role="region", aria_label=name)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup | None:
    """Names and values, without those that have none."""
    told = [
        element("div", element("dt", name), element("dd", value)) for name, value in pairs if value not in (None, "")
    ]
    return element("dl", told) if told else None


def folded(summary: Child, *inside: Child, open_: bool = False, id: str | None = None) -> Markup:
    """What is shown when it is asked for."""
    return element("details", element("summary", summary), *inside, open=open_, id=id)


def note(*inside: Child) -> Markup:
    """What the page leaves out, and why."""
    return element("p", inside, class_="note")


def section(id: str, title: str, *inside: Child) -> Markup | None:
    """A part of the page; nothing without content."""
    content = [one for one in inside if one is not None and one != ""]
    return element("section", element("h2", title), content, id=id, aria_label=title) if content else None
