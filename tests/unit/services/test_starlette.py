"""The same in Starlette, which has no dependencies: `await jobs(request)`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from jobstream import App
from jobstream.fastapi import install, jobs, lifespan, status_route
from jobstream.testing import memory

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


@dataclass(frozen=True)
class Receipt:
    order_id: str


app = App("shop", size="small")


@app.job
def send_receipt(_: Receipt) -> None:
    """Send nothing."""


async def take(request: Request) -> Response:
    found = await jobs(request)
    job = await send_receipt.aenqueue(Receipt(request.path_params["order_id"]))
    return found.accepted(job)


def test_an_order_is_accepted_and_errors_are_answered() -> None:
    routes = [Route("/orders/{order_id}", take, methods=["POST"]), status_route()]
    web = Starlette(routes=routes, lifespan=lifespan(app))
    install(web)

    with memory(app) as bound, TestClient(web) as client:
        answer = client.post("/orders/o-1")
        bound.broker.freeze()
        refused = client.post("/orders/o-2")

    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(f"/jobs/{answer.json()['job_id']}")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from jobstream import ConfigError
try:
    import jobstream.fastapi as ours
    ours.status_router()
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize("missing", ["starlette", "fastapi"])
def test_without_the_extra_the_error_names_it(missing: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing], capture_output=True, text=True, check=True
    )

    assert "pip install 'jobstream[fastapi]'" in ran.stdout


def test_only_what_the_service_asks_for_is_loaded() -> None:
    program = "import sys, jobstream.services.job_status, jobstream; print(*sys.modules)"

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert not {"fastapi", "starlette", "flask", "django"} & set(ran.stdout.split())
