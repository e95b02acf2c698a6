"""One dead letter as JSON says it in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.cli.output import iso

if TYPE_CHECKING:
    from jobstream.operate.open_letters import Letter


def summary(letter: Letter) -> dict[str, Any]:
    """What is known of the letter without the bytes of its job."""
    carried = letter.carried
    topic, partition, offset = letter.place
    return {
        "id": letter.id,
        "queue": letter.queue,
        "type": letter.job_type or None,
        "fingerprint": letter.fingerprint,
        "reason": carried.reason,
        "error": carried.error,
        "message": carried.message,
        "frame": carried.frame,
        "attempts": carried.attempt,
        "redrive": letter.redrive,
        "died_at": iso(letter.died_ms),
        "first_failed_at": iso(carried.first_failed_ms) if carried.first_failed_ms else None,
        "release": letter.release or None,
        "origin": carried.origin,
        "letter": f"{topic}:{partition}:{offset}",
        **({"trouble": letter.trouble} if letter.trouble else {}),
    }
