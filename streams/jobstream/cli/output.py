"""The output of commands: tables and JSON on stdout, remarks and progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.printable import finite, one_line, writes_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from jobstream.operate.scan import Progress

WIDE = 1_000
"""Columns of what is drawn anew again and again where no terminal limits them."""
PADDED_MAX = 200
"""A piped cell that is longer is whole, too, and only its own line is moved by it."""
QUIET_S = 5.0
"""How long nothing is said of how far something is, at least."""
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def take_any_text() -> None:
    """Let stdout and stderr escape what their encoding lacks, such as `…` in Latin-1.

    Without it the command would end there. Called once, before any command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON
    """One JSON document, indented."""
    say(_json(document, indent=2))


def print_json_line(document: Any) -> None:  # noqa: ANN401 - any JSON
    """One JSON document on one line, for streams of them."""
    say(_json(document))


def _json(document: Any, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON
    """JSON as RFC 8259 has it: NaN and infinities as texts, other letters where UTF-8 goes out."""
    in_utf8 = writes_utf8(sys.stdout)
    return json.dumps(
        finite(document), indent=indent, default=str, ensure_ascii=not in_utf8, allow_nan=False
    )


def say(text: str) -> None:
    """A line of result, on stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """A line beside the result, on stderr."""
    click.echo(text, err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table; a column whose name ends with `>` is set to the right.

    A terminal gets cells of at most 200 characters, anything else whole ones, a row on each line.
    """
    if sys.stdout.isatty():
        console().print(table(columns, rows, title))
        return
    if title:
        say(title)
    for line in whole(columns, rows):
        say(line)


def whole(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The lines of a table with nothing left out; what came with a job is still made harmless."""
    from rich.cells import cell_len  # noqa: PLC0415 - not needed for JSON

    right = [column.endswith(">") for column in columns]
    cells = [[column.removesuffix(">") for column in columns]]
    cells += [[one_line(str(cell), None) for cell in row] for row in rows]
    wide = [min(max(map(cell_len, column)), PADDED_MAX) for column in zip(*cells, strict=True)]

    def padded(row: list[str]) -> Iterator[str]:
        for cell, width, to_right in zip(row, wide, right, strict=True):
            room = " " * (width - cell_len(cell))
            yield room + cell if to_right else cell + room

    return ["  ".join(padded(row)).rstrip() for row in cells]


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> Table:
    """The same for a terminal, not printed yet.

    Cells are shown as they are, without markup, on one line each.
    """
    from rich.table import Table  # noqa: PLC0415 - not needed for JSON
    from rich.text import Text  # noqa: PLC0415 - as above

    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        name = column.removesuffix(">")
        made.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(one_line(str(cell))) for cell in row))
    return made


def console(*, err: bool = False) -> Console:
    """Where tables go: as wide as the terminal, or as wide as needed."""
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON

    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else WIDE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Progress of something long, on stderr: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        said = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal said
            if time.monotonic() - said >= QUIET_S:
                said = time.monotonic()
                remark(f"{what}: {done} of {total}")

        yield tell
        return
    from rich.progress import Progress as Bar  # noqa: PLC0415 - on a terminal only

    with Bar(console=console(err=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def when(epoch_ms: int) -> str:
    """A moment for a person, in local time to the millisecond, with its zone's offset."""
    moment = datetime.fromtimestamp(epoch_ms / 1000).astimezone()
    return moment.isoformat(sep=" ", timespec="milliseconds")


def local(text: str) -> str:
    """A moment that JSON has, for a person; a text that is none stays as it is."""
    try:
        return when(round(datetime.fromisoformat(text).timestamp() * 1000))
    except ValueError:
        return text


def iso(epoch_ms: int) -> str:
    """A moment for a machine, in UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds")


def age(seconds: float) -> str:
    """A length of time for a person: 0.3s, 42s, 12m, 5h, 3d."""
    if seconds < 10:  # noqa: PLR2004 - tenths matter below
        return f"{seconds:.1f}s"
    for limit, size, unit in ((120, 1, "s"), (7_200, _MINUTE_S, "m"), (172_800, _HOUR_S, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / _DAY_S:.0f}d"
