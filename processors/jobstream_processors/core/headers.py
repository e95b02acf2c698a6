"""What changes on a job's way rides in `js-` headers; the event's bytes never change.

A first delivery has none of these headers. They are hostile input: anything out of its bounds makes
`parse` raise BadHeaders, and the record becomes a dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, Protocol

from jobstream_processors.errors import BadHeaders
from jobstream_schemas.errors import caused

if TYPE_CHECKING:
    from collections.abc import Sequence

Headers = list[tuple[str, bytes]]

PREFIX = "js-"
TRACEBACK = "js-traceback"
TEXT_BYTES_MAX = 1_000
TRACEBACK_BYTES_MAX = 8_000
RELEASE_BYTES_MAX = 128
"""Bytes of a release's name, which every dead letter carries."""
HEADERS_MAX = 64
LETTER_HEADERS_MAX = 4
"""Headers that a dead letter adds to those of `render`; it must stay readable when redriven."""
EPOCH_MS_MAX = 1 << 45
"""The latest time that a header may hold, in the year 3084."""
OFFSET_MAX = 10**15 - 1
"""The highest offset that a header may hold."""
_LIMITS = {
    "redrive": 1_000_000,
    "seq": 1_000_000,
    "attempt": 1_000_000,
    "delay-ms": EPOCH_MS_MAX,
    "due-ms": EPOCH_MS_MAX,
    "enqueued-ms": EPOCH_MS_MAX,
    "first-failed-ms": EPOCH_MS_MAX,
    "unknown-since-ms": EPOCH_MS_MAX,
    "partition": 1_000_000,
    "snoozes": 1_000_000,
    "waits-since-ms": EPOCH_MS_MAX,
    "scheduled-ms": EPOCH_MS_MAX,
    "place": OFFSET_MAX,
}
_TEXTS = {
    **dict.fromkeys(("error", "message", "frame"), TEXT_BYTES_MAX),
    "traceback": TRACEBACK_BYTES_MAX,
    **dict.fromkeys(("reason", "origin", "trace", "waits", "schedule"), TEXT_BYTES_MAX),
}
"""Bytes of each text, at most."""
_FIELDS = {name: name.replace("-", "_") for name in (*_LIMITS, *_TEXTS)}
"""The field of `Carried` that each header has, in the order in which copies carry them."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Where a copy of a job is on its way. The default is a first delivery."""

    redrive: int = 0
    seq: int = 0
    attempt: int = 1
    delay_ms: int | None = None
    """Wait from the record's append; replaced by `due_ms` at the first hop."""
    due_ms: int | None = None
    enqueued_ms: int | None = None
    """When the job's first record was appended, since its last redrive; None on that record.

    By the broker: its expiry counts from then, and no producer's clock comes in.
    """
    first_failed_ms: int | None = None
    unknown_since_ms: int | None = None
    """Since when it waits for a worker that knows its type."""
    partition: int | None = None
    """The queue partition it goes back to."""
    snoozes: int = 0
    scheduled_ms: int | None = None
    """The tick of the schedule that it is the job of; every copy keeps it."""
    schedule: str = ""
    """The name of that schedule; every copy keeps it, too."""
    error: str = ""
    message: str = ""
    frame: str = ""
    """Where the last failure was raised, as a line of the user's code."""
    traceback: str = ""
    """That of the last failure, as far as the record has room for it."""
    reason: str = ""
    origin: str = ""
    """topic:partition:offset of the record it was copied from first."""
    waits: str = ""
    """Why its turn is later, in one word; "" where it waits for nothing but its time."""
    waits_since_ms: int | None = None
    """Since when it has waited for that."""
    place: int | None = None
    """The offset at which it asked first for its unique key, which it holds or waits for."""
    trace: str = ""
    """Where its trace began and when this copy was made; only tracing writes and reads it."""


class HasHeaders(Protocol):
    """A record, as far as it is looked at here."""

    def headers(self) -> Headers | None:
        """Its headers, None if there are none."""


