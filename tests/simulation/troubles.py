"""What goes wrong in one simulation, and when: drawn from the seed, each kind or not at all.

Each trouble says how long it rightly holds things up, and which runs may outlive it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.simulation import fetches, jobs, operators
from tests.simulation.children import SimChildren
from tests.simulation.ledger import DELAYERS, OFFSETS, PLAN, WORKERS
from tests.simulation.plan import CONDITIONS, PRODUCER_CLOCK, SLEPT, WORKER_CLOCK, Plan

from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.member import Member
    from tests.simulation.world import World

    from jobstream.testing.faults import Fate

SECOND = 1_000_000
SESSION_S = 6.0


def drawn(rng: Random) -> Plan:
    """A plan for one seed."""
    share = rng.choice((0.0, 0.15, 0.3))
    kinds = [kind for kind in PLAYED if rng.random() < share]
    return Plan(
        jobs=rng.choice((8, 20, 40)),
        length_s=rng.choice((20.0, 40.0)),
        members=rng.choice((1, 2, 2, 3)),
        split=rng.random() < 0.3,
        poison=rng.random() < 0.1,
        narrow=rng.random() < 0.3,
        hesitation=rng.choice((0.0, 0.0, 0.02)),
        tick_s=rng.choice((0.25, 0.5, 1.0)),
        drain_ms=rng.choice((25_000, 25_000, 4_000)),
        rebalance_drain_ms=rng.choice((60_000, 60_000, 4_000)),
        skews_ms=_skews(rng),
        kinds=frozenset(kinds),
    )


def _skews(rng: Random) -> tuple[int, ...]:
    if rng.random() < 0.6:
        return (0,)
    return tuple(rng.choice((0, -400, 150, 900)) for _ in range(3))


def begin(world: World, plan: Plan) -> None:
    """Start the members, and let come what is to come."""
    rng = world.scheduler.rng
    world.network.set_clocks(*plan.skews_ms)
    world.conditions = plan.kinds & CONDITIONS
    if PRODUCER_CLOCK in plan.kinds:
        world.producer.wall_skew_us = _off(rng)
    world.ledger.skew_max_ms = max(map(abs, plan.skews_ms))
    for _ in range(plan.members):
        if plan.split:
            world.start_member(delays=False)
            world.start_member(works=False)
        else:
            world.start_member()
    for kind in sorted(plan.kinds - CONDITIONS):
        for _ in range(rng.choice((1, 1, 2, 4))):
            at_us = round(rng.uniform(1.0, plan.length_s) * SECOND)
            world.scheduler.at(at_us, partial(_happen, world, kind))


def _happen(world: World, kind: str) -> None:
    if not world.calm:
        KINDS[kind](world, world.scheduler.rng)


def heal(world: World) -> None:
    """From now on nothing goes wrong any more."""
    world.calm = True
    world.trace.tell("healed")
    network = world.network
    network.heal()
    network.down, network.electing, network.slow_s = False, frozenset(), 0.004
    for process in world.processes:
        if process.frozen and not process.dead:
            world.scheduler.thaw(process)
    world.disturbed(SESSION_S + 10)
    for kind, subject in (("pause_queue", PLAN.name), *(("pause_type", t) for t in jobs.TYPES)):
        if (kind, subject) in world.paused:
            operators.tell(world, partial(jobs.app.control.lift, kind, subject), insist=True)


# -- processes


def _member(world: World, rng: Random) -> Member | None:
    living = [m for m in world.members if not m.process.dead and not m.process.frozen]
    return rng.choice(living) if living else None


def kill(world: World, rng: Random) -> None:
    if (member := _member(world, rng)) is not None:
        world.kill(member.process)


def leave(world: World, rng: Random) -> None:
    """As in a rolling deploy."""
    if (member := _member(world, rng)) is not None:
        world.trace.tell("told to leave", member.process)
        world.disturbed(45)
        member.stop()


def join(world: World, rng: Random) -> None:  # noqa: ARG001 - as all of them
    world.disturbed(20)
    member = world.start_member()
    member.again = False


def freeze(world: World, rng: Random, *, suspend: bool = False) -> None:
    """Its process is stopped for a while, or its machine suspended."""
    if (member := _member(world, rng)) is None:
        return
    process, scheduler = member.process, world.scheduler
    seconds = rng.choice((0.5, 3.0, 4.5, 8.0, 15.0))
    world.trace.tell("suspended" if suspend else "frozen", process, seconds)
    world.disturbed(seconds + SESSION_S + 10)
    scheduler.freeze(process, suspended=suspend)
    since_us = scheduler.now_us
    process.frozen_us = since_us
    if seconds > 4:
        world.ledger.excuse(process, "frozen")
        world.ledger.kills += 1

    def expire() -> None:
        if process.frozen and process.frozen_us == since_us and not process.dead:
            for source in member.sources:
                world.expire_later(source.member, source.group, 0)

    def thaw() -> None:
        if process.frozen and process.frozen_us == since_us and not process.dead:
            world.trace.tell("thawed", process)
            if suspend:
                process.slept_us += round(seconds * SECOND)
            scheduler.thaw(process)

    scheduler.at(round((SESSION_S - rng.random()) * SECOND), expire)
    scheduler.at(round(seconds * SECOND), thaw)


def suspend(world: World, rng: Random) -> None:
    freeze(world, rng, suspend=True)


def shoot(world: World, rng: Random) -> None:
    """A child is killed from outside, as when memory is short."""
    member = _member(world, rng)
    worker = member.worker if member is not None else None
    if member is None or worker is None:
        return
    children = worker.joined.executors[PROCESS]
    assert isinstance(children, SimChildren), "children are played"
    with world.acting(member.process):
        number = children.shoot(rng.randrange(10))
    if number is not None:
        world.trace.tell("child shot", member.process, number)
        world.ledger.child_kills[number] = world.ledger.child_kills.get(number, 0) + 1


# -- the group


def rebalance(world: World, rng: Random) -> None:
    group = rng.choice((WORKERS, DELAYERS))
    world.trace.tell("rebalance", group)
    world.disturbed(45)
    world.network.rebalance(group)


def lose(world: World, rng: Random) -> None:
    """A live member's session is over, by the group's word."""
    if (member := _member(world, rng)) is None or not member.sources:
        return
    source = rng.choice(member.sources)
    if source.member in world.network.group(source.group).subscriptions:
        world.trace.tell("expelled", source.member)
        world.disturbed(20)
        world.ledger.excuse(member.process, "lost")
        member.process.expelled = source.group == WORKERS
        world.ledger.kills += 1
        world.network.expire(source.member)


def forget_offsets(world: World, rng: Random) -> None:
    """What a group committed is gone."""
    group = rng.choice((WORKERS, DELAYERS))
    world.trace.tell("offsets gone", group)
    world.network.group(group).committed.clear()


# -- brokers


def faulty(world: World, rng: Random) -> None:
    """Publishes fail, some of them only as it seems."""
    share, seconds = rng.choice((0.05, 0.3, 0.8)), rng.choice((1.0, 5.0, 12.0))
    fate: Fate = rng.choice(("absent", "appended", "mixed"))
    world.trace.tell("publishes fail", share, fate, seconds)
    world.disturbed(seconds + 20)
    draw = rng.random
    world.network.fail_publishes(lambda _: draw() < share, fate=fate)
    world.scheduler.at(round(seconds * SECOND), world.network.heal)


def slow(world: World, rng: Random) -> None:
    seconds, each = rng.choice((2.0, 8.0)), rng.choice((0.2, 1.0, 3.0))
    world.trace.tell("slow", each, seconds)
    world.disturbed(seconds + 30)
    network = world.network
    network.slow_s = each

    def end() -> None:
        network.slow_s = 0.004

    world.scheduler.at(round(seconds * SECOND), end)


def down(world: World, rng: Random) -> None:
    """No broker answers for a while."""
    seconds = rng.choice((1.0, 5.0, 15.0))
    world.trace.tell("down", seconds)
    world.disturbed(seconds + 20)
    network = world.network
    network.down = True

    def end() -> None:
        network.down = False
        network.notices.notify_all()

    world.scheduler.at(round(seconds * SECOND), end)


def elect(world: World, rng: Random) -> None:
    """One partition of the rows has no leader for a while."""
    place, seconds = (PLAN.dedup, rng.randrange(PLAN.partitions)), rng.choice((2.0, 8.0, 20.0))
    world.trace.tell("no leader", *place, seconds)
    world.disturbed(seconds + 20)
    network = world.network
    network.electing |= {place}

    def end() -> None:
        network.electing -= {place}

    world.scheduler.at(round(seconds * SECOND), end)


def jump(world: World, rng: Random) -> None:
    """A broker's clock is set."""
    network = world.network
    which, by_ms = rng.randrange(len(network.skews_ms)), rng.choice((-900, -200, 300, 1_500))
    world.trace.tell("clock set", which, by_ms)
    network.set_clocks(*(by_ms if i == which else ms for i, ms in enumerate(network.skews_ms)))
    world.ledger.skew_max_ms = max(world.ledger.skew_max_ms, abs(by_ms))
    world.disturbed(5)


