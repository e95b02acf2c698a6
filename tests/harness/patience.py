"""Time for a machine that is busy: what a test waits for, and an operator would not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ENQUEUES = {"JOBSTREAM_ENQUEUE_TIMEOUT": "60s"}
"""The environment of processes whose first connection may take long."""
LOOKS_FOR_LONG = """
from jobstream.roles.start_check import refuse_undecodable

# A start goes on where it could not look within five seconds, as on a busy machine.
refuse_undecodable.__kwdefaults__["limit_s"] = 120.0
"""
"""Behind the code of an app whose start is to be refused."""


@contextmanager
def patient_enqueues() -> Iterator[None]:
    """Enqueues of apps and commands that say nothing else wait for as long as `ENQUEUES` says."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENQUEUES.items():
            patch.setenv(name, value)
        yield
