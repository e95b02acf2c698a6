"""Finds jobs by a filter: the newest first, page by page, at a bounded cost a page.

A page takes its candidates from ranges of an index that give them in the order of the page. What no
range answers is looked at among a bounded number of candidates: where these are used up before the
page is full, the page is short and goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, case, func, literal_column, or_, select, tuple_

from jobstream.views.asking import cursor_of, place_in
from jobstream.views.db_tables import jobs, tallies
from jobstream.views.stored_text import indexed
from jobstream.views.view_answers import Count, RowPage, StoredJob

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select

    from jobstream.views.view_answers import JobFilter

    Tests = list[ColumnElement[bool]]

LIMIT_MAX = 500
CANDIDATES = 10_000
"""Rows that are looked at for one page or count, where not all that an index gives are meant."""
PARTS_MAX = 500
"""Ranges that a page is merged from, at most."""
COLUMNS = [jobs.c[name] for name in StoredJob.__dataclass_fields__]
_n, _at = jobs.c.n, jobs.c.at_ms
_SPARSE = {
    "parent": "parent_id", "fingerprint": "fingerprint", "key": "key", "tenant": "tenant",
}  # fmt: skip
_LISTS = {"job_type": "types", "queue": "queues", "state": "states"}
_SEARCHED = ("args", "id", "key", "tenant", "error", "message")


class _Plan(NamedTuple):
    """How candidates are found, and what is then looked at."""

    parts: list[Tests]
    """Ranges of an index, each without gaps."""
    rest: Tests


def find(
    connection: Connection, wanted: JobFilter, after: str | None, limit: int
) -> RowPage[StoredJob]:
    """A page of the jobs that the filter means, the newest first."""
    limit = max(1, min(limit, LIMIT_MAX))
    place = place_in(after, int, int)
    plan = _plan(connection, wanted)
    bounds = _bounds(wanted, place)
    many = max(limit + 1, CANDIDATES // max(1, len(plan.parts))) if plan.rest else limit + 1
    found: list[Any] = []
    frontier: tuple[int, int] | None = None
    for part in plan.parts:
        range_ = [*part, *bounds]
        found += connection.execute(_rows(range_, plan.rest, many, limit + 1))
        # Beyond the last candidate of a range nobody has looked.
        last = connection.execute(_last(range_, many)).first() if plan.rest else None
        if last is not None:
            frontier = max(frontier or (0, 0), (last.at_ms, last.n))
    found.sort(key=lambda row: (row.at_ms, row.n), reverse=True)
    if frontier is not None:
        found = [row for row in found if (row.at_ms, row.n) >= frontier]
    shown = found[:limit]
    if len(found) > limit:
        frontier = shown[-1].at_ms, shown[-1].n
    rows = tuple(job_row(row) for row in shown)
    return RowPage(rows, cursor_of(*frontier) if frontier is not None else None)


def job_row(row: Any) -> StoredJob:  # noqa: ANN401 - a row of the driver
    """The row as it is handed out."""
    made = {name: getattr(row, name) for name in StoredJob.__dataclass_fields__}
    for name in ("awaits_code", "letter_open", "args_cut"):
        made[name] = bool(made[name])
    return StoredJob(**made)


def count(connection: Connection, wanted: JobFilter, at_most: int) -> Count:
    """How many jobs the filter means; looks at `at_most` at most, at fewer where texts are read."""
    bounds, plan = _bounds(wanted, None), _plan(connection, wanted)
    if not plan.rest and not bounds and not _sparse(wanted):
        made = select(func.coalesce(func.sum(tallies.c.n), 0))
        for name, values in _given(wanted).items():
            made = made.where(tallies.c[name].in_(values))
        return Count(int(connection.execute(made).scalar_one()), exact=True)
    many = min(at_most, CANDIDATES) if plan.rest else at_most
    n = looked = 0
    for part in plan.parts:
        fits = case((and_(*plan.rest), 1), else_=0) if plan.rest else literal_column("1")
        inner = select(fits.label("fits")).select_from(jobs).where(*part, *bounds)
        some = inner.limit(many - looked + 1).subquery()
        made = select(func.count(), func.sum(some.c.fits)).select_from(some)
        candidates, fitting = connection.execute(made).one()
        looked += candidates
        n += int(fitting or 0)
        if looked > many:
            return Count(min(n, at_most), exact=False)
    return Count(n, exact=True)


def _sparse(wanted: JobFilter) -> dict[str, str]:
    """Column → value, of what few jobs have."""
    found = ((column, getattr(wanted, name)) for name, column in _SPARSE.items())
    # As they are stored.
    return {column: indexed(value) for column, value in found if value}


def _given(wanted: JobFilter) -> dict[str, tuple[str, ...]]:
    found = ((column, getattr(wanted, name)) for column, name in _LISTS.items())
    return {column: tuple(values) for column, values in found if values}


def _plan(connection: Connection, wanted: JobFilter) -> _Plan:
    sparse, lists, rest = _sparse(wanted), _given(wanted), _text(wanted)
    listed = [jobs.c[name].in_(values) for name, values in lists.items()]
    if sparse:
        (first, value), *others = sparse.items()
        rest = [*rest, *listed, *(jobs.c[name] == each for name, each in others)]
        return _Plan([[jobs.c[first] == value]], rest)
    if not lists:
        return _Plan([[]], rest)
    column = "job_type" if wanted.types else "queue"
    there = select(tallies.c[column], tallies.c.state).where(tallies.c.n > 0).distinct()
    for name, values in lists.items():
        there = there.where(tallies.c[name].in_(values))
    pairs = list(connection.execute(there.limit(PARTS_MAX + 1)))
    if len(pairs) > PARTS_MAX:
        return _Plan([[]], [*rest, *listed])
    if wanted.types and wanted.queues:
        rest = [*rest, jobs.c.queue.in_(wanted.queues)]
    return _Plan([[jobs.c[column] == one, jobs.c.state == state] for one, state in pairs], rest)


def _text(wanted: JobFilter) -> Tests:
    if not wanted.text:
        return []
    columns = [jobs.c[name] for name in _SEARCHED]
    return [or_(*(column.icontains(wanted.text, autoescape=True) for column in columns))]


def _bounds(wanted: JobFilter, place: tuple[Any, ...] | None) -> Tests:
    found: Tests = []
    if wanted.since_ms is not None:
        found.append(_at >= wanted.since_ms)
    if wanted.until_ms is not None:
        found.append(_at < wanted.until_ms)
    if place is not None:
        found.append(tuple_(_at, _n) < tuple_(*place))
    return found


def _rows(range_: Tests, rest: Tests, many: int, limit: int) -> Select[Any]:
    """The first rows of the range that fit, of the first `many`."""
    newest = (_at.desc(), _n.desc())
    if not rest:
        return select(*COLUMNS, _n).where(*range_).order_by(*newest).limit(limit)
    inner = select(_n).where(*range_).order_by(*newest).limit(many).subquery()
    joined = select(*COLUMNS, _n).join(inner, inner.c.n == _n).where(*rest)
    return joined.order_by(*newest).limit(limit)


def _last(range_: Tests, many: int) -> Select[Any]:
    """The last candidate, if there are as many as are looked at."""
    made = select(_at, _n).where(*range_).order_by(_at.desc(), _n.desc())
    return made.limit(1).offset(many - 1)
