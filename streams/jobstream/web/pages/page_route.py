"""One page as data: its path, who may see it, what it shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from jobstream.answers.as_of import AsOf
from jobstream.web.callers import Caller, TokenRole
from jobstream.web.desk import Desk
from jobstream.web.request_parts import read_query

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class PageCall:
    """One request for a page that was let in."""

    desk: Desk
    request: Request
    caller: Caller
    form_token: str
    """What the forms of the page carry; empty for a caller without a session."""

    async def ask(self, answer: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401 - an answer
        """The answer about the site, got on a thread."""
        return await self.desk.ask(answer, self.desk.site, *given)

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, cls: type) -> Any:  # noqa: ANN401 - an instance of `cls`
        """The query as that dataclass, empty fields of the form left out; raises Problem."""
        return read_query(cls, filled(self.request.query_params.multi_items()))


def filled(pairs: Iterable[tuple[str, str]]) -> Any:  # noqa: ANN401 - QueryParams
    """The parameters that say something: a form sends its empty fields, too."""
    from starlette.datastructures import QueryParams  # noqa: PLC0415 - beside its one use

    return QueryParams([(name, text.strip()) for name, text in pairs if text.strip()])


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows."""

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    as_of: AsOf | None = None
    notes: tuple[str, ...] = ()
    """What the answer can't tell."""
    status: int = 200


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One page."""

    path: str
    """Below the prefix."""
    name: str
    needs: TokenRole
    run: Callable[[PageCall], Awaitable[Page | Response]]
    part: str = ""
    """Which entry of the navigation it belongs to."""
