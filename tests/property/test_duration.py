"""Durations as users write them: exact, bounded, and refused by one error only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.duration import DURATION_MS_MAX, to_ms, to_text
from jobstream_processors.errors import InvalidOption

whole_ms = st.integers(0, DURATION_MS_MAX)
anything = (
    st.floats()
    | st.sampled_from([float("-inf"), float("inf"), float("nan")])
    | st.integers()
    | st.text()
    | st.timedeltas()
    | st.none()
    | st.booleans()
    | st.from_regex(r"\d+(\.\d+)?(ms|s|m|h|d)", fullmatch=True)
)


@given(whole_ms)
def test_text_of_a_duration_reads_back(ms: int) -> None:
    assert to_ms(to_text(ms)) == ms


@given(whole_ms)
def test_timedelta_is_exact_to_the_millisecond(ms: int) -> None:
    assert to_ms(timedelta(milliseconds=ms)) == ms


@given(st.integers(0, DURATION_MS_MAX // 1_000))
def test_plain_number_counts_seconds(seconds: int) -> None:
    assert to_ms(seconds) == to_ms(float(seconds)) == to_ms(f"{seconds}s") == seconds * 1_000


@given(anything)
def test_value_is_within_bounds_or_refused_by_name(value: Any) -> None:  # noqa: ANN401 - hostile on purpose
    ms = read_or_refuse(value)

    assert ms is None or 0 <= ms <= DURATION_MS_MAX


def read_or_refuse(value: Any) -> int | None:  # noqa: ANN401 - hostile on purpose
    try:
        return to_ms(value, name="wait")
    except InvalidOption as error:
        return None if str(error).startswith("wait=") else -1
