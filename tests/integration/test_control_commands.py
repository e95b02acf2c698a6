"""`jobstream control` on a real Kafka: what each command says, changes and refuses."""

from __future__ import annotations

import asyncio
import threading
import uuid
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
import uuid_utils
from tests.harness.served import END_LIMIT_S, Served
from tests.integration.terminal import Terminal

from jobstream import App
from jobstream.cli import cancelling
from jobstream.observe.observed import worker_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
STARTED = threading.Event()


@dataclass(frozen=True)
class Receipt:
    order_id: str


async def send_receipt(args: Receipt) -> None: ...


async def endless(args: Receipt) -> None:  # noqa: ARG001 - it only waits
    STARTED.set()
    await asyncio.Event().wait()


@pytest.fixture(scope="module")
def served(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    app = App(
        f"orders-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path_factory.mktemp("orders"),
        replication=1,
    )
    mail = app.queue("mail", partitions=1)
    app.job(queue=mail)(send_receipt)
    app.job(queue=mail)(endless)
    served = Served(app)
    yield served
    served.close()


@pytest.fixture
def terminal(served: Served) -> Terminal:
    return Terminal(served.app)


def test_what_the_app_does_not_have_is_refused_and_nothing_is_written(terminal: Terminal) -> None:
    assert "has no queue 'post'; it has: mail" in terminal.run(
        "control", "pause", "--queue", "post", code=1
    )
    assert "has no job type 'send'" in terminal.run("control", "pause", "--type", "send", code=1)
    assert "give exactly one" in terminal.run("control", "pause", code=2)
    assert "give exactly one" in terminal.run("control", "resume", "--queue", "mail", "id", code=2)
    assert "366d" in terminal.run("control", "pause", "--queue", "mail", "--for", "400d", code=2)
    assert "HOST:PID" in terminal.run("control", "quiet", "host", code=1)
    assert "no queues" in terminal.run(
        "control", "pause", "--app", "nobody", "--queue", "mail", code=1
    )
    assert terminal.held() == []


def test_a_limit_has_other_numbers_until_it_is_released(terminal: Terminal) -> None:
    # The schema of a type that never ran here is not known.
    terminal.app.jobs["send_receipt"].enqueue(Receipt("o-0"))
    name = "send_receipt/rate/order_id"
    said = terminal.run("control", "limit", "set", name, "--rate", "50/m", "--burst", "5",
                        "--for", "2h", "--why", "they asked", "--who", "ann@laptop")  # fmt: skip
    assert f"limit {name} has starts 50, period_ms 60000, burst 5 until" in said
    assert "by ann@laptop: they asked" in said
    (held,) = terminal.json("control", "list")
    assert held["limits"] == {"starts": 50, "period_ms": 60_000, "burst": 5}
    assert held["subject"] == name

    said = terminal.run("control", "limit", "release", name)
    assert f"limit {name} has the numbers of the code again; it was by ann@laptop" in said
    assert terminal.held() == []


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (("set", "send_receipt/rate", "--rate", "50"), "rate='50': write a count and a unit", 2),
        (("set", "send_receipt/rate", "--concurrency", "5"), "concurrency= is no number of it", 1),
        (("set", "send_receipt/rate"), "give concurrency= or rate=", 1),
        (("set", "send/rate", "--rate", "50/m"), "has no job type 'send'", 1),
        # Without the code, by the window of the topics.
        (
            ("set", "send_receipt/rate", "--rate", "1/30d"),
            "must be remembered for longer than the dedup window of its queue, 1d",
            1,
        ),
    ],
)
def test_a_limit_that_can_not_be_is_refused_and_nothing_is_written(
    terminal: Terminal, words: tuple[str, ...], told: str, code: int
) -> None:
    terminal.app.jobs["send_receipt"].enqueue(Receipt("o-0"))
    assert told in terminal.run("control", "limit", *words, code=code)
    assert terminal.held() == []


def test_a_pause_is_told_wherever_its_queue_is_shown(terminal: Terminal) -> None:
    sent = terminal.app.jobs["send_receipt"].enqueue(Receipt("o-1"))
    words = ("control", "pause", "--queue", "mail", "--for", "2h", "--who", "ann@laptop")

    said = terminal.run(*words, "--why", "provider\x1b[31m is down")

    assert said.startswith("queue mail is paused until ")
    assert "by ann@laptop: provider" in said
    assert "\x1b" not in said
    assert said.strip() in terminal.run("lag")
    assert said.strip() in terminal.run("job", "show", sent.job_id)
    (queue,) = terminal.json("lag")
    (order,) = queue["orders"]
    assert (order["subject"], order["who"]) == ("mail", "ann@laptop")
    assert terminal.json("job", "show", sent.job_id)["orders"] == [order]

    resumed = terminal.run("control", "resume", "--queue", "mail")
    assert resumed.startswith("queue mail is no longer paused; it was by ann@laptop")
    again = terminal.run("control", "resume", "--queue", "mail")
    assert again == "queue mail was not paused\n"
    assert "has no queue 'mails'; it has: mail" in terminal.run(
        "control", "resume", "--queue", "mails", code=1
    )
    assert "has no job type 'sends'" in terminal.run("control", "resume", "--type", "sends", code=1)
    assert "paused" not in terminal.run("lag")


