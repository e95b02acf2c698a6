"""A worker says at its start which jobs it could not run in a child process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream import App
from jobstream.roles.start_check import HANDLER_FIX, warn_of_handlers

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Note:
    """The arguments of the job."""

    text: str


def test_a_type_that_no_other_process_can_find_is_told(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")  # No module holds it, so its handlers are found under their own names.

    @app.job
    def local(args: Note) -> None:
        """Do nothing."""

    warn_of_handlers(app, app.specs().values(), ["default"])

    told = [r for r in caplog.records if r.message == "handler_not_isolated"]
    assert [getattr(record, "job", None) for record in told] == ["local"]


def test_a_type_without_a_handler_is_told_where_its_queue_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("shop")
    app.declare("orphan", Note, queue=app.queue("mail"))

    warn_of_handlers(app, (), ["default"])
    assert caplog.records == []

    warn_of_handlers(app, (), ["mail"])
    (told,) = caplog.records
    assert (told.levelname, told.message) == ("WARNING", "handler_missing")
    assert (vars(told)["job"], vars(told)["fix"]) == ("orphan", HANDLER_FIX)
