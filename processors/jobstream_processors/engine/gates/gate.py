"""The questions that a gate answers; the engine acts on the answers.

A gate is one reason for which deliveries do not begin yet, or are not to run at all. A new one is a
module beside this one, a line in `all_gates` (`engine/admission.py`), and one in the list of what
is compiled (`pyproject.toml`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from jobstream_processors.core.decide import Decision, End
    from jobstream_processors.core.orders import Orders
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.core.verdict import NotBefore
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import Reason, WaitingRoom


class Gate:
    """A gate that is always open; each real gate overrides the answers that it gives otherwise."""

    ends_some = False
    """Whether `ends` may answer anything now; asking costs nothing while no gate does."""
    keeps_some = False
    """Whether `keeps` may answer anything now."""
    lets_some = False
    """Whether it lets single deliveries through while it shuts a lane."""
    has_rules = False
    """Whether it holds rules of job types: then it is asked about each delivery that is gated."""

    def obey(self, orders: Orders) -> Collection[str]:  # noqa: ARG002 - the shape of it
        """Operators' orders are these from now on; returns ids of jobs that are to end by them."""
        return ()

    def hush(self, *, silent: bool) -> None:
        """The group may have given this process up, or answers again."""

    def ends(self, delivery: Delivery) -> End | None:  # noqa: ARG002 - the shape of it
        """How it ends instead of a run; None where it may run."""
        return None

    def shuts(self, room: WaitingRoom) -> Reason | None:  # noqa: ARG002 - the shape of it
        """Why nothing of this lane begins."""
        return None

    def keeps(self, delivery: Delivery, now_ms: int) -> Reason | None:  # noqa: ARG002 - the shape of it
        """Why this delivery does not begin, though others of its lane do.

        It may be asked more than once, and where it says None a later gate may still keep it.
        """
        return None

    def expects(self, room: WaitingRoom, deliveries: Sequence[Delivery]) -> None:
        """The gate is about to meet the gated ones among these, which were read together.

        It is called again, with none, when that is over, and not at all before single ones.
        """

    def meets(
        self,
        room: WaitingRoom,  # noqa: ARG002 - as above
        delivery: Delivery,  # noqa: ARG002 - as above
        judged: Decision | None,  # noqa: ARG002 - as above
        now_ms: int,  # noqa: ARG002 - as above
    ) -> Decision | None:
        """How a gated delivery ends without a run, told as it is read, in order of offsets.

        `judged` is a decision that stands whatever a gate says; `now_ms` is broker time. It may
        wait for its order key after that, so `asks` comes later, or for other offsets first.
        """
        return None

    def asks(
        self,
        room: WaitingRoom,  # noqa: ARG002 - as above
        delivery: Delivery,  # noqa: ARG002 - as above
        now_ms: int,  # noqa: ARG002 - as above
    ) -> NotBefore | Decision | None:
        """What the rules say of a gated delivery that might begin now; None: that it may.

        `now_ms` is broker time. It is asked again when its time has come, when this gate releases
        it, and whenever it was held for another reason. A later gate may still keep it: what is
        used up by a run is counted in `taken`.
        """
        return None

    def taken(self, room: WaitingRoom, delivery: Delivery) -> None:
        """Every gate lets this gated delivery go: it is handed to its executor.

        `learn` follows with its end, or `taken_back`, or `forget`.
        """

    def settled(self, delivery: Delivery, decision: Decision) -> None:
        """What the decision about a gated delivery wrote is acknowledged."""

    def returned(self, delivery: Delivery) -> None:
        """The handler of a gated delivery, which outlived its time limit, has stopped."""

    def released(self) -> Sequence[Delivery]:
        """Those to be asked about again now, in order; each is named once.

        This is called after each end of a gated delivery, and at every tick.
        """
        return ()

    def recalls(self) -> bool:
        """Whether what was handed to executors, and did not begin, is to be asked about again.

        This is called after each end of a gated delivery, and after orders; a True is used up.
        """
        return False

    def begin(self, room: WaitingRoom) -> None:
        """A lane begins: this process owns its partition from now on."""

    def lets_one(self, delivery: Delivery, room: WaitingRoom, now_ms: int) -> bool:  # noqa: ARG002 - the shape of it
        """Whether this one may begin though the gate shuts the lane; a True is used up by it."""
        return False

    def let(self, room: WaitingRoom) -> Delivery | None:  # noqa: ARG002 - the shape of it
        """The one that it let begin last, until its end is learnt or it is taken back."""
        return None

    @property
    def is_wary(self) -> bool:
        """Whether the gate must learn of every end now, also of the usual one."""
        return False

    def learn(
        self,
        room: WaitingRoom,
        delivery: Delivery,
        outcome: Outcome,
        decision: Decision,
        now_ms: int,
    ) -> None:
        """A run was decided."""

    def taken_back(self, room: WaitingRoom, deliveries: Collection[Delivery], now_ms: int) -> None:
        """These did not begin after all, or wait for their turn no more.

        They wait for another reason now, and are asked about anew if that is over.
        """

    def forget(self, room: WaitingRoom) -> None:
        """The lane has ended."""


def answering(gates: Iterable[Gate], question: str) -> list[Gate]:
    """Those that answer this question in a way of their own: asking the others costs time."""
    usual = getattr(Gate, question)
    return [gate for gate in gates if getattr(type(gate), question) is not usual]
