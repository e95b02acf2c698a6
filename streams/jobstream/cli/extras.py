"""What a command says where the packages of its extra are not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around imports: raises ConfigError with the extra that brings the package which is missing.

    A module of our own that is missing is our fault, and raised as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("jobstream"):
            raise
        message = f"{error.name} is missing: pip install 'jobstream[{extra}]'"
        raise ConfigError(message) from error
