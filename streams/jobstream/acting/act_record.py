"""Who acts, from where and why; and the line in the audit log that each act leaves.

A control entry keeps who and why in the log of the app as well. The line is for every act, also for
those that leave no entry there.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("jobstream.audit")

WHY_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class ActedBy:
    """Who acts."""

    name: str
    """Of the token, or `local`."""
    origin: str
    """The address that the request came from."""
    why: str = ""
    correlation_id: str = ""

    @property
    def who(self) -> str:
        """As entries in the app's log keep it."""
        return f"{self.name}@{self.origin}" if self.origin else self.name

    def with_why(self, why: str) -> ActedBy:
        """The same with a reason; raises ConfigError for one that is too long."""
        if len(why) > WHY_CHARS_MAX:
            message = f"why has {len(why)} characters, at most are {WHY_CHARS_MAX}"
            raise ConfigError(message)
        return ActedBy(self.name, self.origin, why, self.correlation_id)


@contextmanager
def audited(by: ActedBy, act: str, subject: str) -> Iterator[dict[str, object]]:
    """Tell the audit log how the act inside ended; what is put into the value is told, too."""
    more: dict[str, object] = {}
    outcome = "failed"
    try:
        yield more
        outcome = "done"
    except Exception as error:
        more["reason"] = str(error)[:WHY_CHARS_MAX]
        raise
    finally:
        log.info(
            "act",
            extra={
                "act": act,
                "subject": subject[:WHY_CHARS_MAX],
                "who": by.name,
                "from": by.origin,
                "why": by.why,
                "correlation_id": by.correlation_id,
                "outcome": outcome,
                **more,
            },
        )
