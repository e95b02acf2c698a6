"""Options of `Unique` that are of a wrong type are refused like wrong values."""

from __future__ import annotations

import re

import pytest

from jobstream import Unique
from jobstream_processors.errors import InvalidOption


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"until": ["start"]}, "unique until=['start']; choose 'done' or 'start'"),
        ({"on_conflict": {}}, "unique on_conflict={}; choose 'keep_first' or 'keep_latest'"),
    ],
)
def test_an_option_without_a_hash_is_named_with_the_fix(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidOption, match=re.escape(message)):
        Unique(by="number", **options).wanted(60_000)  # type: ignore[arg-type]
