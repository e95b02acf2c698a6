"""Ten thousand requests of garbage: each gets a problem or an answer, and never a 500."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.web_calls import WebSide, without_work

from jobstream.web.api_route import V1
from jobstream.web.application import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

REQUESTS = 10_000
TEXTS = (
    *("", "0", "-1", "9" * 400, "nan", "null", "true", "é", "%00", "%2e%2e", "'\"<script>", "*"),
    *("2026-01-31T12:00Z", "9999999999999h", "1e309", "x" * 3_000, "%ff%fe", "+", "0001-01-01"),
)
VALUES: tuple[object, ...] = (
    *(None, True, -1, 10**30, 1.5, "", "x", "\ud800", "\0", "x" * 2_000, [], [[[]]], {}),
    *({"args": {}}, {"args": None}, {"args": {"to": 1}}, {"jobs": []}, {"jobs": [{}] * 3}),
    *({"why": "x" * 999}, {"why": []}, {"lasts": "nonsense"}, {"name": "", "open": 2}),
)
BODIES = (b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"a": NaN}', b'{"a":1}{', b"9" * 5_000)
KINDS = ("application/json", "application/json; charset=utf-16", "text/html", "", "multipart/form")


def requests(rng: random.Random) -> Iterator[dict[str, Any]]:
    names = [of for route in ROUTES if route.query for of in route.query.__dataclass_fields__]
    for _ in range(REQUESTS):
        route = rng.choice(ROUTES)
        parts = route.path.split("/")
        path = "/".join(rng.choice(TEXTS) if part.startswith("{") else part for part in parts)
        given = {rng.choice(names): rng.choice(TEXTS) for _ in range(rng.randrange(3))}
        query = "&".join(f"{name}={text}" for name, text in given.items())
        body = rng.choice(BODIES) if rng.random() < 0.4 else json.dumps(rng.choice(VALUES)).encode()
        method = rng.choice((route.method, route.method, "GET", "POST", "PUT", "DELETE", "BREW"))
        yield {
            "method": method,
            "url": f"{V1}{path}?{query}",
            "content": body,
            "headers": {"content-type": rng.choice(KINDS)},
        }


def test_ten_thousand_requests_of_garbage_and_no_500(tmp_path: Path) -> None:
    served = WebSide(tmp_path, routes=without_work())
    wrong: list[tuple[object, int]] = []

    async def work(client: httpx2.AsyncClient) -> dict[int, int]:
        counts: dict[int, int] = {}
        for given in requests(random.Random(11)):
            answer = await client.request(**given)
            counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
            kind = answer.headers.get("content-type", "")
            is_told = answer.is_success or kind == "application/problem+json"
            if answer.status_code >= 500 or not is_told:
                wrong.append((given, answer.status_code))
            elif not answer.is_success:
                assert answer.json()["detail"], given
        return counts

    counts = served.all(work)

    assert not wrong[:3]
    assert {200, 400, 404, 405, 415, 422} <= counts.keys(), counts


@pytest.mark.parametrize("told", [True, False])
def test_a_body_beyond_the_bound_is_refused_before_it_is_read(tmp_path: Path, told: bool) -> None:  # noqa: FBT001 - a case
    served = WebSide(tmp_path, routes=without_work(), body_bytes_max=1_000)
    read = 0

    async def chunks() -> object:
        nonlocal read
        for _ in range(100):
            read += 500
            yield b" " * 500

    headers = {"content-type": "application/json"} | ({"content-length": "50000"} if told else {})
    answer = served.ask("POST", f"{V1}/queues/mail/pause", content=chunks(), headers=headers)

    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:jobstream:problem:body-too-large"
