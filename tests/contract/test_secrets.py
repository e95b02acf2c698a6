"""Whatever a worker writes to Kafka about a failed job, the job's secret is only in its event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import pytest

from jobstream import App, Backoff, Cancel, Context, Dead, RetryAfter, Secret
from jobstream.testing import memory

if TYPE_CHECKING:
    from jobstream.job_declaration import OnFailure

CANARY = "hunter2-canary"
DIES = {"dead", "permanent", "transient"}


@dataclass(frozen=True)
class Login:
    how: str
    password: Annotated[str, Secret]


def ends(args: Login, ctx: Context) -> None:
    """End as the job asks for, and tell the secret on the way."""
    text = f"{args.how} {args.password}"
    wanted = {
        "dead": Dead(text),
        "cancel": Cancel(text),
        "again": RetryAfter("5s", text),
        "permanent": ValueError(text),
        "transient": OSError(text),
    }
    if args.how != "again" or ctx.attempt == 1:
        raise wanted[args.how]


async def ends_in_loop(args: Login, ctx: Context) -> None:
    ends(args, ctx)


@pytest.mark.parametrize("handler", [ends, ends_in_loop])
@pytest.mark.parametrize("on_failure", ["ladder", "hold_key"])
@pytest.mark.parametrize("how", ["dead", "cancel", "again", "permanent", "transient"])
def test_no_header_and_no_row_tells_it(handler: object, on_failure: OnFailure, how: str) -> None:
    app = App("shop")
    retry = Backoff(attempts=2, first="5s", dead_on=(ValueError,))
    job = app.declare("login", Login, retry=retry, on_failure=on_failure)
    job.handler(handler)  # type: ignore[call-overload] # one of two signatures

    with memory(app) as jobs:
        job.enqueue(Login(how, CANARY), key="k")
        jobs.run_until_idle()
        topics = jobs.broker.topics()
        records = [record for topic in topics for record in jobs.broker.records(topic)]

    events = [record for record in records if CANARY.encode() in (record.value() or b"")]
    places = {record.topic() for record in events}
    assert places >= {"shop.default"}, "the event itself holds it in clear"
    assert not places & {"shop.default.dedup", "shop.offsets", "shop.schemas"}
    assert not [r for r in records if CANARY in str([r.key(), r.headers()])]
    headers = [header for record in records for header in record.headers() or ()]
    messages = {value for name, value in headers if name == "js-message"}
    is_kept = how in DIES or (how == "again" and on_failure == "ladder")
    assert messages == ({f"{how} ***".encode()} if is_kept else set())
    traces = [value for name, value in headers if name == "js-traceback"]
    assert bool(traces) is is_kept
    assert all(f"{how} ***".encode() in (trace or b"") for trace in traces)
    details = [record for record in records if b"cancel ***" in (record.value() or b"")]
    assert bool(details) is (how == "cancel")
