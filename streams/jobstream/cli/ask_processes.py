"""Waits until workers of this machine obey an order."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from jobstream.cli.output import remark
from jobstream.exits import FAILURE, OK
from jobstream.operate.process_answers import workers_here
from jobstream_processors.core.orders import QUIET, is_meant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.operate.view import AppView

AGAIN_S = 0.2


class Seen(NamedTuple):
    """Which workers of this machine obey an order, by `host:pid`."""

    by: list[str]
    missing: list[str]


def wait_seen(
    view: AppView, kind: str, subject: str, timeout_s: float, *, in_force: bool = True
) -> Seen:
    """Block until each worker here that is meant says that the order holds, or that it does not.

    A worker that comes meanwhile counts, one that ends does not. Returns who was missing after the
    time, if any.
    """
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while True:
        obeying: dict[str, bool] = {}
        for answer in workers_here(view):
            orders = [(each["kind"], each["subject"]) for each in answer.get("orders") or []]
            obeying[answer["worker"]] = ((kind, subject) in orders) is in_force
        meant = [name for name in obeying if kind != QUIET or is_meant(subject, name)]
        seen = Seen([n for n in meant if obeying[n]], [n for n in meant if not obeying[n]])
        if not seen.missing or time.monotonic() >= deadline:
            return seen
        pause.wait(AGAIN_S)


def confirm(view: AppView, kind: str, subject: str, wait_s: float, *, in_force: bool = True) -> int:
    """Wait, say since when the order holds, and return the exit code. 0 s is no wait at all."""
    if not wait_s:
        return OK
    return _told(wait_seen(view, kind, subject, wait_s, in_force=in_force), wait_s)


def meant_here(view: AppView, subject: str) -> list[str]:
    """The workers of this machine that run jobs, stay, and would obey a drain of this subject."""
    answers = workers_here(view)
    stay = [answer["worker"] for answer in answers if answer.get("leaving") is False]
    return [name for name in stay if is_meant(subject, name)]


def confirm_drain(view: AppView, names: Sequence[str], wait_s: float) -> int:
    """Wait until these workers of this machine drain or have left, and return the exit code.

    Those that come under a pattern meanwhile are not asked: they do not obey. 0 s is no wait at
    all.
    """
    if not wait_s:
        return OK
    deadline, pause = time.monotonic() + wait_s, threading.Event()
    while True:
        stay = {a["worker"] for a in workers_here(view) if not a.get("leaving")} & {*names}
        seen = Seen([n for n in names if n not in stay], [n for n in names if n in stay])
        if not seen.missing or time.monotonic() >= deadline:
            return _told(seen, wait_s)
        pause.wait(AGAIN_S)


def _told(seen: Seen, wait_s: float) -> int:
    elsewhere = "workers elsewhere do within 2 s"
    if seen.missing:
        names = ", ".join(seen.missing)
        remark(
            f"jobstream: the entry is written, but {names} did not act on it within {wait_s:g} s"
        )
        return FAILURE
    if seen.by:
        remark(f"every worker on this machine acts on it ({', '.join(seen.by)}); {elsewhere}")
    else:
        remark(f"no worker that it concerns answers on this machine; {elsewhere}")
    return OK
