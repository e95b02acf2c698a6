"""What the log tells of each job is what became of it, after any history, wherever groups stand."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.harness.played_shop import Turn, histories, opened

from jobstream.operate.job_states import Wanted
from jobstream.operate.state_names import STATES


@settings(max_examples=50)
@given(histories)
@example([([(("dead",), "now")], "1s", "redrive"), ([], "1s", "")])
@example([([(("dead", "dead"), "now")], "1s", "redrive"), ([], "1s", "discard")])
@example([([(("fail", "fail", "fail"), "now")], "3h", "redrive")])
def test_what_is_told_of_each_job_is_what_became_of_it(history: list[Turn]) -> None:
    with opened() as shop:
        shop.play(history)
        truth = shop.truth()
        for recorded in (True, False):
            told, counts = shop.look(recorded=recorded)

            assert {job.id: job.state for job in told} == truth
            assert counts.total() == len(told) == len(truth), "each job is told once"


@settings(max_examples=25)
@given(histories, st.integers(1, 4), st.sets(st.sampled_from(STATES)))
def test_a_limit_and_states_choose_the_newest_and_count_all(
    history: list[Turn], limit: int, states: set[str]
) -> None:
    with opened() as shop:
        shop.play(history)
        every, counts = shop.look(recorded=True)
        told, again = shop.look(recorded=True, wanted=Wanted(limit, states=frozenset(states)))

        meant = [job for job in every if not states or job.state in states]
        assert again == counts
        assert [job.at_ms for job in told] == [job.at_ms for job in meant[:limit]]
        assert {job.id for job in told} <= {job.id for job in meant}
