"""Acts on dead letters by filter: counted first, then redriven or discarded by an operation."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.errors import NoSuch
from jobstream.answers.letters_screen import LetterRow, all_letters, letter_row
from jobstream.errors import ConfigError
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.operate.filters import LetterFilter
from jobstream.operate.redrive import By, discard, read_rate, redrive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.acting.act_record import ActedBy
    from jobstream.acting.operations import OperationNow, Operations, Step
    from jobstream.answers.app_site import Site
    from jobstream.operate.open_letters import Letter

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class WouldClose:
    """What an act by filter would be about."""

    count: int
    letters: tuple[LetterRow, ...]
    """The first of them, the oldest first."""


@dataclass(frozen=True, slots=True)
class LettersMeant:
    """Which open letters an act is about."""

    filter: LetterFilter
    queue: str | None = None
    limit: int | None = None
    everything: bool = False
    """No filter is given, and every letter of the app is meant."""


def would_close(site: Site, meant: LettersMeant) -> WouldClose:
    """Count them; changes nothing. Raises ConfigError where nothing says which are meant."""
    found = _letters(site, meant)
    return WouldClose(len(found), tuple(letter_row(each) for each in found[:SHOWN_MAX]))


def redrive_letters(
    site: Site, operations: Operations, by: ActedBy, meant: LettersMeant, rate: str | None
) -> OperationNow:
    """Put their jobs back on their queues, at that rate, by an operation."""
    pace = read_rate(rate) if rate else None
    found = _letters(site, meant)

    def steps() -> Iterator[Step]:
        with site.readers.one() as view, closing(KafkaSink(view.options, BrokerClock())) as sink:
            for each in redrive(view, sink, found, pace, By(by.who, by.why)):
                yield each.outcome, _trouble(each.outcome, each.letter, each.reason)
        site.kept.forget("letters")

    return operations.begin("redrive", len(found), by, steps)


def discard_letters(
    site: Site, operations: Operations, by: ActedBy, meant: LettersMeant
) -> OperationNow:
    """Close them without running their jobs, by an operation; needs a reason."""
    if not by.why:
        message = "why is missing: say why these jobs are thrown away; the audit keeps it"
        raise ConfigError(message)
    found = _letters(site, meant)

    def steps() -> Iterator[Step]:
        with site.readers.one() as view, closing(KafkaSink(view.options, BrokerClock())) as sink:
            for each in discard(view, sink, found, By(by.who, by.why)):
                yield each.outcome, _trouble(each.outcome, each.letter, each.reason)
        site.kept.forget("letters")

    return operations.begin("discard", len(found), by, steps)


def _letters(site: Site, meant: LettersMeant) -> list[Letter]:
    if meant.filter.is_empty and meant.queue is None and not meant.everything:
        message = "this would be about every letter of the app: give a filter, or everything=true"
        raise ConfigError(message)
    site.kept.forget("letters")
    found = [
        each
        for each in all_letters(site).value
        if meant.filter.passes(each) and meant.queue in {None, each.queue}
    ]
    if not found and meant.filter.ids:
        message = f"no open letter of job {meant.filter.ids[0]!r:.100}"
        raise NoSuch(message)
    return found[: meant.limit]


def _trouble(outcome: str, letter: Letter, reason: str) -> str:
    return f"{letter.id}: {reason}" if outcome == "failed" else ""
