"""What an enqueue or an order takes as free text has a bound, and an error that names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from jobstream import App, ConfigError, Job
from jobstream.testing import context, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.testing import MemoryJobs

UNFIT = ["", "x" * 513, "\u20ac" * 171, "\udce9", 7]
"""Empty, too long, too long in UTF-8, without any UTF-8, no text."""


@dataclass(frozen=True)
class Receipt:
    order_id: str


class Shop:
    """An app over the broker in memory."""

    def __init__(self, app: App, send: Job[Receipt, Any], jobs: MemoryJobs) -> None:
        self.app, self.send, self.jobs = app, send, jobs


@pytest.fixture
def shop() -> Iterator[Shop]:
    app = App("shop")
    send = app.declare("send", Receipt, queue=app.queue("mail"))
    with memory(app) as jobs:
        yield Shop(app, send, jobs)


@pytest.mark.parametrize("option", ["key", "idempotency_key", "correlation_id"])
@pytest.mark.parametrize("text", UNFIT)
def test_texts_of_an_enqueue_are_bounded(shop: Shop, option: str, text: Any) -> None:  # noqa: ANN401 - hostile
    options = {option: text}
    with pytest.raises(ConfigError, match=f"{option}=.* is refused: give a text of 1 to 512 bytes"):
        shop.send.enqueue(Receipt("o-1"), **options)

    assert shop.jobs.seen(shop.send) == []


@pytest.mark.parametrize("option", ["key", "correlation_id", "child_name"])
@pytest.mark.parametrize("text", UNFIT)
def test_texts_of_a_child_are_bounded(shop: Shop, option: str, text: Any) -> None:  # noqa: ANN401 - hostile
    options = {option: text}
    with pytest.raises(ConfigError, match=f"{option}=.* is refused: give a text of 1 to 512 bytes"):
        context(shop.send).enqueue(shop.send, Receipt("o-1"), **options)

    assert shop.jobs.seen(shop.send) == []


def test_what_a_child_inherits_is_never_refused(shop: Shop) -> None:
    """Its parent may come of a producer of another kind, which has no such bound."""
    context(shop.send, correlation_id="x" * 600).enqueue(shop.send, Receipt("o-1"))

    assert len(shop.jobs.seen(shop.send)) == 1


def test_the_longest_is_taken(shop: Shop) -> None:
    shop.send.enqueue(Receipt("o-1"), correlation_id="x" * 512)

    assert len(shop.jobs.seen(shop.send)) == 1


@pytest.mark.parametrize("option", ["who", "why"])
@pytest.mark.parametrize("text", ["x" * 501, "\udce9", 7])
def test_texts_of_an_order_are_bounded(shop: Shop, option: str, text: Any) -> None:  # noqa: ANN401 - hostile
    options = {option: text}
    with pytest.raises(ConfigError, match=f"{option}=.* is refused"):
        shop.app.control.pause(queue=shop.send.queue, **options)


def test_no_order_is_about_what_can_be_no_id(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="'nope nope' can't be the id of a job"):
        shop.app.control.cancel("nope nope")
    shop.app.control.cancel("@shop.mail:0:7")


def test_a_job_that_may_never_run_is_refused(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="expires_in=0 is outside 1ms"):
        shop.send.enqueue(Receipt("o-1"), expires_in=0)


@pytest.mark.parametrize("job_id", ["", "x" * 301, "\udce9"])
def test_what_an_order_is_about_is_bounded(shop: Shop, job_id: str) -> None:
    with pytest.raises(ConfigError, match="is refused"):
        shop.app.control.cancel(job_id)
