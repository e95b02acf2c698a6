"""Asks processes of this machine for their `/status`; those elsewhere are not known here."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from jobstream.observe.targets import folder_of, living

if TYPE_CHECKING:
    from jobstream.observe.targets import Target
    from jobstream.operate.view import AppView
    from jobstream.settings import Settings

ANSWER_S_MAX = 5.0
ANSWER_BYTES_MAX = 4_000_000
AT_ONCE = 16


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


def processes_here(app: str, settings: Settings) -> list[dict[str, Any]]:
    """The answer of each process of the app on this machine; blocks for 5 s at most."""
    found = living(folder_of(settings.state_dir, app))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, found))


def workers_here(view: AppView) -> list[dict[str, Any]]:
    """The `/status` of each worker on this machine that answers; blocks for 5 s at most."""
    found = processes_here(view.app, view.settings)
    return [answer for answer in found if answer.get("worker")]


def held_by(answer: dict[str, Any]) -> dict[str, list[str]]:
    """Why nothing of a partition begins: paused, or held by the guard against a flood of deaths."""
    held = {each["partition"]: list(each["reasons"]) for each in answer.get("paused") or []}
    for partition in answer.get("guarded") or []:
        held.setdefault(partition, []).append("flood guard")
    return held