def test_types_jobs_and_workers(terminal: Terminal) -> None:
    sent = terminal.app.jobs["send_receipt"].enqueue(Receipt("o-2"))
    paused = terminal.run("control", "pause", "--type", "send_receipt")
    assert paused.startswith("job type send_receipt is paused until ")
    cancelled = terminal.json("control", "cancel", sent.job_id, "--why", "wrong customer")
    assert cancelled["why"] == "wrong customer"
    assert "workers host:* take no new jobs until" in terminal.run("control", "quiet", "host:*")

    assert terminal.held() == [
        ("pause_type", "send_receipt"),
        ("cancel", sent.job_id),
        ("quiet", "host:*"),
    ]
    order = f"the order to cancel job {sent.job_id} is in force until"
    assert order in terminal.run("job", "show", sent.job_id)
    assert "wrong customer" not in terminal.run("lag"), "a cancel holds up no queue"
    assert "wrong customer" in terminal.run("control", "list")

    terminal.run("control", "resume", "--type", "send_receipt")
    assert [e["why"] for e in terminal.json("control", "resume", sent.job_id)] == ["wrong customer"]
    other = terminal.run("control", "unquiet", "host:7")
    assert other == "workers host:7 were not told to take no jobs; still in force: host:*\n"
    assert "take jobs again" in terminal.run("control", "unquiet", "host:*")
    assert terminal.held() == []


def lifted(terminal: Terminal) -> None:
    for kind, subject in terminal.held():
        assert kind == "cancel"
        terminal.run("control", "resume", subject)


def test_a_cancel_says_where_the_job_is(terminal: Terminal) -> None:
    send = terminal.app.jobs["send_receipt"]
    queued, named = send.enqueue(Receipt("o-3")), send.enqueue(Receipt("o-4"), idempotency_key="k")
    waiting = send.enqueue(Receipt("o-5"), delay="3h")

    said = terminal.run("control", "cancel", queued.job_id, "--why", "wrong")
    assert said.startswith(f"the order to cancel job {queued.job_id} is in force until ")
    assert f"job {queued.job_id} is queued on mail since " in said
    told = terminal.json("control", "cancel", named.job_id)["job"]
    assert (told["state"], told["queue"], told["rung"]) == ("queued or running", "mail", None)
    said = terminal.run("control", "cancel", waiting.job_id)
    assert "waits on rung 1h since " in said
    assert "at its next hop" in said
    ids = [queued.job_id, named.job_id, waiting.job_id]
    assert terminal.held() == [("cancel", job_id) for job_id in ids]
    lifted(terminal)


def test_a_cancel_of_a_job_that_is_not_there_stands_and_says_so(terminal: Terminal) -> None:
    drawn, derived = str(uuid_utils.uuid7()), str(uuid.uuid4())

    assert f"no trace of job '{drawn}' in the log" in terminal.run(
        "control", "cancel", drawn, code=1
    )
    told = terminal.run("control", "cancel", derived, "--since", "2h", code=1)
    assert f"no trace of job '{derived}' in the log since 2" in told
    assert terminal.held() == [("cancel", drawn), ("cancel", derived)]
    lifted(terminal)

    terminal.run("control", "cancel", drawn, "--no-look")
    assert terminal.held() == [("cancel", drawn)]
    lifted(terminal)


def test_an_order_does_not_wait_for_a_long_look(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "LOOK_RECORDS_MAX", 0)
    sent = terminal.app.jobs["send_receipt"].enqueue(Receipt("o-6"))

    said = terminal.said("control", "cancel", sent.job_id)
    assert "not looked for: the log has " in said
    assert "records of that time, and more than 0" in terminal.run(
        "control", "cancel", sent.job_id[:20], code=1
    )
    assert terminal.held() == [("cancel", sent.job_id)]
    lifted(terminal)
    assert "is queued on mail" in terminal.run("control", "cancel", sent.job_id, "--since", "2h")
    lifted(terminal)


