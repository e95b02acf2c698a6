"""Step 8 for jobs whose type has rules: asks the gates, and keeps those whose turn is near.

A job whose turn is far leaves for the delay ladder, and is asked about again when it comes back. A
job with an order key waits here however long: order comes first. Used on the event loop's thread.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import LET_GO, LetGo, postponed
from jobstream_processors.core.verdict import NotBefore
from jobstream_processors.engine.gates.gate import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Case, Decision
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.gates.gate import Gate
    from jobstream_processors.engine.judge import Taken
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.ports import Clock

SPARE = 1_000
"""How many entries of no account are worth no look."""


class Turns:
    """The deliveries of one process that wait for their turn, in memory."""

    def __init__(
        self,
        gates: Iterable[Gate],
        clock: Clock,
        rooms: Mapping[Lane, WaitingRoom],
        case: Callable[[Delivery], Case],
    ) -> None:
        gates = [gate for gate in gates if gate.has_rules]
        self._gates = gates
        self._expecting = answering(gates, "expects")
        self._meeting = answering(gates, "meets")
        self._asked = answering(gates, "asks")
        self._taking = answering(gates, "taken")
        self._settling = answering(gates, "settled")
        self._releasing = answering(gates, "released")
        self._recalling = answering(gates, "recalls")
        self._clock, self._rooms, self._case = clock, rooms, case
        self.kept: dict[Delivery, int] = {}
        """Which entry of `_until` is about it now; the others are of no account."""
        self._until: list[tuple[int, int, Delivery]] = []
        self._count = 0

    def expect(self, room: WaitingRoom, taken: Sequence[Taken]) -> bool:
        """The gated ones among these are about to meet the gates, or, with none, have met them."""
        deliveries = [delivery for delivery, _ in taken]
        for gate in self._expecting:
            gate.expects(room, deliveries)
        return True

    def meets(
        self, room: WaitingRoom, delivery: Delivery, judged: Decision | None
    ) -> Decision | None:
        """How it ends without a run, told as it is read, in order of offsets; None: it goes on.

        `judged` is what the judge says of it, and goes before.
        """
        now_ms = self._clock.broker_ms()
        for gate in self._meeting:
            met = gate.meets(room, delivery, judged, now_ms)
            if judged is None and met is not None:
                return met
        return judged

    def ask(self, room: WaitingRoom, delivery: Delivery, *, begins: bool) -> Decision | None:
        """None if it may begin, or waits here: then its `waits` says for what.

        Else how it is settled instead: it ends, or leaves for the ladder. What may begin does so at
        once if it `begins`; otherwise it has something else to wait for, and is asked about again.
        """
        now_ms = self._clock.broker_ms()
        self.kept.pop(delivery, None)
        for gate in self._asked:
            verdict = gate.asks(room, delivery, now_ms)
            if verdict is None or (verdict is LET_GO and not begins):
                continue
            if not isinstance(verdict, NotBefore):
                return verdict
            if verdict.is_near(now_ms) or delivery.key is not None:
                self._keep(room, delivery, verdict, now_ms)
                return None
            return postponed(self._case(delivery), verdict)
        if begins:
            for gate in self._taking:
                gate.taken(room, delivery)
        return None

    def due(self) -> list[Delivery]:
        """Take out those whose time has come, and those that a gate lets go; ask about them."""
        found: list[Delivery] = []
        now_ms = self._clock.monotonic_ms()
        while (next_ms := self.next_ms()) is not None and next_ms <= now_ms:
            self._take_out(heappop(self._until)[2], found)
        for gate in self._releasing:
            for delivery in gate.released():
                self._take_out(delivery, found)
        return found

    def recalls(self) -> bool:
        """Whether a gate wants to be asked again about what was handed over and did not begin."""
        return any([gate.recalls() for gate in self._recalling])  # noqa: C419 - each uses it up

    def next_ms(self) -> int | None:
        """Monotonic time at which the next turn comes; None if nothing waits for one."""
        until = self._until
        while until and self.kept.get(until[0][2]) != until[0][1]:
            heappop(until)  # Of no account any more.
        return until[0][0] if until else None

    def settled(self, delivery: Delivery, decision: Decision) -> None:
        """All that the decision wrote is acknowledged."""
        if type(decision) is not LetGo:
            self.kept.pop(delivery, None)  # One that was cancelled while it waited is there still.
        for gate in self._settling:
            gate.settled(delivery, decision)

    def returned(self, delivery: Delivery) -> None:
        """Its handler, which outlived its time limit, has stopped."""
        for gate in self._gates:
            gate.returned(delivery)

    def begin(self, room: WaitingRoom) -> None:
        """A lane begins."""
        for gate in self._gates:
            gate.begin(room)

    def forget(self, room: WaitingRoom) -> None:
        """The lane has ended: nothing of it waits here."""
        if self.kept:
            self.kept = {d: n for d, n in self.kept.items() if d.lane is not room.lane}
            self._tidy()

    def _keep(self, room: WaitingRoom, delivery: Delivery, verdict: NotBefore, now_ms: int) -> None:
        if len(self._until) > 2 * len(self.kept) + SPARE:
            self._tidy()
        self._count += 1
        self.kept[delivery] = self._count
        wait_ms = max(0, verdict.until_ms - now_ms)
        heappush(self._until, (self._clock.monotonic_ms() + wait_ms, self._count, delivery))
        room.set_aside(delivery, verdict.reason)

    def _tidy(self) -> None:
        """Forget entries that are of no account any more."""
        self._until = [each for each in self._until if self.kept.get(each[2]) == each[1]]
        heapify(self._until)

    def _take_out(self, delivery: Delivery, found: list[Delivery]) -> None:
        """It may have gone in the meantime, or be held: then it is asked about when it may go."""
        self.kept.pop(delivery, None)
        room = self._rooms.get(delivery.lane)
        if room is not None and delivery in room.aside:
            room.remove(delivery)
            found.append(delivery)
