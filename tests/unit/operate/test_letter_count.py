"""The count of open letters: it falls when one is closed or outlived, and no stranger names it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from jobstream.operate.letter_count import LetterCount
from jobstream.testing.memory_record import MemoryRecord
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Catalogue, JobCodec, Meta

TOPIC = "shop.mail.dlq"
EMPTY = Catalogue()


def record(
    key: bytes, offset: int, reason: bytes | None = b"permanent", *, partition: int = 0
) -> MemoryRecord:
    headers = [("js-reason", reason)] if reason is not None else None
    value = b"" if reason is not None else None
    return MemoryRecord(Outgoing(TOPIC, key, value, partition, headers), (partition, offset), 7, 0)


@pytest.fixture
def count() -> LetterCount:
    return LetterCount()


def reasons(count: LetterCount) -> Counter[str]:
    return Counter(letter.reason for letter in count.of(TOPIC))


def test_a_tombstone_closes_its_letter_and_no_other(count: LetterCount) -> None:
    for offset, key in enumerate((b"a:0", b"b:0", b"a:1")):
        count.take(record(key, offset))
    count.take(record(b"a:0", 0, partition=1))
    count.take(record(b"a:0", 3, None))
    count.take(record(b"never:0", 4, None))

    assert sum(reasons(count).values()) == 3


def test_a_letter_written_again_counts_once(count: LetterCount) -> None:
    count.take(record(b"a:0", 0))
    count.take(record(b"a:0", 1, b"undecodable"))

    assert reasons(count) == {"undecodable": 1}


def test_letters_that_retention_took_are_not_open(count: LetterCount) -> None:
    count.take(record(b"a:0", 0))
    count.take(record(b"b:0", 5))

    count.keep({(TOPIC, 0): (5, 9)})

    assert [letter.offset for letter in count.of(TOPIC)] == [5]


def test_a_topic_that_is_gone_or_made_anew_is_forgotten(count: LetterCount) -> None:
    count.take(record(b"a:0", 0))
    count.forget(TOPIC)
    assert not list(count.of(TOPIC))

    count.take(record(b"a:0", 0))
    count.keep({})
    assert not list(count.of(TOPIC))


@pytest.mark.parametrize("hostile", [b"anything at all", b"\xff", b"x" * 5_000, b""])
def test_no_stranger_names_a_reason_or_a_type(count: LetterCount, hostile: bytes) -> None:
    count.take(record(b"a:0", 0, hostile))

    assert count.counts(TOPIC, EMPTY) == {("_unknown", "other"): 1}


def test_a_letter_is_named_once_its_schema_is_known(count: LetterCount) -> None:
    @dataclass(frozen=True)
    class Mail:
        to: str

    codec = JobCodec(Mail, "send_mail")
    value = codec.encode(Meta("a", 0, "test"), Mail("b"))
    headers = [("js-reason", b"permanent")]
    count.take(MemoryRecord(Outgoing(TOPIC, b"a:0", value, 0, headers), (0, 0), 7, 0))
    catalogue = Catalogue()
    assert count.counts(TOPIC, catalogue) == {("_unknown", "permanent"): 1}

    catalogue.register(codec.schema)

    assert count.counts(TOPIC, catalogue) == {("send_mail", "permanent"): 1}
