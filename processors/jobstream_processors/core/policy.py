"""What a job type says about its own failures: values, on which `decide` goes."""

from __future__ import annotations

from dataclasses import dataclass

from jobstream_processors.core.retry import Backoff

SNOOZES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Policy:
    """What a job type says about its own failures."""

    backoff: Backoff
    holds_key: bool = False
    """Retried in place with its order key held, instead of by way of the delay ladder."""
    snoozes_max: int = SNOOZES_MAX
