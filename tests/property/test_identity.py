"""Derived ids: the same for the same job, different for another, and never the name of a place."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.identity import (
    KEY_BYTES_MAX,
    check_key,
    from_caller,
    from_origin,
    from_parent,
)
from jobstream_processors.errors import InvalidOption
from jobstream_schemas import is_id

types = st.from_regex(r"[A-Za-z_][\w.]{0,20}", fullmatch=True)
keys = st.text(min_size=1, max_size=KEY_BYTES_MAX // 4)
callers = st.tuples(types, keys)
children = st.tuples(keys, types, keys, st.integers(0, 1_000))


@given(callers, callers)
def test_id_of_an_enqueue_tells_its_type_and_key(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (from_caller(*one) == from_caller(*other)) == (one == other)
    assert is_id(from_caller(*one))
    assert uuid.UUID(from_caller(*one)).version == 5


@given(children, children)
def test_id_of_a_child_tells_where_it_came_from(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    one, other = (uuid_parent(one), uuid_parent(other))

    assert (from_parent(*one) == from_parent(*other)) == (one == other)


def uuid_parent(child: tuple[str, str, str, int]) -> tuple[str, str, str, int]:
    """Parents have ids, which hold no line break."""
    return (str(uuid.uuid5(uuid.NAMESPACE_OID, child[0])), *child[1:])


@given(callers, st.integers(0, 9))
def test_child_is_never_an_enqueue(caller: tuple[str, str], occurrence: int) -> None:
    job_type, key = caller

    assert from_parent(job_type, job_type, key, occurrence) != from_caller(job_type, key)


@given(types, st.integers(0, 999), st.integers(0, 1 << 40))
def test_name_of_a_place_is_no_job_id(topic: str, partition: int, offset: int) -> None:
    assert not is_id(from_origin(topic, partition, offset))


@given(st.text(st.characters() | st.characters(categories=["Cs"]), max_size=600))
def test_key_is_kept_as_it_is_or_refused(key: str) -> None:
    try:
        kept = check_key("key", key)
    except InvalidOption:
        return

    assert kept == key
    assert 1 <= len(key.encode()) <= KEY_BYTES_MAX
