"""Which dead letters a command is about. Pure: a filter is data, matching is one function."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream.operate.open_letters import Letter


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Conditions on a letter; every letter meets an absent one. Texts may have `*`."""

    ids: tuple[str, ...] = ()
    job_types: tuple[str, ...] = ()
    error: str | None = None
    """The error's class, with or without its module."""
    reason: str | None = None
    fingerprints: tuple[str, ...] = ()
    """Of causes, whole."""
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every letter passes."""
        return self == LetterFilter()

    def passes(self, letter: Letter) -> bool:
        """Whether the letter meets every condition."""
        return (
            _is_any(letter.id, self.ids)
            and _is_any(letter.job_type, self.job_types)
            and (self.error is None or _is_error(letter.carried.error, self.error))
            and (self.reason is None or fnmatchcase(letter.carried.reason, self.reason))
            and (not self.fingerprints or letter.fingerprint in self.fingerprints)
            and (self.since_ms is None or letter.died_ms >= self.since_ms)
            and (self.until_ms is None or letter.died_ms < self.until_ms)
        )


def _is_any(text: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


def _is_error(error: str, wanted: str) -> bool:
    return fnmatchcase(error, wanted) or fnmatchcase(error.rpartition(".")[2], wanted)
