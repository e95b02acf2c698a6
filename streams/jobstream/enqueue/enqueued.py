"""What an enqueue returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Enqueued:
    """An acknowledged job: it is in the log. That says nothing of whether it has run, or will.

    If a job of its `idempotency_key` has ended within the dedup window, be it done, dead or
    cancelled, this one is absorbed and does not run. The enqueue cannot know: what has ended is
    known to the worker that owns the partition. `jobstream job show` tells, and `dlq redrive`
    brings back a dead one.

    Of a unique job it says no more: if another job holds its key, this one ends as `duplicate`, and
    names that one. Who holds the key is known to that worker alone, not to the enqueue. Only with
    `within=` is the id the answer: all callers of a window get the same one.
    """

    job_id: str
    topic: str
    """Its queue's topic, or a rung of the delay ladder for a delayed job."""
    partition: int
    offset: int
