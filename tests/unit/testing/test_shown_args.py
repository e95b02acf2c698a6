"""What our texts of a failed test show of a job's args: no value of a secret field."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import pytest

from jobstream import App, Context, Secret
from jobstream.testing import context, memory
from jobstream.testing.errors import NotIdle
from jobstream_schemas.secret import shown

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "hunter2-canary"


@dataclass(frozen=True, slots=True)
class Card:
    owner: str
    number: Annotated[str, Secret] = CANARY


@dataclass(frozen=True)
class Order:
    id: int
    cards: list[Card]
    by_name: dict[str, Card] = field(default_factory=dict)
    codes: list[Annotated[str, Secret]] = field(default_factory=lambda: [CANARY])
    pin: Annotated[int, Secret] | None = None


@dataclass(frozen=True)
class Checked:
    number: Annotated[str, Secret]

    def __post_init__(self) -> None:
        assert self.number.startswith("hunter2")

    def __repr__(self) -> str:
        return f"<card {self.number}>"


@dataclass(frozen=True)
class Odd:
    cents: Annotated[int, Secret]

    def __repr__(self) -> str:
        return f"{self.cents / 100:.2f}"


def test_fields_within_are_hidden_and_the_rest_is_shown() -> None:
    order = Order(1, [Card("ann")], {"b": Card("bob")}, pin=4711)

    told = shown(order)

    assert told == (
        "Order(id=1, cards=[Card(owner='ann', number=***)], by_name={'b': Card(owner='bob', "
        "number=***)}, codes=***, pin=***)"
    )
    assert order == Order(1, [Card("ann")], {"b": Card("bob")}, pin=4711), "it is left as it was"


def test_a_repr_of_ones_own_is_kept_where_it_can_be() -> None:
    assert shown(Checked(CANARY)) == "<card ***>"
    assert shown(Odd(4711)) == "<Odd>"


def test_no_text_of_a_failed_test_tells_it() -> None:
    app = App("shop")

    @app.job
    def charge(args: Card, ctx: Context) -> None:
        if args.owner == "loops":
            ctx.enqueue(charge, args, delay="1s")

    ctx = context(charge)
    charge(Card("loops"), ctx)
    texts = [repr(ctx.enqueued)]
    with memory(app) as jobs:
        charge.enqueue(Card("loops"))
        texts.append(repr(jobs.seen(charge)))
        with pytest.raises(AssertionError) as wrong:
            jobs.assert_enqueued(charge, Card("bob", f"{CANARY}-2"))
        texts.append(str(wrong.value))
        with pytest.raises(AssertionError) as undone:
            jobs.assert_done(charge)
        texts.append(str(undone.value))
        with pytest.raises(NotIdle) as looping:
            jobs.run_until_idle(timeout_s=0.2)
        texts.append(str(looping.value))

    for text in texts:
        assert CANARY not in text
        assert "number=***" in text


FAILING = """
from dataclasses import dataclass
from typing import Annotated

from jobstream import App, Secret
from jobstream.testing import memory

app = App("shop")

@dataclass(frozen=True)
class Login:
    password: Annotated[str, Secret]

@app.job
def log_in(args: Login) -> None: ...

def login(number):
    return Login("-".join(["hunter2", "canary", str(number)]))

def test_enqueued():
    with memory(app) as jobs:
        log_in.enqueue(login(1))
        jobs.assert_enqueued(log_in, login(2))

def test_done():
    with memory(app) as jobs:
        log_in.enqueue(login(1))
        jobs.assert_done(log_in)

def test_seen():
    with memory(app) as jobs:
        log_in.enqueue(login(1))
        assert jobs.seen(log_in) == []
"""


def test_pytest_prints_no_secret_of_ours(tmp_path: Path) -> None:
    program = tmp_path / "test_failing.py"
    program.write_text(FAILING)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert "3 failed" in ran.stdout
    assert ran.stdout.count("Login(password=***)") >= 3
    assert CANARY not in ran.stdout
