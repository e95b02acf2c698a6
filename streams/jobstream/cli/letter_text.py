"""One dead letter in full: its headers, and the job's args, or its bytes where they can't be read.

Bytes that can't be read may hold what a schema marks as secret, so they are shown only when asked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobstream.cli.output import iso, local
from jobstream.cli.printable import finite, printable
from jobstream.operate.job_events import hex_dump, is_secret, read_event, schema_of
from jobstream.operate.open_letters import Original, letter_headers, with_originals
from jobstream_processors.core.headers import TRACEBACK
from jobstream_schemas import DecodeError

if TYPE_CHECKING:
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.view import AppView
    from jobstream_schemas import Catalogue

NOT_SHOWN = "not shown, since they may hold secrets; --bytes shows them"
MOMENTS = frozenset({"died_at", "first_failed_at", "enqueued_at"})
"""Fields that JSON has as a moment in UTC."""
HAS_SECRETS = "not shown: the job has secret fields"


def document(
    view: AppView, letter: Letter, summary: dict[str, Any], *, dump: bool
) -> dict[str, Any]:
    """All that is known of the letter; fetches the original where it only points to it."""
    headers = {
        name: (raw or b"").decode(errors="backslashreplace")
        for name, raw in letter_headers(view, letter)
    }
    traceback = headers.pop(TRACEBACK, None)
    told = dict(summary)
    for _, original in with_originals(view, [letter]):
        if isinstance(original, Original):
            told |= contents(view.catalogue, original, dump=dump)
        else:
            told["unreadable"] = str(original)
    return told | {"traceback": traceback, "headers": headers}


def contents(catalogue: Catalogue, original: Original, *, dump: bool) -> dict[str, Any]:
    """The job's meta and args without secrets; else why not, and with `dump` its bytes.

    Bytes of a job type that is known to have secret fields are never shown.
    """
    key = original.key.decode(errors="backslashreplace") if original.key is not None else None
    told: dict[str, Any] = {"key": key, "value_bytes": len(original.value)}
    try:
        event = read_event(catalogue, original.value)
    except DecodeError as error:
        told["unreadable"] = str(error)
        told["schema"] = schema_of(original.value).hex() or None
        if is_secret(catalogue, original.value):
            return told | {"bytes": HAS_SECRETS}
        return told | ({"hex": hex_dump(original.value)} if dump else {"bytes": NOT_SHOWN})
    meta = dict(event.meta)
    meta["enqueued_at"] = iso(meta["enqueued_at"])
    return told | {"type": event.job_type, "meta": meta, "args": event.args}


def text(told: dict[str, Any]) -> str:
    """The same for a person, who reads moments in local time."""
    lines = []
    for name, value in _in_local_time(told).items():
        if name == "hex":
            lines.append(f"bytes:\n{value}")
        elif name == "traceback" and value:
            lines.append(f"traceback:\n{printable(value).rstrip()}")
        elif isinstance(value, dict):
            block = json.dumps(finite(value), indent=2, default=str, ensure_ascii=False)
            lines.append(f"{name}: {printable(block)}")
        elif value is not None:
            lines.append(f"{name}: {printable(str(value))}")
    return "\n".join(lines) + "\n"


def _in_local_time(told: dict[str, Any]) -> dict[str, Any]:
    """The same with each moment as tables have it; those of the job's meta too, not of its args."""
    meta = told.get("meta")
    within = {"meta": _in_local_time(meta)} if isinstance(meta, dict) else {}
    return {
        name: local(value) if name in MOMENTS and isinstance(value, str) else value
        for name, value in (told | within).items()
    }
