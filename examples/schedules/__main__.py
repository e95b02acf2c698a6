"""Plays two days of the schedules on a broker in memory, and prints what ran when."""

from __future__ import annotations

import sys
from collections import Counter

from examples.schedules.app import app

from jobstream.testing import memory


def main() -> None:
    """Run for two days of virtual time."""
    with memory(app) as jobs:
        jobs.run_for("2d")
        ran = Counter(job.name for job in jobs.seen())
        for each in app.schedules.list():
            sys.stdout.write(f"{each.name}: {each.when}, last {each.last_tick}\n")
    sys.stdout.write(f"ran: {dict(ran)}\n")


if __name__ == "__main__":
    main()
