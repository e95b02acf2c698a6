"""Idempotency keys of the jobs that one HTTP request enqueues, made from the request's own key.

A request that is carried out again, in another process after a crash, enqueues the same jobs again;
with these keys they are the same jobs. Nothing here knows HTTP.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.composing import REQUEST, refusal
from jobstream_processors.errors import InvalidOption
from jobstream_schemas import EncodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.enqueue.composing import JobKind, KeyFor, When

_Name = tuple[str, str, bytes]


class RequestIds:
    """The keys of one request's jobs. Tasks and threads of the request share it.

    A job's key is made of the request's caller and key, the job's type, its order key and its
    args, and of how often the request enqueued just that before. So two jobs have two keys, and
    a repeat has the same ones, in whichever order tasks of the request enqueue.
    """

    def __init__(self, caller: str, key: str) -> None:
        self._scope = f"{caller}\n{key}".encode()
        self._lock = threading.Lock()
        self._next: dict[_Name, int] = {}
        self._returned: dict[_Name, list[int]] = {}
        self._is_open = True

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Inside the block, and in tasks and threads that copy its context, until its end.

        Then it is over for all of them: what a request leaves running is no part of it.
        """
        token = REQUEST.set(self)
        try:
            yield
        finally:
            self.end()
            REQUEST.reset(token)

    def end(self) -> None:
        """Give no more keys, in whatever context somebody asks."""
        self._is_open = False

    @contextmanager
    def sending(self) -> Iterator[KeyFor]:
        """A function that gives a job its key, for what is sent inside the block.

        A block that raises gives its numbers back: what became of those jobs may be unknown, and
        the same enqueue again must be the same job. An explicit key stays as it is, and a window
        of `unique within=` goes on making ids.
        """
        taken: list[tuple[_Name, int]] = []

        def key_for(kind: JobKind, args: Any, when: When) -> When:  # noqa: ANN401 - of the job type
            if when.idempotency_key is not None or not self._is_open:
                return when
            name = _name(kind, args, when)
            if name is None:
                return when
            number = self._take(name)
            taken.append((name, number))
            return replace(when, idempotency_key=self._key(name, number))

        try:
            yield key_for
        except BaseException:  # also of a task that was cancelled while it waited
            with self._lock:
                for name, number in taken:
                    self._returned.setdefault(name, []).append(number)
            raise

    def _take(self, name: _Name) -> int:
        with self._lock:
            if returned := self._returned.get(name):
                returned.sort()
                return returned.pop(0)
            number = self._next.get(name, 0)
            self._next[name] = number + 1
            return number

    def _key(self, name: _Name, number: int) -> str:
        job_type, order_key, args = name
        made = blake2b(digest_size=20, person=b"jobstream-job")
        ordered = order_key.encode("utf-8", "surrogatepass")
        for part in (self._scope, job_type.encode(), ordered, args, b"%d" % number):
            made.update(len(part).to_bytes(4, "big"))
            made.update(part)
        return f"request:{made.hexdigest()}"


def _name(kind: JobKind, args: Any, when: When) -> _Name | None:  # noqa: ANN401 - of the job type
    """What tells the job from others of its request; None if its id is made by a window."""
    try:
        if kind.unique is not None and kind.unique.makes_id(when.unique):
            return None
        kind.codec.encode_args(args)  # It says what is wrong with them; a digest would not.
        order_key = when.key if isinstance(when.key, str) else ""
        return kind.first_name, order_key, kind.codec.value_digest(args)
    except (InvalidOption, EncodeError) as error:
        raise refusal(error) from error.__cause__
