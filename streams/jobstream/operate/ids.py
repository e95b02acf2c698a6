"""Ids of jobs that were given by their beginning. Pure.

Only ids that have the form of a UUID can be: no such id is the beginning of another one. Any other
id, such as `order-1` or `@shop.mail:0:1`, is meant as it stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jobstream.operate.errors import NotThere
from jobstream.operate.near_names import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX_CHARS_MIN = 4
LISTED_MAX = 10
"""Candidates that a message lists."""
_SHAPE = "00000000-0000-0000-0000-000000000000"
_HEX = re.compile(r"[0-9a-f-]+")


def is_prefix(text: str) -> bool:
    """Whether the text may be the beginning of a UUID, and no whole one."""
    return PREFIX_CHARS_MIN <= len(text) < len(_SHAPE) and _is_like_uuid(text)


def begins_with(job_id: str, prefix: str) -> bool:
    """Whether this id is a whole UUID and `prefix` its beginning."""
    return job_id.startswith(prefix) and len(job_id) == len(_SHAPE) and _is_like_uuid(job_id)


def only_one(prefix: str, candidates: Iterable[str]) -> str:
    """The one job that is meant; raises NotThere, naming the candidates, where there are more."""
    found = sorted(set(candidates))
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"no id begins with {prefix!r}"
        raise NotThere(message)
    shown = listed(found, LISTED_MAX)
    message = f"{len(found)} ids begin with {prefix!r}: {shown}; give more characters"
    raise NotThere(message)


def _is_like_uuid(text: str) -> bool:
    dashes = [(sign == "-") is (there == "-") for sign, there in zip(text, _SHAPE, strict=False)]
    return all(dashes) and _HEX.fullmatch(text) is not None
