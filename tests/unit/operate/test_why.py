"""Which control entries concern a job: those about itself, its queue, its type and its limits."""

from __future__ import annotations

import pytest

from jobstream.operate import why
from jobstream.operate.history import History
from jobstream.operate.job_events import Event
from jobstream_processors.core.limit_rule import Limit, names_of
from jobstream_processors.core.orders import (
    CANCEL,
    HOLD_BREAKER,
    NO_LIMITS,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    QUIET,
    SET_LIMIT,
    Order,
)

(LIMIT,) = names_of("send", [Limit(rate="5/s")])


@pytest.mark.parametrize(
    ("kind", "subject", "concerns"),
    [
        (PAUSE_QUEUE, "mail", True),
        (PAUSE_QUEUE, "pdf", False),
        (PAUSE_TYPE, "send", True),
        (PAUSE_TYPE, "mail", False),
        (CANCEL, "j-1", True),
        (CANCEL, "j-2", False),
        (SET_LIMIT, LIMIT, True),
        (SET_LIMIT, LIMIT.replace("send", "send_all"), False),
        (QUIET, "host:1", False),
        (HOLD_BREAKER, "send", False),
    ],
)
def test_an_order_is_shown_with_the_jobs_that_it_is_about(
    kind: str, subject: str, *, concerns: bool
) -> None:
    found = History("j-1", None, event=Event("send", {}, {}))
    order = Order(kind, subject, "ann", "", 0, 1, NO_LIMITS)

    assert vars(why)["_concerns"](order, found, "mail") is concerns
