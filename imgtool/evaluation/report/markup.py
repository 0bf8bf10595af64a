"""HTML that cannot hold a name unescaped: `tag` makes elements, and what it is given is text unless `tag` made it.

A template would need an extra and escapes what is marked; here it is the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from imgtool.evaluation.table import visible

EMPTY = {"meta", "img", "circle", "line", "rect", "path", "polyline"}  # elements that have no content
ABSENT = "–"


class Html(str):
    """Text that is HTML: made by functions of this module."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return a value as HTML's text: markup escaped, characters that are no ink or reorder a line as their codes."""
    if isinstance(value, Html):
        return value
    return Html(escape(visible(value if isinstance(value, str) else words(value))))


def words(value: object) -> str:
    """Return a setting or a fact as a reader wants it."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value))
    return ABSENT if value is None or value == "" else str(value)


def tag(element: str, *children: object, **attributes: object) -> Html:
    """Return an element. Of an attribute's name `_` is `-`, at the end nothing; one that is None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value) if isinstance(value, float) else text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in EMPTY:
        return Html(f"<{element}{given}/>")
    return Html(f"<{element}{given}>{join(children)}</{element}>")


def join(parts: Iterable[object]) -> Html:
    """Return pieces one after the other."""
    return Html("".join(map(text, parts)))


def listed(items: Iterable[object], class_: str | None = None) -> Html:
    """Return a list of what each item says; nothing where there is none."""
    lines = [tag("li", item) for item in items]
    return tag("ul", *lines, class_=class_) if lines else Html()


def table(
    headings: Sequence[object], lines: Iterable[Sequence[object]], class_: str = "", caption: object = None
) -> Html:
    """Return a table; of class `cards` each line is one on a narrow screen, with the headings above its cells."""
    head = tag("thead", tag("tr", *(tag("th", heading, scope="col") for heading in headings)))
    body = (tag("tr", *map(_cell, headings, line)) for line in lines)
    title = tag("caption", caption) if caption else Html()
    return tag("table", title, head, tag("tbody", *body), class_=class_ or None)


def facts(named: Mapping[str, object]) -> Html:
    """Return names and values side by side."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value if value != "" else ABSENT)) for name, value in named.items()),
    )


def folded(summary: object, *children: object) -> Html:
    """Return what is seen when its summary is clicked."""
    return tag("details", tag("summary", summary), *children)


def section(title: str, *children: object) -> Html:
    """Return a part of the page under a heading; nothing where there is nothing to say."""
    content = join(children)
    return tag("section", tag("h2", title), content) if content else Html()


def _cell(heading: object, content: object) -> Html:
    """Return a cell of a table's body."""
    return tag("td", content, data_label=heading or None, class_=None if heading else "blank")


def _number(value: float) -> str:
    """Return a place in a drawing, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")
