"""`jobstream dlq` on a real Kafka: which letters are meant, and what is a slip of the pen."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served
from tests.integration.terminal import Terminal

from jobstream import App, Backoff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Receipt:
    order_id: str


async def send_receipt(args: Receipt) -> None:
    message = f"no order {args.order_id}"
    raise LookupError(message)


async def refund(args: Receipt) -> None: ...


@pytest.fixture(scope="module")
def dead() -> list[str]:
    """The ids of the jobs that died, in the order of their deaths."""
    return []


@pytest.fixture(scope="module")
def terminal(
    kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory, dead: list[str]
) -> Iterator[Terminal]:
    app = App(
        f"letters-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path_factory.mktemp("letters"),
        replication=1,
    )
    mail = app.queue("mail", partitions=1)
    send = app.job(queue=mail, retry=Backoff(attempts=1))(send_receipt)
    other = app.job(queue=mail)(refund)
    with Served(app) as served:
        sent = [send.enqueue(Receipt(f"o-{n}")).job_id for n in range(3)]
        done = other.enqueue(Receipt("o-3")).job_id
        assert [served.end_of(job_id) for job_id in (*sent, done)] == ["dead"] * 3 + ["done"]
    dead += sent
    yield Terminal(app)
    served.close()


def test_nothing_is_redriven_or_discarded_without_a_word_about_which(terminal: Terminal) -> None:
    for what in ("redrive", "discard"):
        refused = terminal.run("dlq", what, code=2)
        assert f"this would {what} every letter of the app" in refused
        assert len(terminal.lines("dlq", what, "--all", "--dry-run")) == 3
        assert len(terminal.lines("dlq", what, "--queue", "mail", "--dry-run")) == 3


@pytest.mark.parametrize("words", [("list",), ("redrive",), ("discard",), ("discard", "--dry-run")])
def test_a_slip_of_the_pen_is_told_from_nothing_to_do(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    def refused(*more: str) -> str:
        return terminal.run("dlq", *words, *more, code=1)

    assert "letters: attempts_exhausted (3)" in refused("--reason", "attempt_exhausted")
    assert "letters: send_receipt (3)" in refused("--type", "send_reciept")
    assert "letters: builtins.LookupError (3)" in refused("--error", "httpx.ConnectError")
    assert "it has: mail" in refused("--queue", "mai")
    assert "no open letter of job 'order-1' among 3 jobs" in refused("--id", "order-1")

    nothing = ("--reason", "permanent", "--type", "refund", "--since", "2h")
    assert terminal.lines("dlq", *words, *nothing) == []
    said = terminal.said("dlq", *words, *nothing)
    assert "none of 3 open letters matches" in said
    assert "--reason permanent" in said
    assert terminal.lines("dlq", *words, "--error", "httpx.*") == []
    assert terminal.lines("dlq", *words, "--error", "ConnectionError") == []


def test_a_job_is_shown_args_first_by_the_beginning_of_its_id(
    terminal: Terminal, dead: list[str]
) -> None:
    shown = terminal.json("dlq", "show", dead[1])
    names = list(shown)
    assert shown["args"] == {"order_id": "o-1"}
    assert names.index("args") < names.index("headers")
    assert terminal.json("dlq", "show", dead[1][:-1]) == shown

    every = terminal.run("dlq", "show", dead[1][:4], code=1)
    assert "3 ids begin with" in every
    assert all(job_id in every for job_id in dead)
    assert f"see its timeline: jobstream job show --app {terminal.app.name} 0199" in terminal.run(
        "dlq", "show", "0199ffff-ffff", code=1
    )


def test_a_dead_job_is_not_cancelled(terminal: Terminal, dead: list[str]) -> None:
    told = terminal.run("control", "cancel", dead[0], code=1)
    show = f"jobstream dlq show --app {terminal.app.name} {dead[0]}"

    assert f"job {dead[0]} is dead since " in told
    assert f"there is nothing to cancel; its letter: {show}" in told
    assert terminal.held() == []


def test_an_age_is_by_the_brokers_clock(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command's machine is an hour ahead."""
    right_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right_ns() + HOUR_MS * 1_000_000)

    head, *rows = terminal.run("dlq", "list").splitlines()

    end = head.index(" age ") + len(" age")
    ages = [row[:end].split()[-1] for row in rows]
    assert len(ages) == 3
    # By the machine's clock it would be 60m or more; the tests before this one may take minutes.
    minutes = [int(age[:-1]) for age in ages if not age.endswith("s")]
    assert all(age[-1] in "sm" for age in ages), ages
    assert all(each < 60 for each in minutes), ages


def test_what_is_closed_is_named_before_and_after(terminal: Terminal, dead: list[str]) -> None:
    """The last test of this file: it takes a letter away."""
    short = dead[2][:-1]

    said = terminal.said("dlq", "discard", "--id", short)

    assert f"{short} is job {dead[2]}" in said
    assert f"discarded {dead[2]} (redrive 0)" in said
    gone = terminal.run("dlq", "discard", "--id", short, code=1)
    assert f"no open letter of job '{short}' among 2 jobs" in gone
    assert len(terminal.lines("dlq", "list")) == 2
