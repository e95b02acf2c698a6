"""A line about what an act did, shown once on the next page: kept in a cookie until then."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from jobstream.web.pages.page_paths import Places

COOKIE = "jobstream_said"
CHARS_MAX = 600
_COOKIE_CHARS_MAX = 4_000


@dataclass(frozen=True, slots=True)
class Notice:
    """What an act did, or why it did not."""

    text: str
    is_wrong: bool = False


def tell(answer: Response, places: Places, notice: Notice, *, is_secure: bool) -> None:
    """Let the next page show the notice."""
    document = json.dumps([notice.text[:CHARS_MAX], notice.is_wrong])
    value = base64.urlsafe_b64encode(document.encode()).decode()
    answer.set_cookie(
        COOKIE, value, max_age=30, path=f"{places.base}/", secure=is_secure,
        httponly=True, samesite="strict",
    )  # fmt: skip


def notice_in(request: Request) -> Notice | None:
    """The notice to show; None without one, and for a cookie that is none of ours."""
    value = request.cookies.get(COOKIE, "")
    if not value or len(value) > _COOKIE_CHARS_MAX:
        return None
    try:
        text, is_wrong = json.loads(base64.urlsafe_b64decode(value))
    except (ValueError, TypeError):
        return None
    return Notice(str(text)[:CHARS_MAX], bool(is_wrong))


def notice_over(answer: Response, places: Places) -> None:
    """Forget the notice: a page has shown it."""
    answer.delete_cookie(COOKIE, path=f"{places.base}/", httponly=True, samesite="strict")
