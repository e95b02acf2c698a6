"""The roles that a process may take for an app. Importing this module imports none of them.

A role is a module of this folder, called NAME_role, and a line in `ROLES`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream.roles.ground import Role

ROLES = {
    "worker": "runs jobs",
    "delayer": "moves delayed jobs on",
    "scheduler": "fires schedules",
}
"""Each role with what it does; its class is `ROLE` of its module. A process usually takes all."""


def role_called(name: str) -> type[Role]:
    """The class of the role, whose module is imported for it."""
    found: type[Role] = import_module(f"jobstream.roles.{name}_role").ROLE
    return found
