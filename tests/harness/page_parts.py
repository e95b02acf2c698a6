"""What a test asks of a page's HTML: its elements, and rules that every page has to keep."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple

VOID = frozenset({"meta", "link", "input", "br"})
FIELDS = frozenset({"input", "select", "textarea"})


class Element(NamedTuple):
    """A start tag, and the names of those around it."""

    name: str
    attributes: dict[str, str]
    around: tuple[str, ...]


class PageParts(HTMLParser):
    """Every element of a page, in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(found)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "script":
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All of its text, spaces made one."""
        return " ".join(" ".join(self.texts).split())

    def all(self, name: str) -> list[Element]:
        """Every element of that name."""
        return [each for each in self.elements if each.name == name]


def faults(html: str) -> list[str]:
    """What is wrong with a page: code in it, and what keeps people from using it."""
    parts = PageParts(html)
    found = []
    for each in parts.elements:
        coded = [name for name in each.attributes if name.startswith("on") or name == "style"]
        found += [f"<{each.name} {name}=…>" for name in coded]
        if each.name == "script" and not each.attributes.get("src", "").startswith("/"):
            found.append("a script in the page")
        link = each.attributes.get("href", each.attributes.get("action", "/"))
        if not link.startswith(("/", "#")) or link.startswith("//"):
            found.append(f"a link to {link!r}")
        is_seen = each.attributes.get("type") != "hidden" and "hidden" not in each.attributes
        if (
            each.name in FIELDS
            and is_seen
            and "label" not in each.around
            and not _labelled(each, parts)
        ):
            found.append(f"a field without a label: {each.attributes}")
    ids = [each.attributes["id"] for each in parts.elements if "id" in each.attributes]
    found += [f"id {each!r} twice" for each in {one for one in ids if ids.count(one) > 1}]
    levels = [int(each.name[1]) for each in parts.elements if each.name in {"h1", "h2", "h3"}]
    if levels.count(1) != 1 or levels[0] != 1:
        found.append(f"headings {levels}")
    found += ["a table without a caption"] * (len(parts.all("table")) - len(parts.all("caption")))
    return found


def _labelled(field: Element, parts: PageParts) -> bool:
    wanted = field.attributes.get("id")
    return any(each.attributes.get("for") == wanted for each in parts.all("label"))