def test_a_job_is_meant_by_the_beginning_of_its_id(terminal: Terminal) -> None:
    send = terminal.app.jobs["send_receipt"]
    first, second = send.enqueue(Receipt("o-7")), send.enqueue(Receipt("o-8"))
    derived = send.enqueue(Receipt("o-9"), idempotency_key="other").job_id
    short = first.job_id[:-1]

    said = terminal.said("control", "cancel", short)
    assert f"{short} is job {first.job_id}\n" in said
    assert f"{short} is job {first.job_id}\n" in terminal.said("control", "resume", short)
    assert f"job {first.job_id}: send_receipt, queued" in terminal.said("job", "show", short)
    assert f"job {derived}: send_receipt, queued" in terminal.said("job", "show", derived[:13])

    alike = takewhile(
        lambda pair: pair[0] == pair[1], zip(first.job_id, second.job_id, strict=True)
    )
    both = terminal.run("control", "cancel", "".join(one for one, _ in alike), code=1)
    assert first.job_id in both
    assert second.job_id in both
    assert "no id begins with" in terminal.run("control", "resume", short, code=1)
    assert "no job whose id begins with '0199ffff'" in terminal.run(
        "job", "show", "0199ffff", code=1
    )
    assert terminal.held() == []


def test_a_pause_holds_where_the_command_returns(terminal: Terminal, served: Served) -> None:
    name = worker_name()
    here = f"every worker on this machine acts on it ({name})"
    send = terminal.app.jobs["send_receipt"]
    assert "no worker that it concerns answers" in terminal.said("control", "quiet", "host:1")
    terminal.run("control", "unquiet", "host:1")

    with served:
        assert served.end_of(send.enqueue(Receipt("o-12")).job_id) == "done"
        for subject in (("--queue", "mail"), ("--type", "send_receipt")):
            assert here in terminal.said("control", "pause", *subject)
            held = send.enqueue(Receipt("o-13")).job_id
            assert here in terminal.said("control", "resume", *subject)
            assert served.end_of(held) == "done"
        assert here in terminal.said("control", "quiet", name)
        assert here in terminal.said("control", "unquiet", name)
        unseen = terminal.said("control", "pause", "--queue", "mail", "--no-wait")
        assert "acts on it" not in unseen
        terminal.run("control", "resume", "--queue", "mail")


def test_a_drain_is_written_and_waited_for(terminal: Terminal, served: Served) -> None:
    name = worker_name()
    assert "HOST:PID" in terminal.run("control", "drain", "host", code=1)
    assert "stop all work at once" in terminal.run("control", "drain", "*", code=1)
    assert terminal.held() == []
    said = terminal.said("control", "drain", "host:1", "--why", "a leak", "--who", "ann")
    assert "workers host:1 drain and leave; the order holds until " in said
    assert "by ann: a leak\n" in said
    assert "no worker that it concerns answers on this machine" in said

    send = terminal.app.jobs["send_receipt"]
    with served:
        assert served.end_of(send.enqueue(Receipt("o-20")).job_id) == "done"
        said = terminal.said("control", "drain", name)
        assert f"every worker on this machine acts on it ({name})" in said
        served.left()
        unseen = terminal.said("control", "drain", name, "--no-wait")
        assert "acts on it" not in unseen

        served.start()
        assert served.end_of(send.enqueue(Receipt("o-21")).job_id) == "done"
        told = terminal.json("control", "list")
        assert [(each["kind"], each["subject"]) for each in told] == [
            ("drain", "host:1"),
            ("drain", name),
        ]
        assert name not in terminal.run("lag"), "a worker that leaves holds up no queue"
    for subject in ("host:1", name):
        terminal.app.control.lift("drain", subject)


def test_a_cancel_says_on_which_worker_the_job_runs(terminal: Terminal, served: Served) -> None:
    with served:
        job_id = terminal.app.jobs["endless"].enqueue(Receipt("o-14")).job_id
        assert STARTED.wait(END_LIMIT_S)
        said = terminal.run("control", "cancel", job_id)
        assert f"job {job_id} runs on {worker_name()}: it ends as cancelled" in said
        assert served.end_of(job_id) == "cancelled"
    lifted(terminal)


def test_a_job_that_has_ended_gets_no_order(terminal: Terminal, served: Served) -> None:
    send = terminal.app.jobs["send_receipt"]
    done, ended = send.enqueue(Receipt("o-10")).job_id, send.enqueue(Receipt("o-11")).job_id
    terminal.run("control", "cancel", ended)
    with served:
        assert served.end_of(done) == "done"
        assert served.end_of(ended) == "cancelled"
    lifted(terminal)

    said = terminal.run("control", "cancel", done, code=1)
    assert f"job {done} is done since " in said
    assert "there is nothing to cancel" in said
    again = terminal.said("control", "cancel", ended)
    assert f"job {ended} is cancelled since " in again
    assert "no order was needed" in again
    told = terminal.json("control", "cancel", ended)
    assert (told["expires_at"], told["job"]["state"]) == (None, "cancelled")
    assert terminal.held() == []
