"""What tests need beside Python: `.ci/install` puts it there."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """End the test: skipped on somebody's machine, failed where CI is set."""
    message = f"{what} is not installed: run .ci/install"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def program(*names: str) -> str:
    """The path of a program that has one of these names, or the end of the test."""
    return next((found for name in names if (found := shutil.which(name))), None) or missing(
        names[0]
    )
