"""From one record to what it changes. Pure but for the catalogue of schemas that it reads by.

Records are hostile input: whatever can't be read is counted as `Unread`, with its reason, and
whatever of it can be read is told all the same. Nothing here raises.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jobstream.kafka.follow.control_topic import entry_of
from jobstream.operate.history import cause_told, closing_told, told_of
from jobstream.operate.job_events import EventReader, schema_of, type_by
from jobstream.views.changes import (
    ActTold,
    Beat,
    Change,
    EntryTold,
    HistoryLine,
    JobTold,
    LetterTold,
    MarkTold,
    Unread,
)
from jobstream.views.facts import NOTHING, Facts
from jobstream.views.stored_text import (
    ARGS_CHARS_MAX,
    TEXT_CHARS_MAX,
    cleaned,
    indexed,
    indexed_bytes,
    to_json,
)
from jobstream_processors.core.fingerprint import cause_of
from jobstream_processors.core.headers import FIRST, Carried, headers_of, parse
from jobstream_processors.core.identity import from_origin
from jobstream_processors.core.known import DEAD, DONE, LIMIT_PREFIX, TERMINAL, Parked, rank_of
from jobstream_processors.core.ladder import wait_on
from jobstream_processors.core.letters import fingerprint_in, release_in
from jobstream_processors.errors import BadHeaders, InvalidOption
from jobstream_schemas import (
    CLAIM_KEY,
    DecodeError,
    OrderRecord,
    ScheduleRecord,
    decode_mirror,
    decode_schedule,
    encode_schedule,
    parse_row,
    parse_schedule_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.views.changes import Where
    from jobstream_processors.ports import Record
    from jobstream_schemas import Catalogue, Row

STRANGE_MAX = 10_000
STRANGE_S = 30.0
"""How often a schema that nobody has published is looked for."""
ID_CHARS_MAX = 600
"""Longer ones are none of ours: an id has 128, a place two hundred more."""


class Fold:
    """Reads the records of one app. Used by one thread."""

    def __init__(self, catalogue: Catalogue, learn: Callable[[], object] = int) -> None:
        """`learn` reads new schemas into the catalogue; asked where a record names none it knows.

        Producers publish a schema before the first job of it.
        """
        self._catalogue = catalogue
        self._learn = learn
        self._strange: dict[bytes, float] = {}
        """Fingerprints that stayed unknown, and when they were asked about last."""
        self._events = EventReader(catalogue)
        self._kinds = {
            "queue": self._copy,
            "rung": self._copy,
            "dlq": self._letter,
            "dedup": self._row,
            "control": self._control,
            "schedules": self._schedule,
            "offsets": self._mirror,
        }

    def changes(self, record: Record, where: Where) -> Iterator[Change]:
        """What the record changes; nothing for one that tells nothing."""
        return self._kinds[where.kind](record, where)

    def _type(self, fingerprint: bytes) -> str:
        """The job type of a schema, "" if it stays unknown."""
        if fingerprint and self._catalogue.get(fingerprint) is None:
            now_s = time.monotonic()
            if now_s >= self._strange.get(fingerprint, 0.0):
                self._learn()
                if len(self._strange) >= STRANGE_MAX:
                    self._strange.clear()
                self._strange[fingerprint] = now_s + STRANGE_S
        return indexed(type_by(self._catalogue, fingerprint))

    def _copy(self, record: Record, where: Where) -> Iterator[Change]:
        offset, at_ms, value = record.offset() or 0, record.timestamp()[1], record.value()
        here = [at_ms, where.topic, where.partition, offset]
        event: list[Any] = []
        try:
            carried = parse(headers_of(record))
        except BadHeaders as error:
            yield Unread(where.topic, where.partition, offset, at_ms, str(error))
            carried, job_id, args = FIRST, self._place(here), None
        else:
            self._type(schema_of(value or b""))
            try:
                read = self._events.read(value or b"")
            except DecodeError as error:
                yield Unread(where.topic, where.partition, offset, at_ms, str(error))
                job_id, event, args = self._named(value, carried, here)
            else:
                meta, args = read.meta, to_json(read.args)
                job_id = indexed(meta["id"])
                keys = ("order_key", "fair_key", "parent_id", "correlation_id", "unique_key")
                texts = [None if meta[k] is None else indexed(meta[k]) for k in keys]
                event = [indexed(read.job_type), *texts, cleaned(meta["source"])]
        plain = carried == FIRST and not where.rung
        facts = Facts(
            origin=[*here, where.queue],
            event=event,
            copy=_copy_part(carried, here, where.rung, event),
            first=[*here, where.topic_id] if plain else [],
        )
        entry = None
        if not plain:
            told = told_of(carried)
            detail = {"rung": where.rung, **told} if where.rung else told
            what = "waits" if where.rung else "queued"
            entry = self._entry(where, record, what, detail, carried.traceback)
        cut = args is not None and len(args) > ARGS_CHARS_MAX
        yield JobTold(job_id, facts, entry, args[:ARGS_CHARS_MAX] if args else args, cut)

    def _named(
        self, value: bytes | None, carried: Carried, here: list[Any]
    ) -> tuple[str, list[Any], None]:
        """The id of an event whose args can't be read: its own if `meta` can be."""
        try:
            decoded = self._catalogue.decode(value or b"")
        except DecodeError:
            job_id = indexed(f"@{carried.origin}") if carried.origin else self._place(here)
            return job_id, [], None
        keys = (decoded.order_key, decoded.fair_key, decoded.parent_id, decoded.correlation_id)
        texts = [None if k is None else indexed(k) for k in (*keys, decoded.unique_key)]
        job_type = indexed(type_by(self._catalogue, decoded.fingerprint))
        return indexed(decoded.id), [job_type, *texts, cleaned(decoded.source)], None

    @staticmethod
    def _place(here: list[Any]) -> str:
        return from_origin(here[1], here[2], here[3])

    def _row(self, record: Record, where: Where) -> Iterator[Change]:
        key, value = record.key() or b"", record.value()
        if value is None or key == CLAIM_KEY:
            return
        offset, at_ms = record.offset() or 0, record.timestamp()[1]
        try:
            row = parse_row(key, value)
        except DecodeError as error:
            yield Unread(where.topic, where.partition, offset, at_ms, str(error))
            return
        if row.id.startswith(LIMIT_PREFIX) or row.kind in {"claim", "limit"}:
            return
        if not row.id or len(row.id) > ID_CHARS_MAX:
            reason = f"a row about an id of {len(row.id)} characters"
            yield Unread(where.topic, where.partition, offset, at_ms, reason)
            return
        told = {"state": row.state or row.kind, "redrive": row.redrive, "seq": row.seq}
        told["attempt"] = row.attempt
        if row.detail:
            told["detail"] = cleaned(row.detail)
        plain = row.kind == "job" and row.state == DONE
        entry = None if plain else self._entry(where, record, "row", told)
        job_type = self._type(row.fingerprint)
        facts = _row_facts(row, [at_ms, where.partition, offset], where, job_type)
        beat = _beat(row, job_type, where.queue, at_ms)
        yield JobTold(indexed(row.id), facts, entry, beat=beat)

    def _letter(self, record: Record, where: Where) -> Iterator[Change]:
        raw, value = record.key() or b"", record.value()
        offset, at_ms = record.offset() or 0, record.timestamp()[1]
        key = indexed(raw[:TEXT_CHARS_MAX].decode(errors="replace"))
        job_id, _, number = key.rpartition(":")
        redrive = int(number) if number.isascii() and number.isdigit() and len(number) < 8 else None  # noqa: PLR2004
        is_ours = bool(job_id) and redrive is not None and len(raw) <= ID_CHARS_MAX
        carried, trouble, headers = FIRST, "", {}
        if value is not None:
            try:
                there = headers_of(record)
                headers, carried = dict(there or ()), parse(there)
            except BadHeaders as error:
                trouble = str(error)
                carried = Carried(reason="bad_headers", message=trouble[:TEXT_CHARS_MAX])
        if not is_ours:
            trouble = trouble or f"key {raw[:80]!r} is not <id>:<redrive>"
        if trouble:
            yield Unread(where.topic, where.partition, offset, at_ms, trouble)
        job_type = "" if value is None else self._type(schema_of(value))
        fingerprint = "" if value is None else fingerprint_in(headers, job_type, carried)
        row = None
        if value is not None:
            row = {
                "queue": where.queue,
                "job_id": job_id or key,
                "redrive": redrive or 0,
                "job_type": job_type,
                "reason": cleaned(carried.reason),
                "error": cleaned(carried.error),
                "message": cleaned(carried.message),
                "frame": cleaned(carried.frame),
                "fingerprint": fingerprint,
                "release": cleaned(release_in(headers)),
                "died_ms": at_ms,
                "trouble": cleaned(trouble),
            }
        yield LetterTold(where.topic, where.partition, key, offset, row)
        if not is_ours:
            return
        part: list[Any] = [
            redrive,
            where.partition,
            offset,
            value is not None,
            at_ms,
            carried.attempt,
        ]
        part += [cleaned(carried.reason), cleaned(carried.error), cleaned(carried.message)]
        part += [cleaned(carried.frame), fingerprint, where.queue]
        if value is None:
            what, told = "letter closed", {"redrive": redrive, **closing_told(record)}
            if told.get("who"):
                place = (where.topic_id, where.topic, where.partition, offset, at_ms)
                act, who, why = (cleaned(str(told.get(n, ""))) for n in ("closed", "who", "why"))
                yield ActTold(*place, "letter", job_id, act, who, why, None)
        else:
            listed = [(name, raw or b"") for name, raw in headers.items()]
            what = "dead letter"
            told = told_of(carried) | cause_told(listed, job_type, carried)
        entry = self._entry(where, record, what, told, carried.traceback)
        yield JobTold(job_id, Facts(letter=part, job_type=job_type), entry)

    def _control(self, record: Record, where: Where) -> Iterator[Change]:
        key, value = record.key() or b"", record.value()
        offset, at_ms = record.offset() or 0, record.timestamp()[1]
        place = (where.topic_id, where.topic, where.partition, offset, at_ms)
        stored = indexed_bytes(key)
        kind, _, subject = cleaned(key.decode(errors="replace")).partition(":")
        if value is not None:
            try:
                order = entry_of(record)
            except (DecodeError, InvalidOption) as error:
                yield Unread(where.topic, where.partition, offset, at_ms, str(error))
                yield EntryTold(where.kind, where.partition, stored, offset, at_ms, None)
                return
            who, why = cleaned(order.who), cleaned(order.why)
            subject = cleaned(order.subject)
            yield ActTold(*place, order.kind, subject, "set", who, why, order.expires_ms)
        else:
            yield ActTold(*place, kind, subject, "lifted", "", "", None)
        yield EntryTold(where.kind, where.partition, stored, offset, at_ms, value)

    def _schedule(self, record: Record, where: Where) -> Iterator[Change]:
        key, value = record.key() or b"", record.value()
        offset, at_ms, stored = record.offset() or 0, record.timestamp()[1], indexed_bytes(key)
        try:
            kind, name, _ = parse_schedule_key(key)
            entry = decode_schedule(key, value) if value is not None else None
        except DecodeError as error:
            yield Unread(where.topic, where.partition, offset, at_ms, str(error))
            yield EntryTold(where.kind, where.partition, stored, offset, at_ms, value)
            return
        place = (where.topic_id, where.topic, where.partition, offset, at_ms)
        if isinstance(entry, ScheduleRecord):
            # Its args may hold secrets, and its row is for when, not for what.
            value = encode_schedule(entry._replace(event=b""))
            who = cleaned(entry.who)
            yield ActTold(*place, f"schedule_{kind}", cleaned(name), "set", who, "", None)
        elif isinstance(entry, OrderRecord):
            who, why = cleaned(entry.who), cleaned(entry.why)
            kind = f"schedule_{entry.kind}"
            yield ActTold(*place, kind, cleaned(name), "set", who, why, entry.until_ms or None)
        elif entry is None and kind in {"schedule", "pause"}:
            yield ActTold(*place, f"schedule_{kind}", cleaned(name), "lifted", "", "", None)
        yield EntryTold(where.kind, where.partition, stored, offset, at_ms, value)

    @staticmethod
    def _mirror(record: Record, where: Where) -> Iterator[Change]:
        value = record.value()
        if value is None:
            return
        offset, at_ms = record.offset() or 0, record.timestamp()[1]
        try:
            mirror = decode_mirror(value)
        except DecodeError as error:
            yield Unread(where.topic, where.partition, offset, at_ms, str(error))
            return
        names = indexed(mirror.group), cleaned(mirror.topic), indexed(mirror.topic_id)
        yield MarkTold(*names, mirror.partition, mirror.position, at_ms, mirror.is_reset)

    @staticmethod
    def _entry(
        where: Where, record: Record, what: str, detail: dict[str, Any], traceback: str = ""
    ) -> HistoryLine:
        return HistoryLine(
            where.topic_id,
            where.topic,
            where.partition,
            record.offset() or 0,
            record.timestamp()[1],
            what,
            where.queue,
            to_json(detail),
            cleaned(traceback),
        )


