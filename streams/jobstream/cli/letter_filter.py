"""The options that choose dead letters, the filter they make, and the letters that it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobstream.cli.options import moment, tell_missing
from jobstream.cli.output import progress, remark
from jobstream.cli.printable import one_line
from jobstream.cli.value_types import MOMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.cli.app_name import AppName
    from jobstream.operate.failed_redrives import Trials
    from jobstream.operate.filters import LetterFilter
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.view import AppView

_Function = TypeVar("_Function", bound="Callable[..., Any]")

# fmt: off
_OPTIONS = (
    click.option("--id", "ids", multiple=True, metavar="ID",
                 help="Letters of this job; repeatable. The first characters of a UUID will do."),
    click.option("--type", "job_types", multiple=True, metavar="TYPE",
                 help="Letters of this job type; * stands for any text; repeatable."),
    click.option("--error", metavar="CLASS",
                 help="Letters with this error class, with or without its module; * stands for any "
                      "text."),
    click.option("--reason", metavar="REASON",
                 help="Letters with this reason; * stands for any text."),
    click.option("--fingerprint", "fingerprints", multiple=True, metavar="FINGERPRINT",
                 help="Letters of this cause, as `dlq groups` shows it; repeatable. The first 4 "
                      "characters will do."),
    click.option("--since", metavar="TIME", type=MOMENT,
                 help="Letters of this time or later, as in 2h (2 hours ago) or 2026-01-31T12:00."),
    click.option("--until", metavar="TIME", type=MOMENT, help="Letters from before this time."),
)
# fmt: on


def filter_options(function: _Function) -> _Function:
    """Add the options that choose letters to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def filter_of(given: Mapping[str, Any], now_ms: Callable[[], int]) -> LetterFilter:
    """The filter that the options say; raises ConfigError for what is no moment.

    `now_ms` is broker time, as letters are dated by it; it is asked only for a length of time.
    """
    from jobstream.operate.filters import LetterFilter  # noqa: PLC0415 - with the command only

    return LetterFilter(
        ids=given["ids"],
        job_types=given["job_types"],
        error=given["error"],
        reason=given["reason"],
        fingerprints=given["fingerprints"],
        since_ms=moment("--since", given["since"], now_ms),
        until_ms=moment("--until", given["until"], now_ms),
    )


def chosen(
    app: AppName,
    view: AppView,
    queue: str | None,
    wanted: LetterFilter,
    said: str,
    *,
    trials: Trials | None = None,
) -> list[Letter]:
    """The open letters that pass, the oldest first; remarks on none, and on a shortened id.

    `said` is the filter as it was typed; `trials` takes what the log tells of redrives. Raises
    NotThere for an unknown name.
    """
    from jobstream.operate.name_check import (  # noqa: PLC0415 - as above
        require_known,
        whole_fingerprints,
        whole_ids,
    )
    from jobstream.operate.open_letters import open_letters  # noqa: PLC0415 - with the command only

    with progress("reading dead letters") as heard:
        letters = open_letters(view, view.queues(queue), heard, trials)
    require_known(wanted, letters, view.catalogue.job_types())
    exact = whole_fingerprints(whole_ids(wanted, letters), letters)
    for short, job_id in zip(wanted.ids, exact.ids, strict=True):
        if short != job_id:
            remark(f"{short} is job {one_line(job_id)}")
    found = [letter for letter in letters if exact.passes(letter)]
    tell_missing(app, view, queue)
    if not letters:
        remark("no open dead letters")
    elif not found:
        remark(f"none of {len(letters)} open letters matches {one_line(said)}")
    return found


def said(given: Mapping[str, Any]) -> str:
    """The options as they were typed."""
    names = {"ids": "id", "job_types": "type", "fingerprints": "fingerprint"}
    return " ".join(
        f"--{names.get(name, name)} {value}"
        for name, values in given.items()
        for value in (values if isinstance(values, tuple) else (values,))
        if value is not None
    )
