"""Asks processes of this machine for their `/status`, and waits until workers obey an order."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream.cli.output import remark
from jobstream.exits import FAILURE, OK
from jobstream_processors.core.orders import QUIET, is_meant

if TYPE_CHECKING:
    from jobstream.observe.targets import Target
    from jobstream.operate.view import AppView

ANSWER_S_MAX = 5.0
ANSWER_BYTES_MAX = 4_000_000
AT_ONCE = 16
AGAIN_S = 0.2


def ask(target: Target) -> dict[str, Any]:
    """The `/status` of the process, or a document that says that it did not answer."""
    known = {"role": target.role, "pid": target.pid, "address": target.address}
    connection = http.client.HTTPConnection(target.address, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", "/status")
        answer = json.loads(connection.getresponse().read(ANSWER_BYTES_MAX))
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = {"probe": "live", "check": "endpoint", "why": f"no answer: {error}"}
        return {**known, "live": False, "ready": False, "failed": [why]}
    finally:
        connection.close()
    return {**answer, **known} if isinstance(answer, dict) else known


def workers_here(view: AppView) -> list[dict[str, Any]]:
    """The `/status` of each worker on this machine that answers; blocks for 5 s at most."""
    from jobstream.observe.targets import folder_of, living  # noqa: PLC0415 - not for --help

    found = living(folder_of(view.settings.state_dir, view.app))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [answer for answer in pool.map(ask, found) if answer.get("worker")]


def held_by(answer: dict[str, Any]) -> dict[str, list[str]]:
    """Why nothing of a partition begins: paused, or held by the guard against a flood of deaths."""
    held = {each["partition"]: list(each["reasons"]) for each in answer.get("paused") or []}
    for partition in answer.get("guarded") or []:
        held.setdefault(partition, []).append("flood guard")
    return held


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
    seen = wait_seen(view, kind, subject, wait_s, in_force=in_force)
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
