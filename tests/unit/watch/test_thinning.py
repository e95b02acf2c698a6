"""What is alike is counted and due once per interval; memory is bounded, and nothing is lost."""

from __future__ import annotations

from jobstream_processors.watch.thinning import INTERVAL_MS, KINDS_MAX, WHOLE_MAX, Thinning


def let_through(alike: Thinning[str], kind: str, times: int, now_ms: int = 0) -> int:
    return sum(alike.passes(kind, now_ms, lambda: f"example of {kind}") for _ in range(times))


def test_the_first_few_pass_and_the_others_are_due_when_the_interval_is_over() -> None:
    alike: Thinning[str] = Thinning()

    assert let_through(alike, "a", 1_000) == WHOLE_MAX
    assert alike.due(INTERVAL_MS - 1) == []
    assert alike.due(INTERVAL_MS) == [("example of a", 1_000 - WHOLE_MAX)]
    assert alike.due(INTERVAL_MS) == []


def test_a_storm_that_goes_on_is_one_count_per_interval() -> None:
    alike: Thinning[str] = Thinning()
    let_through(alike, "a", WHOLE_MAX + 1)

    for turn in range(1, 4):
        now_ms = turn * INTERVAL_MS
        assert [count for _, count in alike.due(now_ms)] == ([1] if turn == 1 else [70])
        assert let_through(alike, "a", 70, now_ms) == 0


def test_after_an_interval_without_any_it_is_news_again() -> None:
    alike: Thinning[str] = Thinning()
    let_through(alike, "a", WHOLE_MAX + 1)
    alike.due(INTERVAL_MS)
    assert alike.due(2 * INTERVAL_MS) == []

    assert let_through(alike, "a", 1, 2 * INTERVAL_MS) == 1


def test_kinds_are_told_apart_up_to_a_bound() -> None:
    alike: Thinning[str] = Thinning()
    for number in range(KINDS_MAX):
        assert let_through(alike, f"kind {number}", 1) == 1

    passed = sum(let_through(alike, f"more {number}", 1) for number in range(100))

    assert passed == WHOLE_MAX
    assert alike.due(INTERVAL_MS) == [(f"example of more {WHOLE_MAX}", 100 - WHOLE_MAX)]


def test_at_the_end_all_is_due() -> None:
    alike: Thinning[str] = Thinning()
    let_through(alike, "a", WHOLE_MAX + 2)
    let_through(alike, "b", 1)

    assert alike.due() == [("example of a", 2)]
    assert alike.due() == []
