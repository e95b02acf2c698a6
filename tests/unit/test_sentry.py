"""Reports to Sentry: the real SDK, and a transport that keeps what would be sent."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from jobstream import App, Backoff, ConfigError, Context, Dead, Secret, Snooze
from jobstream.testing import memory

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # The SDK looks whether Eventlet is there, which complains.
    import sentry_sdk
    from sentry_sdk.transport import Transport

    from jobstream import sentry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentry_sdk.envelope import Envelope

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "sentry.md"


class Keeps(Transport):
    """Keeps envelopes."""

    def __init__(self) -> None:
        super().__init__({"dsn": "http://key@127.0.0.1/1"})
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture(scope="module", autouse=True)
def _threads_of_others() -> Iterator[None]:
    """Sentry wraps each thread from its first `init` on, also those of the tests that follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", threading.Thread.start)
        yield


@pytest.fixture
def sent() -> Iterator[list[Any]]:
    """The events that were sent."""
    transport = Keeps()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1/1", transport=transport, auto_enabling_integrations=False
    )
    yield transport.events
    sentry_sdk.init()


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass(frozen=True)
class Card:
    number: Annotated[str, Secret]


KINDS = ("on_loop", "waits", "in_thread")
RETRY = Backoff(attempts=3, first="5s", jitter=False)


class Shop:
    """An app with a failing handler of each kind."""

    def __init__(self, report: sentry.Report = "dead") -> None:
        self.app = app = App("shop", release="2026.1")
        sentry.install(app, report=report)

        def fails(args: Mail) -> None:
            sentry_sdk.add_breadcrumb(message=f"asks for {args.to}")
            message = f"no address for {args.to}"
            raise LookupError(message)

        @app.job(retry=RETRY)
        async def on_loop(args: Mail) -> None:
            fails(args)

        @app.job(retry=RETRY)
        async def waits(args: Mail) -> None:
            await asyncio.sleep(0)
            fails(args)

        @app.job(retry=RETRY)
        def in_thread(args: Mail) -> None:
            fails(args)

        @app.job(retry=RETRY)
        def ends(args: Mail, ctx: Context) -> None:
            if args.to == "dead":
                message = "order is gone"
                raise Dead(message)
            if ctx.seq == 0:
                raise Snooze(60)

        @app.job(retry=Backoff(attempts=1))
        def charges(args: Card) -> None:
            number = args.number
            try:
                dict[str, str]()[number]
            except KeyError as error:
                message = f"card {number} was refused"
                raise ValueError(message) from error

        self.jobs = {"on_loop": on_loop, "waits": waits, "in_thread": in_thread}
        self.ends, self.charges = ends, charges


