"""What a job type says about jobs that are the same: values, on which the gate `unique` goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobstream_processors.core.duration import Duration
from jobstream_processors.core.field_names import Fields, field_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """Jobs of a type that agree in the fields `by` are one: the first in the log holds the key."""

    by: Fields
    until: Literal["done", "start"] = "done"
    on_conflict: Literal["keep_first", "keep_latest"] = "keep_first"
    expires: Duration | None = None
    within: Duration | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that make the key; raises InvalidOption."""
        return field_names("by", self.by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """Of a burst of jobs that agree in the fields `by`, the newest runs when the burst is over."""

    by: Fields
    wait: Duration
    wait_max: Duration | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that make the key; raises InvalidOption."""
        return field_names("by", self.by)
