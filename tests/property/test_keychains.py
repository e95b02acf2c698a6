"""Order keys: one job of a key at a time, in the order they came, and no key in another's way."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobstream_processors.core.keychains import KeyChains


class Chains(RuleBasedStateMachine):
    """Jobs are numbered as they come; the model is one list of comers per key."""

    def __init__(self) -> None:
        super().__init__()
        self.chains: KeyChains[int] = KeyChains()
        self.came: dict[str, list[int]] = defaultdict(list)
        self.started: dict[str, list[int]] = defaultdict(list)
        self.running: dict[str, int] = {}
        self.number = 0

    @rule(key=st.sampled_from("abc"))
    def take(self, key: str) -> None:
        self.number += 1
        self.came[key].append(self.number)

        starts = self.chains.take(key, self.number)

        assert starts == (key not in self.running)
        if starts:
            self.start(key, self.number)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[key]

        following = self.chains.free(key)

        if following is not None:
            self.start(key, following)

    def start(self, key: str, job: int) -> None:
        assert key not in self.running, "two jobs of one key run at once"
        self.running[key] = job
        self.started[key].append(job)

    @invariant()
    def starts_follow_the_order_of_coming(self) -> None:
        for key, started in self.started.items():
            assert started == self.came[key][: len(started)]

    @invariant()
    def nobody_waits_for_a_free_key(self) -> None:
        for key, came in self.came.items():
            assert key in self.running or self.started[key] == came

    @invariant()
    def only_busy_keys_are_kept(self) -> None:
        assert len(self.chains) == len(self.running)


TestChains = Chains.TestCase
