"""Rows of a unique key merge to the same knowledge in any order, and say who holds the key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobstream.dedup.key_fact_bytes import decode_key_facts, encode_key_facts
from jobstream_processors.core.key_facts import (
    HELD,
    NO_FACTS,
    RELEASED,
    WAITS,
    GivenUp,
    HeldBy,
    KeyFacts,
    KeyRow,
    Newest,
)
from jobstream_processors.row_facts import key_fact_of
from jobstream_schemas import Row, decode_row, encode_row, row_key

small = st.integers(0, 3)
ids = st.sampled_from("abc")
facts = st.builds(
    KeyFacts,
    held=st.just(HeldBy()) | st.builds(HeldBy, small, small, small, ids, small),
    released=st.just(GivenUp()) | st.builds(GivenUp, small, small, small, small, ids),
    waits=st.just(Newest()) | st.builds(Newest, small, ids, small),
)
rows = st.builds(
    KeyRow,
    st.sampled_from([HELD, RELEASED, WAITS]),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.text("abc-@:", min_size=1, max_size=20),
    *[small] * 3,
    *[st.integers(0, 10**15 - 1)] * 3,
)


def as_row(row: KeyRow) -> Row:
    return Row(
        "unique",
        row.job_id,
        row.state,
        row.redrive,
        row.seq,
        due=row.expires_ms,
        detail=row.detail,
    )


@given(facts, facts)
def test_merge_is_commutative(one: KeyFacts, other: KeyFacts) -> None:
    assert one.merge(other) == other.merge(one)


@given(facts, facts, facts)
def test_merge_is_associative(one: KeyFacts, two: KeyFacts, three: KeyFacts) -> None:
    assert one.merge(two).merge(three) == one.merge(two.merge(three))


@given(facts)
def test_merge_is_idempotent_and_nothing_adds_nothing(one: KeyFacts) -> None:
    assert one.merge(one) == one.merge(NO_FACTS) == NO_FACTS.merge(one) == one


@given(facts)
def test_a_shard_gives_back_what_it_was_given(one: KeyFacts) -> None:
    assert decode_key_facts(encode_key_facts(one)) == one


@given(rows)
def test_a_row_tells_what_it_was_made_of(row: KeyRow) -> None:
    wire = decode_row(encode_row(as_row(row)))

    assert key_fact_of(wire) == (row.name, row.fact())


@given(rows, rows)
def test_rows_of_different_strength_have_different_keys(one: KeyRow, other: KeyRow) -> None:
    if row_key(as_row(one)) == row_key(as_row(other)):
        assert one._replace(expires_ms=0) == other._replace(expires_ms=0)


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_stranger_s_row_stops_nothing(state: str, detail: str) -> None:
    key_fact_of(Row("unique", "id", state, detail=detail))


def test_a_job_that_left_holds_the_key_until_it_gives_it_up() -> None:
    left = KeyRow(HELD, "k", "a", 7, 0, 1, expires_ms=100).fact()
    ended = KeyRow(RELEASED, "k", "a", 7, 0, 1, end=9).fact()

    assert left.holder(99) == left.held
    assert left.holder(100) is None
    assert left.merge(ended).holder(0) is None


def test_a_release_of_an_owner_before_does_not_free_a_job_that_left_since() -> None:
    # The owner before wrote that the job ended, and not the job's own row: it ran again, and left.
    released = KeyRow(RELEASED, "k", "a", 7, 0, 0, end=9).fact()
    left = KeyRow(HELD, "k", "a", 7, 0, 1, expires_ms=100).fact()

    assert released.merge(left).holder(0) == left.held
