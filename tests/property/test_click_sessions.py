"""Sessions of clicks are the same at each reading of the log, wherever the reader died before."""

from __future__ import annotations

import sys

from examples.clicks.sessions import GAP_MS, LENGTH_MS_MAX, PartitionSessions, Session
from hypothesis import example, given
from hypothesis import strategies as st

Click = tuple[str, int]
"""Who, and how long after the record before; an empty name is a tick."""
clicks = st.tuples(
    st.sampled_from(("", "ann", "bob", "cy")), st.sampled_from((0, 700, 1_500, GAP_MS, GAP_MS + 1))
)
logs = st.lists(clicks, min_size=1, max_size=60)


def timed(log: list[Click]) -> list[Click]:
    """The same with moments in place of pauses."""
    at_ms, found = 0, []
    for user, pause_ms in log:
        at_ms += pause_ms
        found.append((user, at_ms))
    return found


def feed(reader: PartitionSessions, log: list[Click], offset: int) -> list[Session]:
    user, at_ms = log[offset]
    return reader.click(user, offset, at_ms) if user else reader.tick(offset, at_ms)


def straight(log: list[Click]) -> dict[str, tuple[str, int, int, int]]:
    """By name, user by user: another way than the reader's. The last of each user is open."""
    found = {}
    for user in {each for each, _ in log if each}:
        mine: list[tuple[int, int]] = [(n, at) for n, (who, at) in enumerate(log) if who == user]
        session = [mine[0]]
        for offset, at_ms in mine[1:]:
            if at_ms - session[-1][1] > GAP_MS or at_ms - session[0][1] > LENGTH_MS_MAX:
                found[f"{user}:{session[0][1]}:{session[0][0]}"] = (
                    user, session[0][1], session[-1][1], len(session),
                )  # fmt: skip
                session = []
            session.append((offset, at_ms))
        found[f"{user}:{session[0][1]}:{session[0][0]}"] = (
            user, session[0][1], session[-1][1], len(session),
        )  # fmt: skip
    return found


def test_a_click_costs_as_much_with_many_sessions_open() -> None:
    def calls(users: int) -> int:
        reader, count = PartitionSessions(), 0

        def counted(_frame: object, event: str, _arg: object) -> None:
            nonlocal count
            count += event == "call"

        for number in range(users):
            reader.click(f"u{number}", number, number * 1_000 // users)
        sys.setprofile(counted)
        try:
            for number in range(100):
                reader.click(f"u{number}", users + number, 1_000)
                _ = reader.position
        finally:
            sys.setprofile(None)
        return count

    assert calls(2_000) < 2 * calls(200)


@example([("ann", 0), ("bob", 0), ("ann", 0), ("bob", 1_500), ("", 1_000)], [5])
@given(logs, st.lists(st.integers(0, 59), max_size=6))
def test_every_reading_finds_the_same_sessions(log: list[Click], deaths: list[int]) -> None:
    log = [*timed(log), ("", 10**9)]
    reader, at, position = PartitionSessions(), 0, 0
    found: dict[str, tuple[str, int, int, int]] = {}
    while at < len(log):
        for each in feed(reader, log, at):
            told = (each.user, each.began_ms, each.ended_ms, each.clicks)
            assert found.setdefault(each.name, told) == told, "a repeat is the same job"
        at += 1
        assert position <= reader.position <= at
        position = reader.position
        if at in deaths:
            deaths.remove(at)
            reader, at = PartitionSessions(), position

    assert found == straight(log)
