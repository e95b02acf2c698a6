"""What is known of an id survives its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream.dedup.errors import ShardUnusable
from jobstream.dedup.fact_bytes import DONE_SIZE, decode, encode, encode_done
from jobstream_processors.core.known import Known

LONGS = st.integers(-(2**63), 2**63 - 1)
PARTS = st.sampled_from([b"", b"12345678"])
FACTS = st.builds(
    Known,
    done=st.just(value=False),
    ended=st.tuples(LONGS, st.integers(0, 5)),
    moved=st.tuples(LONGS, LONGS),
    parked=st.tuples(*[LONGS] * 6),
    crashes=st.tuples(LONGS, LONGS),
    identity=st.tuples(PARTS, PARTS),
)


@given(known=FACTS)
def test_facts_come_back(known: Known) -> None:
    assert decode(encode(known)) == known


@given(known=FACTS)
def test_done_keeps_its_identity_alone(known: Known) -> None:
    done = known._replace(done=True)

    assert decode(encode(done)) == Known(done=True, identity=known.identity)
    assert encode(done) == encode_done(*known.identity)


def test_done_is_short() -> None:
    assert len(encode_done(b"12345678", b"abcdefgh")) == DONE_SIZE == 17


def test_a_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError, match="do not fit"):
        encode(Known(moved=(2**63, 0)))


@pytest.mark.parametrize("value", [b"", b"D", b"F", b"D" + bytes(20), b"Z" + bytes(90)])
def test_bytes_of_a_stranger_are_damage(value: bytes) -> None:
    with pytest.raises(ShardUnusable, match="damaged"):
        decode(value)
