"""Why a job stands where it stands, in one sentence, for a terminal, a page or the API. Pure.

Texts of jobs and operators stand in it as they are: who shows it makes them harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream.operate.order_words import in_force
from jobstream.topics.by_queue import counted
from jobstream_processors.core.known import CANCELLED, DEAD, DONE, DUPLICATE, EXPIRED

if TYPE_CHECKING:
    from jobstream.operate.history import History
    from jobstream.operate.job_events import Event
    from jobstream.operate.order_words import TimeWords
    from jobstream.operate.why import Ahead, Why

WAITS_FOR = {
    "unique": "another job has its unique key",
    "rate": "its rate limit is used up",
    "concurrency": "as many as its limit allows are running",
    "fair": "others of its tenant come first",
    "breaker": "the breaker of what it calls is open",
    "flood": "handlers died one after the other in its partition",
    "paused": "it was paused",
    "key": "another job has its order key",
    "later": "its time has not come",
    "retry": "it is tried again",
    "same_id": "another delivery of it is under way",
    "silent": "the worker does not hear its group",
    "unannounced": "its worker has not announced yet that it may begin",
}
"""What a job waits for, as its copy names it → in words."""
ENDED = {
    DONE: "is done",
    DEAD: "is dead",
    CANCELLED: "is cancelled",
    EXPIRED: "is expired",
    DUPLICATE: "is a duplicate",
}


KEYS = {
    "unique": ("unique_key", "its unique key"),
    "rate": ("limit_key", "its limit key"),
    "concurrency": ("limit_key", "its limit key"),
    "fair": ("fair_key", "its tenant"),
    "key": ("order_key", "its order key"),
}
"""Which key of a job's meta is worth a word, where it waits for that."""


class AskedWorkers(NamedTuple):
    """Which workers were asked what they run, and what waits in them."""

    workers: int = 0
    """Those of this machine that answered."""
    told_all: bool = True
    """None of them has more than an answer holds."""


NOBODY = AskedWorkers()


def asked_of(answers: list[dict[str, Any]]) -> AskedWorkers:
    """Which of them tell what they run: a worker that starts or restores does not yet."""
    known = [answer for answer in answers if "runs" in answer]
    told_all = all(answer.get("running", 0) <= len(answer["runs"]) for answer in known)
    return AskedWorkers(len(known), told_all)


def of_job(answers: list[dict[str, Any]], part: str, job_id: str) -> dict[str, Any] | None:
    """What a worker on this machine says of the job in that part of its answer, and which one."""
    return next(
        (
            {"worker": answer["worker"], **each}
            for answer in answers
            for each in answer.get(part) or []
            if each["id"] == job_id
        ),
        None,
    )


def made_by(found: History, times: TimeWords) -> str:
    """The schedule that made it and the tick, in words; "" if none did."""
    if found.tick_ms is None:
        return ""
    name = f"schedule {found.schedule}" if found.schedule else "a schedule"
    return f"{name}, tick {times.moment(found.tick_ms)}"


def sentence(
    job_id: str,
    event: Event | None,
    why: Why,
    run: dict[str, Any] | None,
    held: dict[str, Any] | None = None,
    *,
    made_by: str = "",
    asked: AskedWorkers = NOBODY,
    times: TimeWords,
) -> str:
    """One sentence.

    `event` is the job itself, if it can be read; `run` is what a worker on this machine says that
    runs it, if one does, and `held` what one says for which it waits there, in memory. `made_by` is
    the schedule that made it, `asked` who was asked what runs.
    """
    facts = [event.job_type if event else "type unknown", f"queue {why.told.queue}"]
    what = f"job {job_id} ({', '.join([*facts, *([made_by] if made_by else [])])})"
    if run is not None:
        seconds = times.span(run["seconds"])
        told = f"runs on {run['worker']} for {seconds} now, attempt {run['attempt']}"
    elif held is not None:
        told = _in_memory(held, event, times)
    elif why.told.what == "waits":
        told = _on_ladder(why, event, times)
    elif why.ahead is not None:
        told = _on_queue(why, why.ahead, asked, times)
    elif _how(why) in ENDED:
        told = _ended(why, times)
    else:
        told = f"is in state {why.state} since {times.moment(why.told.at_ms)}"
    orders = "".join(f"; {text}" for text in _orders(why, run, times))
    return " ".join(f"{what} {told}{orders}.".split())


def _in_memory(held: dict[str, Any], event: Event | None, times: TimeWords) -> str:
    reason = held["for"]
    why = WAITS_FOR.get(reason, reason)
    since = times.moment(held["since_ms"])
    return (
        f"waits in worker {held['worker']}, as {why} [{reason}], since {since}{_key(reason, event)}"
    )


