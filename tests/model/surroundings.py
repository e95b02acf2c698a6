"""What happens around the worker: delayer, redriver, take-over, and every kind of trouble.

`progress` holds what a healthy system does by itself; `trouble` what it must survive. A world in
which no progress is left is at rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.product import carried_of, hop, redriven
from tests.model.worker_turn import Turn
from tests.model.world import REDRIVES, Event, Worker, World, spend

from jobstream_processors.core.known import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.rules import Rules
    from tests.model.world import Headers, Standing


def progress(world: World, rules: Rules, outcomes: tuple[int, ...]) -> Iterator[Event]:
    """What goes on while nothing fails."""
    if world.owner is None:
        owner = Worker(UNKNOWN, 0, (), begun=0, taking_over=())
        yield "assigned", world._replace(owner=owner)
    else:
        yield from Turn(world, rules, "owner", world.owner).events(outcomes)
        for redrive, _ in world.letters:
            if rules.is_stale(world.owner.shard, redrive):
                yield "close stale letter", _closed(world, redrive)
    for standing in set(world.rungs):
        yield from _hops(world, rules, standing)
    if world.redriver is not None:
        yield "redriver goes on", _redriver_goes_on(world, rules)


def trouble(world: World, rules: Rules, outcomes: tuple[int, ...]) -> Iterator[Event]:
    """What may fail, and what people may do, within the budget."""
    left = world.budget
    for redrive, letter in world.letters if left.redrives and world.redriver is None else ():
        if redrive < REDRIVES:
            yield "redrive", _redriven(world, rules, redrive, letter)
    if world.frozen is not None:
        yield from _thaws(world, rules, outcomes)
    if not left.faults:
        return
    if world.owner is not None:
        yield from _worker_trouble(world, rules, world.owner)
    elif left.losses and world.committed is not None:
        lost = world._replace(committed=None, budget=spend(left, "losses"))
        yield "group offsets are lost", lost
    if left.duplicates:
        yield from _duplicates(world)
    if world.redriver is not None and left.redriver_deaths:
        budget = spend(left, "redriver_deaths")
        if rules.redrive_copy_first:  # somebody tries again
            budget = budget._replace(redrives=budget.redrives + 1)
        yield "redriver dies", world._replace(redriver=None, budget=budget)


def commits(world: World, rules: Rules) -> Iterator[Event]:
    """An owner with nothing else to do has committed and mirrored its watermark."""
    if world.owner is not None:
        after = Turn(world, rules, "owner", world.owner).committed()
        if after != world:
            yield "commit", after


def window_passes(world: World) -> Iterator[Event]:
    """At rest, time deletes the rows: every wait and duplicate was shorter than the window."""
    owner = world.owner
    if owner is not None and world.frozen is None and world.budget.windows:
        budget = spend(world.budget, "windows")._replace(duplicates=0, faults=world.budget.faults)
        owner = owner._replace(shard=UNKNOWN)
        yield "window passes", world._replace(rows=(), owner=owner, budget=budget)


def _closed(world: World, redrive: int) -> World:
    return world._replace(letters=tuple(pair for pair in world.letters if pair[0] != redrive))


def _hops(world: World, rules: Rules, standing: Standing) -> Iterator[Event]:
    left = list(world.rungs)
    left.remove(standing)
    gone = world._replace(rungs=tuple(left))
    yield "hop", _arrived(gone, standing)
    if world.budget.faults and world.budget.duplicates:
        budget = spend(world.budget, "duplicates")
        if rules.hop_copy_first:
            yield (
                "delayer dies before its commit",
                _arrived(world, standing)._replace(budget=budget),
            )
        else:
            yield "delayer dies before its copy", gone._replace(budget=budget)


def _arrived(world: World, standing: Standing) -> World:
    copy, following = hop(standing)
    if following is None:
        return world._replace(queue=(*world.queue, copy))
    return world._replace(rungs=tuple(sorted((*world.rungs, following))))


def _duplicates(world: World) -> Iterator[Event]:
    again = world._replace(queue=(*world.queue, ()), budget=spend(world.budget, "duplicates"))
    yield "producer sends again", again


def _redriven(world: World, rules: Rules, redrive: int, letter: Headers) -> World:
    budget = world.budget._replace(redrives=world.budget.redrives - 1)
    before = world._replace(budget=budget, redriver=(redrive, letter))
    if rules.redrive_copy_first:
        return _with_redrive(before, rules, letter)
    return _closed(before, redrive)


def _redriver_goes_on(world: World, rules: Rules) -> World:
    assert world.redriver is not None, "somebody redrives"
    redrive, letter = world.redriver
    after = world._replace(redriver=None)
    if rules.redrive_copy_first:
        return _closed(after, redrive)
    return _with_redrive(after, rules, letter)


def _with_redrive(world: World, rules: Rules, letter: Headers) -> World:
    copy = redriven(rules, letter)
    newest = max(world.redrives, carried_of(letter).redrive + 1)
    return world._replace(queue=(*world.queue, copy), redrives=newest)


def _worker_trouble(world: World, rules: Rules, owner: Worker) -> Iterator[Event]:
    left = world.budget
    turn = Turn(world, rules, "owner", owner)
    taking_over = owner.taking_over is not None
    for behind in {world} if taking_over else set(turn.left_behind()):
        if left.crashes:
            yield "crash", behind._replace(owner=None, budget=spend(left, "crashes"))
        if left.freezes and world.frozen is None:
            budget = spend(left, "freezes")
            for frozen in _frozen(rules, turn):
                yield "freeze", behind._replace(owner=None, frozen=frozen, budget=budget)
    if left.refusals:
        yield from turn.refused()


def _frozen(rules: Rules, turn: Turn) -> Iterator[Worker]:
    """What is left of a frozen worker: one that can do nothing more is no other than a dead one.

    By the rule it does nothing after its thaw, except that a record its client had in hand (of a
    copy, a row or a mirror) may still reach the broker.
    """
    worker = turn.worker
    if not rules.gap_stops:
        yield worker
        return
    if turn.appended() is not None:
        yield Worker(UNKNOWN, 0, (), begun=0, flight=worker.flight)
    if worker.taking_over is not None:
        position, ranges = turn.preparing(worker.taking_over).mirror
    else:
        position, ranges = turn.mirrored().mirror
    yield Worker(UNKNOWN, position, ranges, begun=position)


def _thaws(world: World, rules: Rules, outcomes: tuple[int, ...]) -> Iterator[Event]:
    """Late records land; where the rule is taken out, the thawed worker goes on as if nothing was.

    One that stays frozen, or whose records are lost, has its place in the worlds before this.
    """
    frozen = world.frozen
    assert frozen is not None, "somebody is frozen"
    turn = Turn(world, rules, "frozen", frozen)
    if not rules.gap_stops:
        yield from turn.events(outcomes)
        return
    late = turn.appended()
    if late is not None:
        yield "late publish of the frozen worker", late._replace(frozen=None)
    else:
        yield "late mirror of the frozen worker", turn.mirrored()._replace(frozen=None)
