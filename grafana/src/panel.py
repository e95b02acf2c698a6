"""What a panel is, before it is Grafana's JSON: plain frozen data, checked by tests.

It holds no layout rules and builds nothing; `build.py` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RATE = "suffix:/s"
Unit = Literal["s", "percentunit", "short", "none", "suffix:/s", "bytes"]
Color = Literal["green", "yellow", "orange", "red", "blue", "purple", "text", "transparent"]


@dataclass(frozen=True, slots=True)
class At:
    """Where a panel stands on the grid of 24 columns; one row is 30 pixels high."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` upwards a value has this colour."""

    at: float
    color: Color


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a graph or a figure; `legend` names each series."""

    expr: str
    legend: str = ""
    dashed: bool = False
    """Drawn as a dashed line without a fill: a limit, an objective, a pair to the line before."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the values of an instant query, joined by the table's labels."""

    name: str
    expr: str
    unit: Unit = "short"
    decimals: int | None = None
    steps: tuple[Step, ...] = ()
    no_value: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """What every panel has. `key` is its stable name for tests, alerts and pictures."""

    key: str
    title: str
    meaning: str
    """What it shows, and when to worry."""
    unit: Unit
    at: At = At(0, 0, 0, 0)
    may_be_empty: str = ""
    """Why no data is the normal state; "" where no data is a defect."""


@dataclass(frozen=True, slots=True)
class Graph(Panel):
    """Lines over time."""

    queries: tuple[Query, ...] = ()
    stacked: bool = False
    steps: tuple[Step, ...] = ()
    """Drawn as dashed lines over the graph."""
    top: float | None = None
    """Where the axis ends, if it is known."""
    colors: tuple[tuple[str, Color], ...] = ()
    """Series that mean the same everywhere; the others get a colour from their name."""


@dataclass(frozen=True, slots=True)
class Figure(Panel):
    """One number per series, coloured by its steps."""

    queries: tuple[Query, ...] = ()
    steps: tuple[Step, ...] = ()
    decimals: int | None = None
    no_value: str = ""
    words: tuple[tuple[int, str, Color], ...] = ()
    """Numbers that are told as a word in a colour."""


@dataclass(frozen=True, slots=True)
class Table(Panel):
    """One line per combination of `labels`, one column per query."""

    labels: tuple[tuple[str, str], ...] = ()
    """Label and heading."""
    columns: tuple[Column, ...] = ()
    sort_by: str = ""
    link: tuple[str, str] | None = None
    """The label whose cells lead to another board, and that board's uid."""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; `question` is what its first row answers."""

    uid: str
    title: str
    question: str
    panels: tuple[Panel, ...]
    with_job_type: bool = False


GOOD = Step(0, "green")
QUIET = Step(0, "transparent")
"""For the cells of a table, where only trouble is to stand out."""
