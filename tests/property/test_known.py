"""Rows merge to the same knowledge in any order, and never to less than one of them told."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core import known
from jobstream_processors.core.known import UNKNOWN, Known, of_row

if TYPE_CHECKING:
    from random import Random


def merged(found: list[Known]) -> Known:
    total = UNKNOWN
    for fact in found:
        total = total.merge(fact)
    return total


small = st.integers(0, 3)
rows = st.builds(
    of_row,
    st.sampled_from(["job", "moved", "parked", "crash", "claim", "unique"]),
    st.sampled_from([*known.TERMINAL, "a-state-of-next-year"]),
    st.tuples(small, small, small),
    st.integers(0, 9),
)
# Built field by field: made by `merge`, they could not show what it forgets.
facts = st.builds(
    Known,
    done=st.booleans(),
    ended=st.just(UNKNOWN.ended) | st.tuples(small, st.integers(0, 4)),
    moved=st.just(UNKNOWN.moved) | st.tuples(small, small),
    parked=st.just(UNKNOWN.parked) | st.tuples(small, small, small, small, small, small),
    crashes=st.just(UNKNOWN.crashes) | st.tuples(small, small),
    identity=st.just(UNKNOWN.identity) | st.tuples(st.binary(max_size=1), st.binary(max_size=1)),
)


@given(facts, facts)
def test_merge_is_commutative(one: Known, other: Known) -> None:
    assert one.merge(other) == other.merge(one)


@given(facts, facts, facts)
def test_merge_is_associative(one: Known, two: Known, three: Known) -> None:
    assert one.merge(two).merge(three) == one.merge(two.merge(three))


@given(facts)
def test_merge_is_idempotent_and_unknown_adds_nothing(one: Known) -> None:
    assert one.merge(one) == one.merge(UNKNOWN) == UNKNOWN.merge(one) == one


@given(st.lists(rows, max_size=6), st.randoms(use_true_random=False))
def test_rows_in_any_order_and_twice_tell_the_same(found: list[Known], random: Random) -> None:
    again = found * 2
    random.shuffle(again)

    assert merged(again) == merged(found)


@given(facts, facts, small, small)
def test_what_is_absorbed_stays_absorbed(one: Known, more: Known, redrive: int, seq: int) -> None:
    if one.absorbs(redrive, seq) is not None:
        assert one.merge(more).absorbs(redrive, seq) is not None


@given(facts, facts)
def test_merge_makes_nothing_up_and_forgets_nothing(one: Known, more: Known) -> None:
    both = one.merge(more)

    assert both.merge(one) == both
    assert all(after in {mine, theirs} for after, mine, theirs in zip(both, one, more, strict=True))


@given(facts, small, small)
def test_done_absorbs_every_delivery(one: Known, redrive: int, seq: int) -> None:
    assert one.merge(Known(done=True)).absorbs(redrive, seq) == known.DONE


@given(st.sampled_from(known.TERMINAL[1:]), small, small, small)
def test_another_end_absorbs_its_redrive_and_lower_ones(
    state: str, ended: int, redrive: int, seq: int
) -> None:
    fact = of_row("job", state, (ended, 0, 0))

    assert fact.absorbs(redrive, seq) == (state if redrive <= ended else None)


@given(small, small, small, small)
def test_moved_absorbs_what_its_copy_replaced(
    redrive: int, seq: int, moved_redrive: int, moved_seq: int
) -> None:
    fact = of_row("moved", "", (moved_redrive, moved_seq, 0))

    replaced = (redrive, seq) <= (moved_redrive, moved_seq)
    assert fact.absorbs(redrive, seq) == ("moved" if replaced else None)


@given(st.sampled_from(["parked", "crash", "claim", "unique", "next-years-kind"]), small, small)
def test_other_rows_absorb_nothing(kind: str, redrive: int, seq: int) -> None:
    assert of_row(kind, "", (redrive, seq, 1)).absorbs(redrive, seq) is None


def test_states_rank_from_done_down() -> None:
    ranks = [known.rank_of(state) for state in known.TERMINAL]

    assert all(stronger > weaker for stronger, weaker in pairwise(ranks))
    assert [known.state_of(rank) for rank in ranks] == list(known.TERMINAL)
    assert known.rank_of("a-state-of-next-year") < min(ranks)
