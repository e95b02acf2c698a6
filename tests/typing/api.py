"""The lines of the documentation, and what must not pass a type checker beside them.

Never run. A statement whose comment says so is wrong on purpose.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, assert_type

from jobstream import (
    App,
    Backoff,
    Breaker,
    Cancel,
    Context,
    ControlEntry,
    Dead,
    Debounce,
    Enqueued,
    EnqueueTimeout,
    Failure,
    Job,
    Limit,
    QueueBehind,
    QueueFull,
    RetryAfter,
    Secret,
    Snooze,
    Unique,
)
from jobstream.testing import CollectingContext, context

app = App("shop")
mail = app.queue("mail", partitions=12)
other = app.queue("other", retention="7d", dedup=timedelta(hours=1), rungs={"1d": 1})
small = App("shop", size="small")
App("shop", size="tiny")  # type: ignore[arg-type] # no such size
bounded = app.queue("bounded", depth_max=100_000, age_max="10m", mode="warn")
app.queue("bounded", depth_max="100")  # rejected
app.queue("bounded", depth_max=5, mode="drop")  # rejected
configured = App("shop", bootstrap_servers="kafka:9092", concurrency=50)


@dataclass(frozen=True)
class Receipt:
    order_id: str
    email: str


@dataclass(frozen=True)
class Invoice:
    number: int


@app.job(
    queue=mail,
    retry=Backoff(attempts=8, first="5s", factor=3, cap="1h", dead_on=(ValueError,)),
    timeout="30s",
)
async def send_receipt(args: Receipt, ctx: Context) -> None:
    if args.order_id == "gone":
        raise Dead("order is gone")
    if ctx.attempt > 3:
        raise RetryAfter("10m")
    if not args.email:
        raise Cancel("nobody to write to")
    raise Snooze(timedelta(minutes=1))


@app.job
async def calls_another(args: Receipt, ctx: Context) -> None:
    await send_receipt(args, ctx)


@app.job
def plain(args: Receipt) -> int:
    return len(args.email)


@app.job
def plain_with_context(args: Receipt, ctx: Context) -> None:
    ctx.enqueue(invoice, Invoice(1), child_name="the invoice")
    ctx.logger.info("%s %s", ctx.job_id, args.order_id)


@app.job(name="receipt.v2", queue=other, on_failure="hold_key", aliases=["receipt.v1"])
def renamed(args: Receipt) -> None: ...


@dataclass(frozen=True)
class Login:
    user: str
    password: Annotated[str, Secret]
    hints: list[Annotated[str, Secret]]


@app.job
async def log_in(args: Login) -> None:
    assert_type(args.password, str)
    assert_type(args.hints, list[str])


log_in.enqueue(Login("ann", "hunter2", []))
log_in.enqueue(Login("ann", Secret(), []))  # rejected


@app.job(executor="process", timeout=timedelta(minutes=5), expect="90s")
def counts(args: Invoice) -> None: ...


@app.on_failure
def tell(failure: Failure) -> None:
    if failure.exception is not None and not failure.will_retry:
        print(failure.job, failure.attempt, failure.decision, failure.traceback)


app.on_failure(lambda failure: print(failure.message))


@app.on_failure  # rejected
def tell_too_much(failure: Failure, ctx: Context) -> None: ...


@app.on_failure  # rejected
def tell_other(failure: str) -> None: ...


# Enqueueing


def from_anywhere(receipts: list[Receipt]) -> None:
    told: Enqueued = send_receipt.enqueue(Receipt("o-1", "a@b.example"))
    print(told.job_id, told.topic, told.partition, told.offset)
    send_receipt.enqueue(Receipt("o-1", "a@b.example"), run_at=datetime.now(UTC), key="o-1")
    ids: list[str] = send_receipt.enqueue_many(receipts)
    ids += plain.enqueue_many((Receipt("o", "e") for _ in range(9)), key=lambda r: r.order_id)
    try:
        send_receipt.enqueue(Receipt("o-1", "a@b.example"), idempotency_key="r-o-1", delay=2.5)
    except EnqueueTimeout as error:
        print(error.may_be_written)


async def from_a_loop(receipts: list[Receipt]) -> None:
    await send_receipt.aenqueue(
        Receipt("o-1", "a@b.example"), delay="10m", key="o-1", idempotency_key="r-o-1"
    )
    ids: list[str] = await send_receipt.aenqueue_many(receipts)
    print(ids)


try:
    send_receipt.enqueue(Receipt("o-1", "a@b.example"))
except QueueBehind as behind:
    assert_type(behind.depth, int)
    assert_type(behind.age, float | None)
except QueueFull as full:
    assert_type(full.retry_after, float)
send_receipt.enqueue(Invoice(1))  # rejected
send_receipt.enqueue("o-1")  # rejected
send_receipt.enqueue()  # rejected
send_receipt.enqueue(Receipt("o-1", "a@b.example"), 5)  # rejected
send_receipt.enqueue(Receipt("o-1", "a@b.example"), delay=None, wait="5s")  # rejected
send_receipt.enqueue(Receipt("o-1", "a@b.example"), run_at="tomorrow")  # rejected
send_receipt.enqueue(Receipt("o-1", "a@b.example"), key=7)  # rejected
send_receipt.enqueue_many([Invoice(1)])  # rejected
send_receipt.enqueue_many([Receipt("o", "e")], key="o-1")  # rejected
send_receipt.enqueue_many([Receipt("o", "e")], key=lambda r: r.number)  # rejected
receipt_id: int = send_receipt.enqueue(Receipt("o-1", "a@b.example")).job_id  # rejected


async def wrong_in_a_loop() -> None:
    await send_receipt.aenqueue(Invoice(1))  # rejected
    await send_receipt.aenqueue(Receipt("o", "e"), idempotency_key=b"r")  # rejected
    text: str = await send_receipt.aenqueue(Receipt("o", "e"))  # rejected
    print(text)


# Calling runs the handler


async def unit_test() -> None:
    await send_receipt(Receipt("o-1", "a@b.example"))
    size: int = plain(Receipt("o-1", "a@b.example"))
    print(size)
    await send_receipt(Invoice(1))  # rejected
    await plain(Receipt("o-1", "a@b.example"))  # rejected
    wrong: str = plain(Receipt("o-1", "a@b.example"))  # rejected
    print(wrong)


typed: Job[Receipt, int] = plain
typed_async: Job[Receipt, Awaitable[None]] = send_receipt  # a coroutine is one kind of awaitable
mistyped: Job[Invoice, int] = plain  # rejected


# A producer that imports no worker code, and the worker's side of it

invoice = app.declare("invoice", Invoice, queue=mail)


@invoice.handler
async def make_invoice(args: Invoice) -> None: ...


app.declare(
    "shipment",
    Receipt,
    order_by=("order_id", "email"),
    unique=Unique(by="order_id", until="start", on_conflict="keep_latest", expires="1h"),
    limits=[Limit(concurrency=5, per="order_id"), Limit(rate="1000/s", burst=10)],
    fair_by="email",
)
app.declare("digest", Receipt, debounce=Debounce(by="email", wait="5s", wait_max="1m"))
reminder = app.declare("reminder", Invoice, retry=Backoff(attempts=3), timeout="5s", expect=2)
app.queue("soon", slo=timedelta(minutes=2))
app.metrics().collect()


@reminder.handler
def remind(args: Invoice, ctx: Context) -> None: ...


invoice.enqueue(Invoice(7))
invoice.enqueue(Receipt("o-1", "a@b.example"))  # rejected


@invoice.handler  # rejected
async def wrong_args(args: Receipt) -> None: ...


@invoice.handler  # rejected
async def wrong_context(args: Invoice, ctx: str) -> None: ...


@invoice.handler  # rejected
def too_many(args: Invoice, ctx: Context, more: int) -> None: ...


# Wrong handlers and wrong options


@app.job  # rejected
def no_args() -> None: ...


@app.job  # rejected
def three(args: Receipt, ctx: Context, more: str) -> None: ...


@app.job(queue=mail)  # rejected
async def odd_context(args: Receipt, ctx: int) -> None: ...


@app.job(queue="mail")  # rejected
async def queue_by_name(args: Receipt) -> None: ...


@app.job(retries=3)  # rejected
async def unknown_option(args: Receipt) -> None: ...


@app.job(retry=3)  # rejected
async def count_for_a_policy(args: Receipt) -> None: ...


@app.job(expect=b"2s")  # rejected
async def odd_expectation(args: Receipt) -> None: ...


@app.job(timeout=None)  # rejected
async def no_limit(args: Receipt) -> None: ...


@app.job(on_failure="drop")  # rejected
async def unknown_choice(args: Receipt) -> None: ...


@app.job(executor="fiber")  # rejected
async def unknown_executor(args: Receipt) -> None: ...


app.declare("nameless")  # rejected
app.declare("receipt", Receipt, queue="mail")  # rejected
app.queue("mail", partitions="12")  # rejected
app.queue("mail", shards=12)  # rejected
app.queue("mail", slo=b"5m")  # rejected
app.metrics(mail)  # rejected
Backoff(attempts="8")  # rejected
Backoff(dead_on=(ValueError(),))  # rejected
RetryAfter()  # rejected
Dead(5)  # rejected
App("shop", bootstrap="kafka:9092")  # rejected
App("shop", concurrency="50")  # rejected


# Tests of handlers

third = context(plain_with_context, attempt=3, enqueued_at=datetime.now(UTC), is_cancelled=True)
assert_type(third, CollectingContext)
plain_with_context(Receipt("o-1", "a@b.example"), third)
children: list[str] = [child.name for child in third.enqueued]
context()  # rejected
context(plain_with_context, attempt="3")  # rejected
context(plain_with_context, deadline=5)  # rejected


# Control

entry: ControlEntry = app.control.pause(queue=mail, why="deploy", for_="2h")
app.control.pause(queue="mail", who="ann@laptop")
app.control.pause(job=send_receipt, for_=timedelta(minutes=5))
app.control.cancel("019c13ec", why="wrong customers")
app.control.quiet("worker-7:*", for_=600)
app.schedules.pause("nightly", why="wrong numbers", for_="2d")
backfilled: int = app.schedules.backfill("nightly", entry.at, entry.expires_at)
ticks: Sequence[datetime] = app.schedules.preview("nightly", 3)
app.cron("*/5 * * * *", tz="Europe/Berlin")(send_receipt).enqueue(Receipt("o-1", "a@b.example"))
app.every("10m", missed="some")  # rejected
app.every("10m")(len)  # rejected
app.control.resume(job_id="019c13ec")
app.control.resume(queue=mail)
app.control.unquiet("worker-7:*")
app.control.drain("worker-7:4711", why="its memory grows")
until: datetime = app.control.entries()[0].expires_at
app.control.breaker("smtp").open(why="moves", for_="2h")
held: ControlEntry = app.control.breaker("smtp").close(who="ann@laptop")
app.control.breaker("smtp").release()
app.control.breaker(Breaker("smtp"))  # rejected
app.control.pause(mail)  # rejected
app.control.pause(queue=send_receipt)  # rejected
app.control.pause(queue=mail, for_=mail)  # rejected
app.control.cancel(send_receipt)  # rejected
entry.why = "other"  # rejected
app.declare("unlimited", Receipt, limits=Limit(concurrency=5))  # rejected
app.declare("unordered", Receipt, order_by=5)  # rejected
app.declare("misnamed", Receipt, orderby="email")  # rejected
