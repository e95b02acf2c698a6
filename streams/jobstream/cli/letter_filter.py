"""The options that choose dead letters, and the filter they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobstream.cli.options import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.inspect.filters import LetterFilter

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_OPTIONS = (
    click.option("--id", "ids", multiple=True, metavar="ID", help="These jobs; repeatable."),
    click.option("--type", "job_types", multiple=True, metavar="TYPE", help="These types."),
    click.option("--error", metavar="CLASS", help="This error class; * stands for any text."),
    click.option("--reason", metavar="REASON", help="This reason; * stands for any text."),
    click.option("--since", metavar="TIME", help="Died then or later: 2h, 2026-01-31T12:00."),
    click.option("--until", metavar="TIME", help="Died before then."),
)


def filter_options(function: _Function) -> _Function:
    """Add the options that choose letters to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def filter_of(given: Mapping[str, Any], now_ms: Callable[[], int]) -> LetterFilter:
    """The filter that the options say; raises ConfigError for what is no moment.

    `now_ms` is broker time, as letters are dated by it; it is asked only for a length of time.
    """
    from jobstream.inspect.filters import LetterFilter  # noqa: PLC0415 - with the command only

    return LetterFilter(
        ids=given["ids"],
        job_types=given["job_types"],
        error=given["error"],
        reason=given["reason"],
        since_ms=moment("--since", given["since"], now_ms),
        until_ms=moment("--until", given["until"], now_ms),
    )
