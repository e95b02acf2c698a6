"""Step 8: asks the gates which deliveries may begin now, and keeps the others in their rooms.

It returns those that may begin, and the engine hands them to the executors. It is used on the event
loop's thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.decide import LetGo, Retry
from jobstream_processors.delivery import BEHIND, offset_of
from jobstream_processors.engine.gates.cancel import Cancels
from jobstream_processors.engine.gates.flood import Floods
from jobstream_processors.engine.gates.gate import answering
from jobstream_processors.engine.gates.letting_go import LettingGo
from jobstream_processors.engine.gates.pause import Pauses
from jobstream_processors.engine.gates.silence import Silence
from jobstream_processors.engine.gates.unique import Uniques

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from jobstream_processors.core.decide import Decision, End
    from jobstream_processors.core.orders import Orders
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.gates.gate import Gate
    from jobstream_processors.engine.waiting import Reason, WaitingRoom


def all_gates(*rules: Gate) -> tuple[Gate, ...]:
    """Every gate. If several shut a lane, the first one gives the reason.

    `rules` are those of job types, which are asked in their order.
    """
    return (
        Floods(),
        Pauses(),
        Silence(),
        Cancels(),
        Uniques(),
        *rules,
        LettingGo(),  # Behind all others.
    )


class Admission:
    """Asks the gates for every lane of one process."""

    def __init__(self, gates: tuple[Gate, ...], monotonic_ms: Callable[[], int]) -> None:
        self.gates = gates
        self._shutting = answering(gates, "shuts")
        self._keeping = answering(gates, "keeps")
        self._learning = answering(gates, "learn")
        self._wary = answering(gates, "is_wary")
        self._letting = [gate for gate in gates if gate.lets_some]
        self._now_ms = monotonic_ms
        self.ends_some = False
        """Whether a gate may end deliveries instead of a run; nearly never."""
        self.is_wary = False
        """Whether a gate must learn of usual ends, too; nearly never."""

    def obey(self, orders: Orders) -> list[str]:
        """Operators' orders are these from now on; returns ids of jobs that are to end by them."""
        ids = [job_id for gate in self.gates for job_id in gate.obey(orders)]
        self.ends_some = any(gate.ends_some for gate in self.gates)
        return ids

    def hush(self, *, silent: bool) -> None:
        """The group may have given this process up, or answers again."""
        for gate in self.gates:
            gate.hush(silent=silent)

    def ends(self, delivery: Delivery) -> End | None:
        """How it ends instead of a run; None where it may run.

        While another run of it may go on it keeps its key; it is judged again after that.
        """
        if delivery.stage is BEHIND:
            return None
        return next((end for gate in self.gates if (end := gate.ends(delivery))), None)

    def weighed(self, delivery: Delivery, decision: Decision | None) -> Decision | None:
        """`decision` of the judge, unless a gate ends the delivery."""
        # What ends anyway ends; an unknown type would only come again and again.
        if decision is None or type(decision) is Retry:
            return self.ends(delivery) or decision
        return decision

    def shuts(self, room: WaitingRoom, *, anew: bool = False) -> bool:
        """Ask the gates what shuts the lane now; True if its deliveries must be gathered for that.

        With `anew`, the gates may also keep other deliveries of the lane than before.
        """
        shut: tuple[Reason, ...] = ()
        for gate in self._shutting:
            if (reason := gate.shuts(room)) is not None:
                shut = (*shut, reason)
        sifted = False
        for gate in self._keeping:
            sifted = sifted or gate.keeps_some
        changed = shut != room.shut or sifted is not room.sifted or (anew and sifted)
        room.shut, room.sifted = shut, sifted
        self._look_wary()
        return changed

    def gather(self, room: WaitingRoom, taken_back: Collection[Delivery]) -> list[Delivery]:
        """Hold the deliveries that did not begin, and return those that may begin all the same."""
        self.taken_back(room, (*taken_back, *room.unannounced, *room.aside))
        room.gather(taken_back)
        return self.let_go(room)

    def let_go(self, room: WaitingRoom) -> list[Delivery]:
        """Take out the held deliveries that may begin now, in order of offsets."""
        if not room.shut:
            found = []
            while (first := room.first_held()) is not None:
                room.remove(first)
                if not self._keeps(room, first):
                    found.append(first)
            return sorted(found, key=offset_of)
        shutting = [gate for gate in self._shutting if gate.shuts(room) is not None]
        if len(shutting) > 1 or not shutting[0].lets_some:
            return []
        # A kept delivery can't be the probe: look for the first that may run.
        while (first := room.first_held()) is not None and self._keeps(room, first):
            pass
        if first is None or not shutting[0].lets_one(first, room, self._now_ms()):
            return []
        room.remove(first)
        return [first]

    def lets(self, room: WaitingRoom, delivery: Delivery) -> bool:
        """Whether it may begin now; if not, it waits behind those that wait already."""
        if (room.shut or room.held) and not self._was_let(room, delivery):
            room.hold(delivery)
            return False
        if not self._keeps(room, delivery):
            return True
        if room.shut:
            self._let_in_vain(room, delivery)
        return False

    def answered(self, room: WaitingRoom, delivery: Delivery, decision: Decision | None) -> None:
        """So its rules said of one that was let go though its lane is shut."""
        begins = decision is None and delivery.waits is None
        if not begins and type(decision) is not LetGo:
            self._let_in_vain(room, delivery)

    def _let_in_vain(self, room: WaitingRoom, delivery: Delivery) -> None:
        """It may have been let go though its lane is shut, and something else keeps it now."""
        for gate in self._letting:
            gate.taken_back(room, (delivery,), self._now_ms())

    def learn(
        self, room: WaitingRoom, delivery: Delivery, outcome: Outcome, decision: Decision
    ) -> None:
        """A run was decided, which may shut or open gates."""
        now_ms = self._now_ms()
        for gate in self._learning:
            gate.learn(room, delivery, outcome, decision, now_ms)

    def taken_back(self, room: WaitingRoom, deliveries: Collection[Delivery]) -> None:
        """These were to begin, or waited for their turn, and something else keeps them now."""
        for gate in self.gates:
            gate.taken_back(room, deliveries, self._now_ms())

    def forget(self, room: WaitingRoom) -> None:
        """The lane has ended."""
        for gate in self.gates:
            gate.forget(room)
        self._look_wary()

    def _look_wary(self) -> None:
        is_wary = False
        for gate in self._wary:
            is_wary = is_wary or gate.is_wary
        self.is_wary = is_wary

    def _was_let(self, room: WaitingRoom, delivery: Delivery) -> bool:
        """Whether it was let go though its lane is shut, and gave its unique key up since."""
        return len(room.shut) == 1 and any(gate.let(room) is delivery for gate in self._letting)

    def _keeps(self, room: WaitingRoom, delivery: Delivery) -> bool:
        """Set it aside if a gate keeps it."""
        if not room.sifted:
            return False
        now_ms = self._now_ms()
        reason = next((r for gate in self._keeping if (r := gate.keeps(delivery, now_ms))), None)
        if reason is None:
            return False
        room.held.pop(delivery, None)
        room.set_aside(delivery, reason)
        return True