FIRST: Final = Carried()
NOT_UTF8 = "a header's name is not UTF-8: the record's headers can't be read, nor copied"
ask_headers: Final = methodcaller("headers")
"""Not `record.headers()`: once Python has specialised such a call it no longer looks whether C code
that returned something also raised, and the client library does both for a name that is no text."""


def headers_of(record: HasHeaders) -> Headers | None:
    """A record's headers, None if there are none; raises BadHeaders if they can't be had.

    To be called once per record: of a name that is not UTF-8 the client library (confluent-kafka
    2.16) raises the first time and then hands out a list with nothing in the name's place, which
    ends the process that touches it.
    """
    try:
        headers: Headers | None = ask_headers(record)
    except (SystemError, UnicodeDecodeError) as error:
        raise caused(BadHeaders(NOT_UTF8), error) from error
    return headers


def parse(headers: Sequence[tuple[str, bytes | None]] | None) -> Carried:
    """What a record's headers carry; raises BadHeaders."""
    if not headers:
        return FIRST
    if len(headers) > HEADERS_MAX:
        message = f"{len(headers)} headers; at most {HEADERS_MAX}"
        raise BadHeaders(message)
    found: dict[str, Any] = {}
    for full, raw in headers:
        name = full.removeprefix(PREFIX)
        field = _FIELDS.get(name) if full.startswith(PREFIX) else None
        if field is None:
            continue
        if field in found:
            message = f"header {full} is there twice"
            raise BadHeaders(message)
        if name in _LIMITS:
            found[field] = _number(full, raw, _LIMITS[name])
        else:
            found[field] = _text(full, raw or b"", _TEXTS[name])
    if found.get("attempt", 1) < 1:
        message = f"header {PREFIX}attempt={found['attempt']}: attempts count from 1"
        raise BadHeaders(message)
    return Carried(**found) if found else FIRST


def _number(full: str, raw: bytes | None, limit: int) -> int:
    # isdigit alone would accept other scripts' digits; a short ASCII run is all we ever write.
    if raw is None or not raw.isdigit() or len(raw) > 15 or int(raw) > limit:  # noqa: PLR2004
        message = f"header {full}={raw!r} is not a whole number from 0 to {limit}"
        raise BadHeaders(message)
    return int(raw)


def _text(full: str, raw: bytes, limit: int) -> str:
    # A longer or broken one is not of our writing, and an origin becomes part of a row's key.
    if len(raw) > limit:
        message = f"header {full} has {len(raw)} bytes; at most {limit}"
        raise BadHeaders(message)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        message = f"header {full} is not UTF-8: {error.reason} at byte {error.start}"
        raise caused(BadHeaders(message), error) from error


def render(carried: Carried, before: Sequence[tuple[str, bytes | None]] | None = None) -> Headers:
    """The headers of a copy: foreign ones of `before` are kept, ours are written anew."""
    ours: Headers = []
    for name, field in _FIELDS.items():
        value = getattr(carried, field)
        if name in _TEXTS:
            ours += [(PREFIX + name, cut(value, _TEXTS[name]))] if value else []
        elif value is not None and (value or name != "snoozes"):
            ours.append((PREFIX + name, b"%d" % value))
    return [*foreign(before)[: HEADERS_MAX - LETTER_HEADERS_MAX - len(ours)], *ours]


def foreign(headers: Sequence[tuple[str, bytes | None]] | None) -> tuple[tuple[str, bytes], ...]:
    """Those that are not ours."""
    return tuple((n, v or b"") for n, v in headers or () if not n.startswith(PREFIX))


def scheduled(schedule: str, tick_ms: int) -> Headers:
    """The headers of a tick's first delivery, which has no other of ours."""
    tick = (f"{PREFIX}scheduled-ms", b"%d" % tick_ms)
    return [tick, (f"{PREFIX}schedule", schedule.encode())]


def cut(text: str, limit: int) -> bytes:
    """The text in at most `limit` bytes, as a header holds it."""
    # File names in error messages may hold surrogates, which have no UTF-8: write them escaped.
    raw = text[:limit].encode("utf-8", "backslashreplace")
    return raw[:limit].decode("utf-8", "ignore").encode()
