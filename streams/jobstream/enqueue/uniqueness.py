"""What an enqueue does for a unique key: how the key is wanted goes with the job, in its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jobstream_processors.core.identity import from_window
from jobstream_processors.core.unique_rule import Debounce, Unique
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.core.unique_rule import UniqueWanted

Override = Unique | Debounce | Literal[False] | None
"""For one enqueue: another rule, or none; None is what the type declares."""


class Uniqueness:
    """How jobs of one type want their unique key. Immutable."""

    __slots__ = ("_declared", "_first_name", "_ordered", "_window_ms")

    def __init__(
        self, first_name: str, declared: UniqueWanted, window_ms: int, *, ordered: bool
    ) -> None:
        """`ordered`: the type has an order key. Raises InvalidOption where that does not go."""
        self._first_name, self._declared = first_name, declared
        self._window_ms, self._ordered = window_ms, ordered
        self._check(declared)

    def apply(
        self,
        key: str,
        override: Override,
        job_id: str,
        *,
        drawn: bool,
        named: bool,
        now_ms: Callable[[], int],
    ) -> tuple[str | None, str]:
        """The text of the key in the event, and the job's id; raises InvalidOption.

        `drawn`: the id is one that nobody gave; `named`: one that the caller or the parent gave.
        `now_ms` is broker time, as far as it is known.
        """
        if override is False:
            return None, job_id
        wanted = self._declared if override is None else self._checked(override)
        if wanted.within_ms:
            if named:
                message = (
                    "unique within= makes the job's id of its key: give no idempotency_key, and to "
                    "a child job unique=False"
                )
                raise InvalidOption(message)
            if not drawn:
                return None, job_id  # A tick of a schedule is one job already.
            job_id = from_window(self._first_name, key, wanted.within_ms, now_ms())
        return wanted.prefix + key, job_id

    def makes_id(self, override: Override) -> bool:
        """Whether the id of a job with that override is made of its key and a window of time."""
        if override is False:
            return False
        wanted = self._declared if override is None else self._checked(override)
        return bool(wanted.within_ms)

    def _checked(self, override: Unique | Debounce) -> UniqueWanted:
        if not isinstance(override, Unique | Debounce):
            message = f"unique={override!r} is no rule: give Unique(by=…), Debounce(by=…) or False"
            raise InvalidOption(message)
        wanted = override.wanted(self._window_ms)
        if set(wanted.fields) != set(self._declared.fields):
            message = (
                f"unique by={wanted.fields!r}: jobs of this type have keys of "
                f"{self._declared.fields!r}, which choose their partition; give the same fields"
            )
            raise InvalidOption(message)
        self._check(wanted)
        return wanted

    def _check(self, wanted: UniqueWanted) -> None:
        if wanted.waits and self._ordered:
            message = (
                "jobs with order_by= can't wait for their unique key: one that waits would hold "
                "its order key, which the job that it waits for may need; leave out order_by=, or "
                "say on_conflict='keep_first'"
            )
            raise InvalidOption(message)
