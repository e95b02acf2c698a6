"""What commands that write control entries have in common: their options, and how they write."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobstream.cli.ask_processes import confirm
from jobstream.cli.control_text import by, document, ended, holds, not_held
from jobstream.cli.options import brokers_now, or_ours, seconds, view_of
from jobstream.cli.output import print_json, say
from jobstream.cli.value_types import LASTS, Length
from jobstream_processors.core.orders import NO_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream.cli.app_name import AppName
    from jobstream.control import Control
    from jobstream.control_listing import ControlEntry
    from jobstream.operate.view import AppView

TIMEOUT_MS_MIN = 100
_Function = TypeVar("_Function", bound="Callable[..., Any]")


def wait_options(function: _Function) -> _Function:
    """How long to wait until workers act on it: `wait_s`, 0.0 with --no-wait."""

    @wraps(function)
    def waiting(*, no_wait: bool, timeout: str, **given: object) -> object:
        wait_s = seconds("--timeout", timeout, TIMEOUT_MS_MIN)
        return function(wait_s=0.0 if no_wait else wait_s, **given)

    for option in (
        click.option("--no-wait", is_flag=True,
                     help="Return as soon as the brokers have acknowledged the entry."),
        click.option("--timeout", metavar="DURATION", type=Length(TIMEOUT_MS_MIN),
                     default="10s", show_default=True,
                     help="Wait at most this long until the workers of this machine act on it."),
    ):  # fmt: skip
        waiting = option(waiting)
    return waiting  # type: ignore[return-value] # the command's own options are the same


def author_options(function: _Function) -> _Function:
    """Add --why and --who to a command."""
    for option in (
        click.option("--who", help="Your name, shown with the entry.  [default: user@host]"),
        click.option("--why", default="", help="Reason, shown wherever the entry is listed."),
    ):
        function = option(function)
    return function


def entry_options(lasts: str) -> Callable[[_Function], _Function]:
    """Add --for, --why and --who to a command; `lasts` is the default of --for."""
    length = f"The entry ends by itself after this time, as in 30m or 7d.  [default: {lasts}]"
    option = click.option("--for", "lasts", metavar="DURATION", type=LASTS, help=length)

    def decorate(function: _Function) -> _Function:
        return option(author_options(function))

    return decorate


def control_of(view: AppView) -> Control:
    """What writes entries for the app."""
    from jobstream.app import App  # noqa: PLC0415 - not needed for --help

    return App(view.app, settings=view.settings).control


def in_force(view: AppView, now_ms: Callable[[], int]) -> list[ControlEntry]:
    """The entries that hold, oldest first."""
    from jobstream.control_listing import shown  # noqa: PLC0415 - not needed for --help

    return [shown(entry) for entry in view.orders(now_ms)]


def order_entry(
    view: AppView,
    kind: str,
    subject: str,
    said: Mapping[str, str | None],
    limits: Mapping[str, int] = NO_LIMITS,
) -> ControlEntry:
    """Write an entry with what the options say."""
    return control_of(view).tell(
        kind, subject, why=said["why"] or "", for_=said.get("lasts"), who=said["who"], limits=limits
    )


def tell_entry(
    view: AppView,
    kind: str,
    subject: str,
    said: Mapping[str, str | None],
    limits: Mapping[str, int] = NO_LIMITS,
    *,
    as_json: bool,
) -> None:
    """Write an entry, and show it."""
    entry = order_entry(view, kind, subject, said, limits)
    if as_json:
        print_json(document(entry))
    else:
        say(holds(entry))


def lift_entry(
    view: AppView,
    kind: str,
    subject: str,
    there: Sequence[ControlEntry],
    still: str = "",
    *,
    as_json: bool,
) -> None:
    """End the entry, of which `there` were in force, and say so, and what `still` holds."""
    control_of(view).lift(kind, subject)
    if as_json:
        print_json([document(entry) for entry in there])
    elif there:
        say(f"{ended(kind, subject)}; it was {by(there[0])}")
    else:
        say(f"{not_held(kind, subject)}{still}")


def release_entry(app: AppName, kind: str, subject: str, wait_s: float, *, as_json: bool) -> int:
    """End an entry, say what was in force, and wait until workers know; the exit code."""
    view = view_of(app)
    entries = in_force(view, or_ours(brokers_now(view)))
    there = [each for each in entries if (each.kind, each.subject) == (kind, subject)]
    lift_entry(view, kind, subject, there, as_json=as_json)
    return confirm(view, kind, subject, wait_s, in_force=False)