def _on_ladder(why: Why, event: Event | None, times: TimeWords) -> str:
    detail = why.told.detail
    place = f"on rung {detail.get('rung', '?')} until {times.moment(why.due_ms or 0)}"
    reason = detail.get("waits")
    if reason:
        since_ms = detail.get("waits_since_ms")
        since = f", since {times.moment(since_ms)}" if since_ms is not None else ""
        others = [f"{o.subject} since {times.moment(o.at_ms)}, by {o.who}" for o in why.breakers]
        named = f" (open now: {'; '.join(others)})" if others else ""
        key = _key(reason, event)
        if why.same_unique is not None:
            key += f"; job {why.same_unique} has it, too, and is not finished"
        return f"waits {place}, as {WAITS_FOR.get(reason, reason)}{named} [{reason}]{since}{key}"
    if detail.get("error"):
        where = f" at {detail['frame']}" if detail.get("frame") else ""
        return f"waits {place} for attempt {why.attempt}: {detail['error']}{where}"
    return f"waits {place}: it is to run later"


def _key(reason: str, event: Event | None) -> str:
    field, name = KEYS.get(reason, ("", ""))
    value = event.meta.get(field) if event is not None and field else None
    return "" if value is None else f"; {name} is {value!r}"


def _on_queue(why: Why, ahead: Ahead, asked: AskedWorkers, times: TimeWords) -> str:
    topic, partition, offset = why.told.place
    if ahead.settled:
        return (
            f"was finished by a worker at {topic}:{partition}:{offset}, and the log does not tell "
            "any more how it ended: rows live for the dedup window"
        )
    if why.in_place:
        over = f"; that is over: {_may_run(why, asked)}" if why.is_due and why.workers else ""
        return (
            f"waits in place with its order key held until {times.moment(why.due_ms or 0)}, for "
            f"attempt {why.attempt}{over}"
        )
    if not ahead.jobs:
        before = "is the next of its partition"
    else:
        more = []
        if ahead.seconds is not None:
            more.append(f"about {times.span(ahead.seconds)}")
        elif ahead.is_timed:
            more.append("none was finished")
        if ahead.of_key is not None:
            more.append(f"{ahead.of_key:,} of them with its order key")
        rest = f" ({', '.join(more)})" if more else ""
        before = f"is behind {_jobs(ahead.jobs)} of its partition{rest}"
    since = f"on the queue since {times.moment(why.told.at_ms)}"
    if not why.workers:
        return f"{before}, {since}; no worker runs"
    if ahead.may_run:
        return f"{before}, {since}; {_may_run(why, asked)}"
    return f"{before}, {since}"


def _may_run(why: Why, asked: AskedWorkers) -> str:
    """What is known of a job that a worker may run, of which none here says that it does."""
    workers = why.workers or 0
    if asked.workers >= workers and asked.told_all:
        asked_of = f"none of {workers} ran it when they were asked"
        if workers == 1:
            asked_of = "did not run it when it was asked"
        return f"a worker has taken it up, and {asked_of}"
    elsewhere = workers - asked.workers
    are = "is" if elsewhere == 1 else "are"
    others = f", and {elsewhere} of {workers} workers {are} not on this machine"
    others = others if elsewhere else ""
    return f"a worker has taken it up, and may be running it{others}"


def _how(why: Why) -> str:
    """The state; the delayer writes a letter without a row, for a record that it can't carry."""
    return DEAD if why.told.what == "dead letter" else why.state


def _ended(why: Why, times: TimeWords) -> str:
    detail, state = why.told.detail, _how(why)
    told = f"{ENDED[state]} since {times.moment(why.told.at_ms)}"
    reason = detail.get("detail") or detail.get("reason") or ""
    if state == EXPIRED:
        return f"{told}: it did not begin in time"
    if state == DUPLICATE:
        return f"{told} {reason}".rstrip()
    if state in {DEAD, CANCELLED} and reason:
        told = f"{told}: {reason}"
    if state in {DONE, DEAD}:
        told = f"{told}, after {why.attempt} {'attempt' if why.attempt == 1 else 'attempts'}"
    if why.letter_is_open is not None and state == DEAD:
        told = f"{told}; its dead letter is {'open' if why.letter_is_open else 'closed'}"
    return told


def _orders(why: Why, run: dict[str, Any] | None, times: TimeWords) -> list[str]:
    from jobstream.control_listing import shown  # noqa: PLC0415 - not needed for --help

    if _how(why) in ENDED and run is None:
        return []
    return [in_force(shown(order), times) for order in why.orders]


def _jobs(count: int) -> str:
    return counted(count, "job")
