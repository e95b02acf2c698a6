"""One call of the API as data: its path, who may make it, what it takes, what it answers.

The routing, the checks, the description in OpenAPI and the tests of roles are all made of these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from jobstream.web.callers import Caller, TokenRole
from jobstream.web.desk import Desk

V1 = "/api/v1"


@dataclass(slots=True)
class Call:
    """One request that was let in, with what it says read and checked."""

    desk: Desk
    request: Request
    caller: Caller
    query: Any
    """The route's query class; None without one."""
    body: Any
    """The route's body class; the JSON itself where the route reads it."""
    correlation_id: str
    loose: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the body that may hold any object."""

    def link(self, path: str) -> str:
        """A path of the API as the client reaches it."""
        return f"{self.request.scope.get('root_path', '').removesuffix(V1)}{V1}{path}"

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with another status than the route's, or with headers."""

    answer: Any
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One call."""

    method: str
    path: str
    """Below `/api/v1`."""
    needs: TokenRole
    summary: str
    run: Callable[[Call], Awaitable[Any]]
    query: type[Any] | None = None
    body: type[Any] | None = None
    answer: Any = None
    """The type of the answer; None for no body."""
    status: int = 200
    loose: tuple[str, ...] = ()
    """Fields of the body that may hold any object; the others are those of the body class."""
    takes_json: bool = False
    """It takes a body that it reads itself."""
    problems: tuple[int, ...] = ()
    """Statuses of problems beyond those of every call."""
    tag: str = "app"
    media_type: str = ""
    """Of an answer that is no JSON."""
    goes_on: bool = False
    """It may take long by intent, so its duration is not counted."""

    @property
    def name(self) -> str:
        """What it is called in the description, in metrics and in the log."""
        parts = [each.strip("{}").replace("-", "_") for each in self.path.split("/") if each]
        return "_".join([self.method.lower(), *parts])
