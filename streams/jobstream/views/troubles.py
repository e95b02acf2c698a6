"""Why a projection does not go on, as each of its parts says it: they fail and recover apart."""

from __future__ import annotations

from enum import Enum

from jobstream.views.errors import DatabaseAway, DatabaseRefused


class Part(Enum):
    """Who meets a trouble, and takes it back."""

    STORING = "storing"
    BEGINNING = "beginning"
    """Partitions that were assigned wait for the place where they begin."""
    LOOKING = "looking"


class Troubles:
    """What is wrong now. Safe to use from several threads: each part belongs to one."""

    def __init__(self) -> None:
        self._met: dict[Part, Exception] = {}

    def meet(self, part: Part, error: Exception) -> bool:
        """It does not go on; returns whether that is new."""
        is_new = part not in self._met
        self._met[part] = error
        return is_new

    def over(self, part: Part) -> bool:
        """It goes on; returns whether it did not before."""
        return self._met.pop(part, None) is not None

    @property
    def why(self) -> str:
        """One of the reasons, "" if all is well."""
        return next((str(error) for error in self._now()), "")

    @property
    def is_database(self) -> bool:
        """Whether the database is one."""
        return any(isinstance(error, (DatabaseAway, DatabaseRefused)) for error in self._now())

    def _now(self) -> list[Exception]:
        met = dict(self._met)
        return [met[part] for part in Part if part in met]
