"""Makes HTML of a page: its template, and what every page has around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from markupsafe import Markup
from starlette.responses import HTMLResponse

from jobstream.operate.why_words import WAITS_FOR
from jobstream.web.callers import Caller, TokenRole
from jobstream.web.pages import words
from jobstream.web.pages.notices import notice_in, notice_over
from jobstream.web.pages.page_paths import Places
from jobstream.web.pages.static_files import static_path
from jobstream.web.pages.visible import one_line, visible

if TYPE_CHECKING:
    from datetime import datetime

    from jinja2.runtime import Context
    from starlette.requests import Request

    from jobstream.web.pages.page_route import Page

PARTS = (
    ("overview", "Overview", "", "o"),
    ("queues", "Queues", "queues", "q"),
    ("jobs", "Jobs", "jobs", "j"),
    ("letters", "Dead letters", "dead-letters", "d"),
    ("types", "Types", "types", "t"),
    ("schedules", "Schedules", "schedules", "s"),
    ("limits", "Limits", "limits", "l"),
    ("workers", "Workers", "workers", "w"),
    ("audit", "Audit", "audit", "a"),
    ("health", "Health", "health", "h"),
)
"""The navigation: part, its title, its path, and the key that leads there after `g`."""
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "jobstream_theme"
FRAGMENT_HEADER = "x-fragment"
HEADERS = {
    "Cache-Control": "no-store",
    # A form's request must name its origin; with the API's stricter policy it would say `null`.
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, X-Fragment",
}


@dataclass(frozen=True, slots=True)
class Around:
    """What is around a page."""

    app: str
    caller: Caller | None
    form_token: str
    part: str
    now_s: float
    signs_out: bool = False


def respond(request: Request, page: Page, around: Around) -> HTMLResponse:
    """The page as an answer; without what is around it for a script that refreshes regions."""
    places = Places.of(request)
    is_fragment = FRAGMENT_HEADER in request.headers
    notice = None if is_fragment else notice_in(request)
    theme = request.cookies.get(THEME_COOKIE, "")
    html = (
        _environment()
        .get_template(page.template)
        .render(
            {
                **page.values,
                "layout": "fragment.html" if is_fragment else "layout.html",
                "page": page,
                "around": around,
                "parts": PARTS,
                "to": places.to,
                "static": lambda name: f"{places.base}{static_path(name)}",
                "theme": theme if theme in THEMES else "auto",
                "themes": THEMES,
                "notice": notice,
                "here": _here(request),
                "may_operate": around.caller is not None and around.caller.has(TokenRole.OPERATE),
                "may_discard": around.caller is not None and around.caller.has(TokenRole.ADMIN),
                "now_s": around.now_s,
            }
        )
    )
    # Half a pair can come from a template's own filters at most; it must not end the answer.
    body = html.encode("utf-8", "replace")
    answer = HTMLResponse(body, page.status, HEADERS)
    if notice is not None:
        notice_over(answer, places)
    return answer


def _here(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def _finalize(value: Any) -> Any:  # noqa: ANN401 - what a template shows
    """What every expression of a template goes through before it is escaped."""
    if value is None:
        return ""
    if isinstance(value, Markup):
        return value
    return visible(value) if isinstance(value, str) else value


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("jobstream.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
        auto_reload=False,
    )
    made.filters |= {
        "span": words.span,
        "num": words.number,
        "tone": words.tone,
        "line": one_line,
        "when": _when,
        "moment": _moment,
        "precise": partial(_moment, with_millis=True),
    }
    made.globals |= {
        "percent": words.percent,
        "percent_of": words.percent_of,
        "KINDS": words.KINDS,
        "WAITS_FOR": WAITS_FOR,
    }
    return made


@pass_context
def _when(context: Context, moment: datetime | None) -> Markup:
    """A moment, relative to now, with the absolute one beside it for who points at it."""
    if moment is None:
        return Markup('<span class="none">\N{EN DASH}</span>')
    told = words.absolute(moment)
    relative = words.ago(moment, context["now_s"])
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(), told, relative
    )


def _moment(moment: datetime, *, with_millis: bool = False) -> Markup:
    """A moment in UTC."""
    told = words.absolute(moment, with_millis=with_millis)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), told)
