"""Derived ids never change, and unfit names are refused."""

from __future__ import annotations

from typing import Any

import pytest
import uuid_utils

from jobstream_processors.core.identity import check_key, from_caller, from_parent, is_drawn
from jobstream_processors.errors import InvalidOption


def test_ids_are_pinned() -> None:
    """Another version, or another process, must derive the same id for the same job."""
    assert from_caller("receipt", "o-1") == "e9b9a5c0-fa11-5d90-9e23-24bf7aef4871"
    assert from_parent("p-1", "receipt", "", 0) == "b2affdc8-3257-5790-82c1-14b4c18bdb15"


def test_drawn_ids_are_told_from_derived_and_foreign_ones() -> None:
    assert is_drawn(str(uuid_utils.uuid7()))
    assert not is_drawn(from_caller("receipt", "o-1"))
    assert not is_drawn("no UUID")


@pytest.mark.parametrize("key", ["", "x" * 513, "\u20ac" * 171, "\udce9", None, 7, b"x"])
def test_unfit_keys_are_refused_by_name(key: Any) -> None:  # noqa: ANN401 - hostile on purpose
    with pytest.raises(InvalidOption, match=r"^key="):
        check_key("key", key)
