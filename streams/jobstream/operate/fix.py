"""A dead job corrected: a new job in its place, acknowledged, and then its letter closed.

The new job's id is derived from the letter, so a command that is killed in between and repeated
makes the same job, which runs once; a repeat with other values is a conflict of ids, which becomes
a dead letter and is never silent.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from jobstream.operate.correction import NEEDS_CODE, corrected_args, fields_of, value_of
from jobstream.operate.errors import CannotFix
from jobstream.operate.job_events import unmasked_args
from jobstream.operate.open_letters import Original, with_originals
from jobstream.operate.redrive import ELSEWHERE, Closures, publish, tombstone
from jobstream_processors.core.closings import FIXED
from jobstream_processors.core.identity import from_letter
from jobstream_processors.core.partition import partition_for
from jobstream_processors.ports import Outgoing
from jobstream_schemas import DecodeError, Meta, frame_of
from jobstream_schemas.meta import encode_meta

if TYPE_CHECKING:
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.redrive import By, Publisher
    from jobstream.operate.view import AppView
    from jobstream_schemas import Decoded, Reader

ENQUEUE_BYTES_MAX = 900_000


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be another value."""

    values: Mapping[str, object]
    """By field, in the JSON form that `enqueue` takes."""
    texts: Mapping[str, str]
    """The same as typed: numbers and truth values are read where the field holds such."""

    def of(self, schema: Any) -> dict[str, object]:  # noqa: ANN401 - a job's schema
        """The values, by the types of this schema's fields."""
        fields = fields_of(schema)
        read = {name: value_of(text, fields.get(name)) for name, text in self.texts.items()}
        return {**self.values, **read}


@dataclass(frozen=True, slots=True)
class Fixed:
    """A corrected job on its queue."""

    job_id: str
    """Of the new job."""
    fixes: str
    """The id of the dead one, which is the new one's parent."""
    closed: str
    """"" if the letter is closed; else why it is not, and the same fix may be repeated."""


class Corrects(Protocol):
    """The app's own code, as far as a correction needs it."""

    def __call__(
        self, old: Decoded, redrive: int, job_type: str, args: object, changes: Changes
    ) -> str | None:
        """Enqueue the job with these JSON args and changes; its id. None if it has no such type."""


def fix(
    view: AppView,
    sink: Publisher,
    letter: Letter,
    changes: Changes,
    *,
    by: By,
    correct: Corrects | None = None,
) -> Fixed:
    """Enqueue the corrected job, then close the letter; blocks for both acknowledgements.

    Raises CannotFix, and nothing was written then, or what the enqueue raises.
    """
    if not changes.values and not changes.texts:
        message = "nothing is changed: give --set FIELD=VALUE, or redrive the job as it is"
        raise CannotFix(message)
    closures = Closures(view, [letter])
    original = _original(view, letter)
    try:
        reader, old = view.catalogue.read(original.value)
    except DecodeError as error:
        message = f"job {letter.id} can't be read, so not corrected: {error}"
        raise CannotFix(message) from error
    if closures.among([letter]):
        message = f"letter of job {letter.id}: {ELSEWHERE}; nothing was written"
        raise CannotFix(message)
    new_id = None
    if correct is not None:
        args = unmasked_args(reader, original.value)
        new_id = correct(old, letter.redrive, reader.job_type, args, changes)
    if new_id is None:
        record = corrected_record(view, letter, original.value, changes)
        new_id = from_letter(old.id, letter.redrive)
        if failed := publish(sink, [record]):
            message = f"the corrected job was not acknowledged: {failed[0]}; repeat the same fix"
            raise CannotFix(message)
    unclosed = publish(sink, [tombstone(letter, by.closing(FIXED, letter, new_id))])
    still = f"the letter of {letter.id} is still open: {unclosed[0]}" if unclosed else ""
    return Fixed(new_id, letter.id, still)


def corrected_record(view: AppView, letter: Letter, value: bytes, changes: Changes) -> Outgoing:
    """The new job's record, made by the schema that wrote the old one; raises CannotFix."""
    reader, old = view.catalogue.read(value)
    _require_plain(reader, old)
    args = corrected_args(reader, value[old.args_bytes_at :], changes.of(reader.schema))
    job_id = from_letter(old.id, letter.redrive)
    meta = Meta(
        id=job_id,
        enqueued_at=time.time_ns() // 1_000_000,
        source=platform.node()[:128],
        expires_in_ms=old.expires_in_ms,
        parent_id=old.id,
        correlation_id=old.correlation_id or old.id,
    )
    event = frame_of(reader.fingerprint) + encode_meta(meta) + args
    if len(event) > ENQUEUE_BYTES_MAX:
        message = f"the corrected job has {len(event)} bytes; at most {ENQUEUE_BYTES_MAX}"
        raise CannotFix(message)
    (queue,) = view.queues(letter.queue)
    partition = partition_for(job_id.encode(), queue.counts[queue.topic])
    return Outgoing(queue.topic, job_id.encode(), event, partition)


def _require_plain(reader: Reader, old: Decoded) -> None:
    """Raise CannotFix where the schema alone can't make a sound job."""
    keys = {
        "order": old.order_key,
        "unique": old.unique_key,
        "limit": old.limit_key,
        "fair": old.fair_key,
    }
    if named := [name for name, key in keys.items() if key is not None]:
        message = f"job {old.id} has a key ({', '.join(named)}), which its args may make: "
        raise CannotFix(message + NEEDS_CODE)
    if not reader.has_packaged_meta:
        message = f"job {old.id} was written by another version: {NEEDS_CODE}"
        raise CannotFix(message)


def _original(view: AppView, letter: Letter) -> Original:
    if letter.trouble:
        message = f"letter {letter.id} is none of ours: {letter.trouble}"
        raise CannotFix(message)
    for _, found in with_originals(view, [letter]):
        if isinstance(found, Original):
            return found
        raise found
    message = f"letter {letter.id} was closed in the meantime"
    raise CannotFix(message)
