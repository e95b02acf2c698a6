"""The wall clock of a process of a test, off by days: libfaketime, as Debian packages it."""

from __future__ import annotations

from pathlib import Path

from tests.harness.installed import missing


def clock_off(by: str) -> dict[str, str]:
    """The environment of a process whose wall clock is off by as much: `+30h`, `-400d`.

    Its monotonic clock is the machine's. Ends the test where the library is not there.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime")
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
