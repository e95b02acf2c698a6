"""How a job in memory is told to a service: with its args, whatever class they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest

from jobstream import App
from jobstream.testing import MemoryLookup, memory


@dataclass(frozen=True)
class Receipt:
    to: str
    copies: int = 2


class Order(pydantic.BaseModel):
    to: str
    copies: int = 2


class Parcel(msgspec.Struct):
    to: str
    copies: int = 2


def app_taking(cls: type, name: str = "send") -> tuple[App, Any]:
    """An app with one job type."""
    app = App("shop")

    def send(_args: Any) -> None:  # noqa: ANN401 - as its annotation says below
        """Nothing."""

    send.__annotations__["_args"] = cls
    return app, app.job(name=name)(send)


@pytest.mark.parametrize("cls", [Receipt, Order, Parcel])
def test_args_of_every_kind_are_told_by_name(cls: Any) -> None:  # noqa: ANN401 - of three libraries
    app, send = app_taking(cls)

    with memory(app) as jobs:
        sent = send.enqueue(cls(to="ann"))
        assert MemoryLookup(jobs).found(sent.job_id).args == {"to": "ann", "copies": 2}


def test_a_job_whose_type_is_gone_has_no_args() -> None:
    app, send = app_taking(Receipt)

    with memory(app) as jobs:
        sent = send.enqueue(Receipt("ann"))
        jobs.run_until_idle()
    later_app, _ = app_taking(Receipt, "other")
    with memory(later_app, jobs.broker) as later:
        found = MemoryLookup(later).found(sent.job_id)

    assert (found.state, found.args) == ("done", None)
