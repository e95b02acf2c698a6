"""Who calls, and what one may do: roles and queues. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TokenRole(StrEnum):
    """What a token lets its holder do."""

    ENQUEUE = "enqueue"
    """Enqueue jobs, and wait for their end."""
    READ = "read"
    """See everything but secrets."""
    OPERATE = "operate"
    """Both of these, and every act that another act can undo: pause, cancel, redrive, limits."""
    ADMIN = "admin"
    """All of these, and what can't be undone: discard by filter, raw bytes of jobs."""


_INCLUDES = {
    TokenRole.ENQUEUE: {TokenRole.ENQUEUE},
    TokenRole.READ: {TokenRole.READ},
    TokenRole.OPERATE: {TokenRole.ENQUEUE, TokenRole.READ, TokenRole.OPERATE},
    TokenRole.ADMIN: set(TokenRole),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request."""

    name: str
    """Of the token; in the audit as `who`."""
    roles: frozenset[TokenRole]
    queues: frozenset[str] = frozenset()
    """The only queues that the caller may see and touch; empty for all."""
    token_id: str = ""
    """Empty for a caller of the loopback without a token."""

    def has(self, role: TokenRole) -> bool:
        """Whether one of the caller's roles includes that one."""
        return any(role in _INCLUDES[own] for own in self.roles)

    def sees(self, queue: str) -> bool:
        """Whether that queue is the caller's business."""
        return not self.queues or queue in self.queues


LOCAL = Caller("local", frozenset({TokenRole.ADMIN}))
"""Who calls over the loopback while there are no tokens."""
