"""Commands that a message advises: with the app in them as the running command names it.

So they work as printed. Messages are written where nobody knows how the app was named, and have
MODULE:APP in its place.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName

PLACE = "MODULE:APP"
NEED_CODE = frozenset(("dev", "enqueue", "schemas", "topics", "worker"))
"""Commands for which a bare name is not enough: it stays to whoever types them."""
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
