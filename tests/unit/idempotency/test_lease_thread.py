"""The thread that renews leases: what comes first in a turn, and how often it sweeps."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.harness.keyed_calls import FailingKeyStore
from tests.harness.waiting import wait_until

from jobstream.idempotency.key_states import KeySlot, KeyTerms, Mine
from jobstream.idempotency.lease_thread import SWEEP_BATCH, LeaseThread
from jobstream.idempotency.request_counts import RequestCounts
from jobstream.idempotency.stored_answer import StoredAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMS = KeyTerms(lease_ms=90, keep_ms=3_600_000)
ANSWER = StoredAnswer(200, (), b"done")
LIMIT_S = 60.0


class Watched(FailingKeyStore):
    """A store that counts the calls of the thread."""

    def __init__(self) -> None:
        super().__init__()
        self.renewals = 0
        self.swept: list[int] = []

    def take(self, key: str, terms: KeyTerms = TERMS) -> Mine:
        begun = self.begin(KeySlot("me", key), "d", terms)
        assert isinstance(begun, Mine)
        return begun

    def renew(self, mine: Mine, terms: KeyTerms) -> bool:
        self.renewals += 1
        return super().renew(mine, terms)

    def sweep(self, limit: int = 1_000) -> int:
        self.swept.append(super().sweep(limit))
        return self.swept[-1]


@contextmanager
def running(store: Watched) -> Iterator[LeaseThread]:
    leases = LeaseThread(store, TERMS, RequestCounts())
    yield leases
    leases.close()


def test_leases_are_renewed_while_an_answer_can_not_be_stored() -> None:
    store = Watched()
    with running(store) as leases:
        store.fails = {"keep"}
        leases.owe(store.take("answered"), ANSWER)
        leases.hold(store.take("runs"))
        wait_until(lambda: store.renewals > 2, "the lease is renewed", limit_s=LIMIT_S)


def test_it_sweeps_to_the_end_in_batches_and_then_rests() -> None:
    store = Watched()
    for number in range(SWEEP_BATCH + 3):
        store.take(str(number), KeyTerms(lease_ms=0, keep_ms=0))
    with running(store) as leases:
        leases.hold(store.take("runs"))
        wait_until(lambda: store.renewals > 5, "it came round often", limit_s=LIMIT_S)

    assert store.swept == [SWEEP_BATCH, 3]
