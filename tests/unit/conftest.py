"""The shop that many rooms share; and tests that run a command leave the log as it was."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from tests.unit.shop import dedup, ladder, shop, works

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["dedup", "ladder", "shop", "works"]


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, threading.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    threading.excepthook = hook
