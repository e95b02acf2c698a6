"""Paths of the pages below whatever prefix they are mounted at. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

PATH_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Places:
    """Makes paths for one request's pages."""

    base: str
    """The prefix, without a slash at its end."""

    @classmethod
    def of(cls, request: Request) -> Places:
        """Those of the application that the request came to."""
        return cls(str(request.scope.get("root_path", "")).rstrip("/"))

    def to(self, *parts: object, **query: object) -> str:
        """The path of a page: each part is quoted whole; a parameter that is empty is left out.

        A list gives its parameter several times.
        """
        path = "".join(f"/{quote(_text(part), safe='@:')}" for part in parts) or "/"
        pairs = [
            (name.rstrip("_"), _text(one))
            for name, value in query.items()
            for one in (value if isinstance(value, (list, tuple)) else (value,))
            if one is not None and one != ""
        ]
        return f"{self.base}{path}" + (f"?{_encoded(pairs)}" if pairs else "")

    def is_ours(self, path: str) -> bool:
        """Whether a text from a form is a path of these pages, and leads nowhere else."""
        return (
            len(path) <= PATH_CHARS_MAX
            and path.startswith(f"{self.base}/")
            and not path.startswith("//")
            and path.isascii()
            and path.isprintable()
            and "\\" not in path
        )


def _text(value: object) -> str:
    """A text that can be quoted: half a character pair is no character."""
    return str(value).encode("utf-8", "replace").decode()


def _encoded(pairs: Iterable[tuple[str, str]]) -> str:
    return urlencode(list(pairs))