def crumbs(event: Any) -> list[str]:  # noqa: ANN401 - JSON
    return [crumb["message"] for crumb in event["breadcrumbs"]["values"]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_is_reported_once_when_it_is_dead(kind: str, sent: list[Any]) -> None:
    shop = Shop()

    with memory(shop.app) as jobs:
        enqueued = shop.jobs[kind].enqueue(Mail("ann"), correlation_id="request-7")
        jobs.run_for("4s")
        assert sent == []
        jobs.run_until_idle()
        jobs.assert_dead(enqueued)

    (event,) = sent
    (value,) = event["exception"]["values"]
    assert (value["type"], value["value"]) == ("LookupError", "no address for ann")
    assert value["stacktrace"]["frames"][-1]["function"] == "fails"
    assert event["level"] == "error"
    assert event["release"] == "2026.1"
    assert (event["transaction"], event["transaction_info"]) == (kind, {"source": "task"})
    tags = event["tags"]
    assert tags["job.id"] == enqueued.job_id
    assert (tags["app"], tags["job.type"], tags["job.queue"]) == ("shop", kind, "default")
    assert (tags["job.attempt"], tags["job.redrive"]) == ("3", "0")
    assert (tags["job.decision"], tags["job.reason"]) == ("dead", "attempts_exhausted")
    assert event["contexts"]["job"]["correlation_id"] == "request-7"
    assert event["contexts"]["job_failure"]["topic"].startswith("shop.")
    assert crumbs(event) == [f"{kind} begins, attempt 3", "asks for ann"]


def test_jobs_that_fail_alike_are_one_group_that_of_their_letters(sent: list[Any]) -> None:
    shop, seen = Shop(), []
    shop.app.on_dead(lambda failure: seen.append(failure.fingerprint))

    with memory(shop.app) as jobs:
        for to in ("17", "18"):
            shop.jobs["on_loop"].enqueue(Mail(to))
        shop.jobs["in_thread"].enqueue(Mail("19"))
        jobs.run_until_idle()

    prints = [event["fingerprint"] for event in sent]
    assert sorted(prints) == sorted(["jobstream", each] for each in seen)
    assert len({each for _, each in prints}) == 2
    assert all(event["tags"]["job.fingerprint"] == event["fingerprint"][1] for event in sent)


def test_breadcrumbs_of_jobs_that_run_at_once_do_not_mix(sent: list[Any]) -> None:
    shop = Shop()

    with memory(shop.app) as jobs:
        for to in ("ann", "bob", "cid"):
            shop.jobs["waits"].enqueue(Mail(to))
            shop.jobs["in_thread"].enqueue(Mail(to))
        jobs.run_until_idle()

    assert len(sent) == 6
    for event in sent:
        said = event["exception"]["values"][0]["value"].removeprefix("no address for ")
        assert crumbs(event)[1:] == [f"asks for {said}"]
    assert "job.id" not in sentry_sdk.get_isolation_scope()._tags  # noqa: SLF001 - nothing is left


def test_each_failed_run_is_reported_where_that_is_wanted(sent: list[Any]) -> None:
    shop = Shop("each")

    with memory(shop.app) as jobs:
        shop.jobs["on_loop"].enqueue(Mail("ann"))
        jobs.run_until_idle()

    assert [event["level"] for event in sent] == ["warning", "warning", "error"]
    assert [event["tags"]["job.attempt"] for event in sent] == ["1", "2", "3"]
    assert len({tuple(event["fingerprint"]) for event in sent}) == 1
    assert sent[0]["contexts"]["job_failure"]["retry_in_ms"] == 5_000


def test_a_timeout_has_no_exception_and_is_reported_by_its_text(sent: list[Any]) -> None:
    app = App("shop")
    sentry.install(app)

    @app.job(timeout="50ms", retry=Backoff(attempts=1))
    async def hangs(args: Mail) -> None:
        assert args.to
        await asyncio.Event().wait()

    with memory(app) as jobs:
        hangs.enqueue(Mail("ann"))
        jobs.run_until_idle()

    (event,) = sent
    (value,) = event["exception"]["values"]
    assert (value["module"], value["type"]) == ("jobstream", "Timeout")
    assert value["value"] == "still running after 50 ms"
    assert "in hangs" in event["extra"]["traceback"]
    assert event["tags"]["job.type"] == "hangs"


def test_outcomes_are_no_errors_but_for_dead(sent: list[Any]) -> None:
    shop = Shop("each")

    with memory(shop.app) as jobs:
        shop.ends.enqueue(Mail("later"))
        jobs.run_until_idle()
        assert sent == []
        shop.ends.enqueue(Mail("dead"))
        jobs.run_until_idle()

    (event,) = sent
    assert event["tags"]["job.reason"] == "dead_by_handler"
    assert event["exception"]["values"][-1]["value"] == "order is gone"


def test_no_value_of_a_secret_field_is_sent(sent: list[Any]) -> None:
    shop = Shop()

    with memory(shop.app) as jobs:
        shop.charges.enqueue(Card("4111-1111"))
        jobs.run_until_idle()

    (event,) = sent
    assert "4111" not in repr(event)
    assert [value["value"] for value in event["exception"]["values"]] == [
        sentry.LEFT_OUT,
        "card *** was refused",
    ]


@pytest.mark.parametrize("report", ["all", None])
def test_what_is_not_to_be_reported_is_one_of_two(report: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ConfigError, match="choose 'dead' or 'each'"):
        sentry.install(App("shop"), report=report)


def test_once_is_enough() -> None:
    shop = Shop()

    with pytest.raises(ConfigError, match="was called already"):
        sentry.install(shop.app)


def test_without_the_sdk_the_extra_is_named() -> None:
    program = "import sys; sys.modules['sentry_sdk'] = None; import jobstream.sentry"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert "jobstream.sentry needs the extra: pip install 'jobstream[sentry]'" in ran.stderr


def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