def _cause(event: list[Any], carried: Carried) -> str:
    """The fingerprint of the last failure, as a letter of it would have; "" where none is told."""
    return cause_of(event[0] if event else "", carried).fingerprint if carried.error else ""


def _copy_part(carried: Carried, here: list[Any], rung: str, event: list[Any]) -> list[Any]:
    at_ms = here[0]
    due_ms = wait_on(rung, at_ms, carried.due_ms, carried.delay_ms).due_ms if rung else None
    return [
        *(carried.redrive, carried.seq, *here, rung, carried.attempt, due_ms),
        *(cleaned(carried.waits), carried.waits_since_ms, carried.first_failed_ms),
        *(carried.unknown_since_ms is not None, cleaned(carried.error), cleaned(carried.message)),
        *(cleaned(carried.frame), _cause(event, carried)),
    ]


def _row_facts(row: Row, at: list[int], where: Where, job_type: str) -> Facts:
    earliest = [-each for each in at]
    detail = cleaned(row.detail)
    if row.kind == "job" and row.state == DONE:
        numbers = [row.attempt, row.redrive, row.seq, detail]
        done = [*earliest, *numbers, where.topic, where.queue, where.topic_id]
        return Facts(done=done, job_type=job_type)
    if row.kind == "job":
        rank = rank_of(row.state)
        ended = [row.redrive, rank, *earliest, row.attempt, detail, where.queue]
        return Facts(ended=ended, job_type=job_type)
    if row.kind == "moved":
        return Facts(moved=[row.redrive, row.seq], job_type=job_type)
    if row.kind == "parked":
        parked = Parked.told(row.attempt, row.due, row.detail)
        return Facts(parked=[row.redrive, row.seq, *parked, at[0]], job_type=job_type)
    if row.kind == "crash":
        return Facts(crashes=[row.redrive, row.attempt], job_type=job_type)
    return NOTHING


def _beat(row: Row, job_type: str, queue: str, at_ms: int) -> Beat | None:
    if row.kind == "job":
        outcome = row.state if row.state in {DONE, DEAD} else "ended"
        outcome = {DONE: "done", DEAD: "dead"}.get(outcome, "ended")
        return Beat(job_type, queue, at_ms, outcome) if row.state in TERMINAL else None
    if row.kind == "parked" and Parked.told(row.attempt, row.due, row.detail).first_failed_ms:
        return Beat(job_type, queue, at_ms, "retried")
    return None