def compact(world: World, rng: Random) -> None:
    topic = rng.choice((PLAN.dedup, PLAN.dlq, OFFSETS))
    world.trace.tell("compacted", topic)
    world.network.compact(topic, drop_tombstones=rng.random() < 0.5)


def retention(world: World, rng: Random) -> None:
    """Time removes what every group has behind it."""
    network = world.network
    for group in (WORKERS, DELAYERS):
        for place, position in sorted(network.group(group).committed.items()):
            _, of, named = position.note.rpartition("@")
            stale = of and named != network.topic_id(place[0])
            if not stale and rng.random() < 0.5:
                world.trace.tell("retained", *place, position.offset)
                network.truncate(*place, position.offset)


# -- operators


def recreate(world: World, rng: Random) -> None:
    """The queue is deleted and made anew, and soon as full as before."""
    world.trace.tell("recreated", PLAN.topic)
    world.disturbed(30)
    world.ledger.recreated(PLAN.topic)
    world.network.recreate_topic(PLAN.topic)
    world.wave(rng.choice((0, 10, 40)))


def pause(world: World, rng: Random) -> None:
    """The queue or a type is paused, for a while."""
    control = jobs.app.control
    kind, subject = rng.choice(
        (("pause_queue", PLAN.name), *(("pause_type", name) for name in sorted(jobs.TYPES)))
    )
    seconds = rng.choice((2.0, 10.0))
    world.trace.tell("paused", kind, subject, seconds)
    world.paused.add((kind, subject))
    world.disturbed(seconds + 10)
    operators.tell(
        world, lambda: control.tell(kind, subject, why="simulated", for_="1h", who="somebody")
    )

    def end() -> None:
        operators.tell(world, lambda: control.lift(kind, subject), insist=True)

    world.scheduler.at(round(seconds * SECOND), end)


KINDS: dict[str, Callable[[World, Random], None]] = {
    each.__name__: each
    for each in (
        kill,
        leave,
        join,
        freeze,
        suspend,
        shoot,
        rebalance,
        lose,
        forget_offsets,
        faulty,
        slow,
        down,
        elect,
        jump,
        compact,
        retention,
        recreate,
        pause,
        *operators.KINDS,
        *fetches.KINDS,
    )
}


LEFT_OUT: frozenset[str] = frozenset()
"""What the product is not held to yet."""
PLAYED = [kind for kind in (*KINDS, *sorted(CONDITIONS)) if kind not in LEFT_OUT]


def _off(rng: Random) -> int:
    return rng.choice((-7_200, -90, -2, 3, 90, 7_200)) * SECOND


def wall_skew_us(world: World) -> int:
    """How far the clock of a new process's machine is off."""
    return _off(world.scheduler.rng) if WORKER_CLOCK in world.conditions else 0


def slept_before_us(world: World) -> int:
    """How long its machine was suspended before."""
    if SLEPT not in world.conditions:
        return 0
    return world.scheduler.rng.choice((0, 5, 3_600, 86_400)) * SECOND
