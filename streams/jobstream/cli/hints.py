"""Puts the app into the commands that a message advises, so that they work as printed.

Code that writes a message does not know how the app was named, and puts MODULE:APP in its place.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName

PLACE = "MODULE:APP"
NEED_CODE = frozenset(("dev", "enqueue", "schemas", "topics", "worker"))
"""Commands for which a bare name is not enough: MODULE:APP stays in their text."""
_COMMAND = re.compile(rf"jobstream ([a-z]+)((?: [a-z]+)*) {PLACE}")


def typed(text: str, app: AppName | None) -> str:
    """The text, its commands about `app` as they can be typed in this folder."""
    if app is None:
        return text

    def filled(found: re.Match[str]) -> str:
        if found[1] in NEED_CODE and not app.has_code:
            return found[0]
        named = f" {shlex.join(app.words)}" if app.words else ""
        return f"jobstream {found[1]}{found[2]}{named}"

    return _COMMAND.sub(filled, text)
