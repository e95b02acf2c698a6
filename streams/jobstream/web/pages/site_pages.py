"""Every page, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from jobstream.web.callers import TokenRole
from jobstream.web.pages import (
    closing_pages,
    fix_pages,
    jobs_pages,
    letters_pages,
    overview_page,
    queues_pages,
    sign_in,
    simple_pages,
)
from jobstream.web.pages.page_acts import act_of
from jobstream.web.pages.page_route import PageRoute
from jobstream.web.pages.page_serving import endpoint_of, error_page
from jobstream.web.pages.static_files import serve_static
from jobstream.web.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from jobstream.web.desk import Desk

PAGES = (
    PageRoute("/", "overview", TokenRole.READ, overview_page.show, "overview"),
    PageRoute("/queues", "queues", TokenRole.READ, queues_pages.show_queues, "queues"),
    PageRoute("/queues/{queue}", "queue", TokenRole.READ, queues_pages.show_queue, "queues"),
    PageRoute("/jobs", "jobs", TokenRole.READ, jobs_pages.show_jobs, "jobs"),
    # An id may hold a slash: it is whatever its producer gave.
    PageRoute("/jobs/{job_id:path}", "job", TokenRole.READ, jobs_pages.show_job, "jobs"),
    PageRoute("/dead-letters", "letters", TokenRole.READ, letters_pages.show_letters, "letters"),
    PageRoute(
        "/dead-letters/close", "close", TokenRole.OPERATE, closing_pages.show_count, "letters"
    ),
    PageRoute("/dead-letters/fix", "fix", TokenRole.OPERATE, fix_pages.show_fix, "letters"),
    PageRoute(
        "/operations", "operations", TokenRole.READ, closing_pages.show_operations, "letters"
    ),
    PageRoute(
        "/operations/{operation}",
        "operation",
        TokenRole.READ,
        closing_pages.show_operation,
        "letters",
    ),
    PageRoute("/cancel", "cancel", TokenRole.ADMIN, closing_pages.show_cancel, "jobs"),
    PageRoute("/types", "types", TokenRole.READ, simple_pages.show_types, "types"),
    PageRoute("/schedules", "schedules", TokenRole.READ, simple_pages.show_schedules, "schedules"),
    PageRoute("/limits", "limits", TokenRole.READ, simple_pages.show_limits, "limits"),
    PageRoute("/workers", "workers", TokenRole.READ, simple_pages.show_workers, "workers"),
    PageRoute("/audit", "audit", TokenRole.READ, simple_pages.show_audit, "audit"),
    PageRoute("/health", "health", TokenRole.READ, simple_pages.show_health, "health"),
)
"""Every page that shows an answer."""


def routes(desk: Desk) -> list[Route]:
    """The pages' routes, to be put beside the API's."""

    async def serve_file(request: Request) -> Response:
        request.state.route = "static"
        try:
            return await serve_static(request)
        except Problem as problem:
            return error_page(desk, request, problem, None)

    provided: list[Route] = []
    if (oidc := desk.oidc) is not None and oidc.options.client_id:
        from jobstream.web.pages import oidc_sign_in  # noqa: PLC0415 - needs the extra

        begin, back = oidc_sign_in.begin_of(desk, oidc), oidc_sign_in.back_of(desk, oidc)
        provided = [
            Route("/sign-in/oidc", begin, name="page_sign_in_oidc"),
            Route("/sign-in/oidc/back", back, name="page_sign_in_oidc_back"),
        ]
    return [
        *provided,
        *(Route(page.path, endpoint_of(desk, page), name=f"page_{page.name}") for page in PAGES),
        Route("/sign-in", sign_in.sign_in_of(desk), methods=["GET", "POST"], name="page_sign_in"),
        Route("/sign-out", sign_in.sign_out_of(desk), methods=["POST"], name="page_sign_out"),
        Route("/acts/{call:path}", act_of(desk), methods=["POST"], name="page_act"),
        Route("/theme", sign_in.theme_of(desk), methods=["POST"], name="page_theme"),
        Route("/static/{hash}/{name}", serve_file, name="page_static"),
    ]
