"""Job types with rules about when a job may run, several on each, and what their jobs are to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.simulation import jobs
from tests.simulation.jobs import CATALOGUE, FAIL, OK, PERMANENT, RETRY, Run, Script, app, mail
from tests.simulation.runtime import EPOCH_US

from jobstream import Breaker, Debounce, Limit, Unique
from jobstream_processors.core.identity import from_caller, from_window

if TYPE_CHECKING:
    from random import Random

    from jobstream import Context, Job

FIRST, LATEST, STARTED = "first", "latest", "started"
"""Who has a unique key: the first until its end, one beside which the newest waits, or the first
until it starts."""
OPEN_S = 15
PARTNER = Breaker(
    "partner", ratio=0.6, window="20s", least=4, open=f"{OPEN_S}s", open_max="30s", probes=2
)


@dataclass(frozen=True, slots=True)
class Deed:
    """The args of all these types."""

    number: int
    account: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Pace:
    """A limit of a type, as it is judged: so many starts at once, and one in so many seconds."""

    burst: int
    each_s: float
    per: str = "account"


@dataclass(frozen=True, slots=True)
class Rules:
    """What is promised of a type."""

    unique: str = ""
    paces: tuple[Pace, ...] = ()
    at_once: tuple[tuple[int, str], ...] = ()
    """(most, the field of whose values each; "" for all)."""
    breaks: bool = False
    ordered: bool = False
    within: bool = False
    """All of a key are one job, however often it is enqueued."""


RULES: Final[dict[str, Rules]] = {
    "once": Rules(FIRST, breaks=True),
    "newest": Rules(LATEST, (Pace(1, 2.0),)),
    "burst": Rules(LATEST),
    "waits_once": Rules(STARTED, at_once=((2, "account"),)),
    "paced": Rules(paces=(Pace(2, 2.0),), at_once=((2, "account"), (6, "")), breaks=True),
    "pinned": Rules(at_once=((2, ""),)),
    "child": Rules(FIRST, at_once=((2, "account"),)),
    "keyed": Rules(paces=(Pace(1, 1.5, "tenant"),), breaks=True, ordered=True),
    "everything": Rules(
        FIRST, (Pace(2, 1.0, "tenant"),), ((1, "tenant"),), breaks=True, ordered=True
    ),
}
LATER: Final[dict[str, Rules]] = {
    "windowed": Rules(within=True),
}
"""Types that came later: seeds from before do not draw them."""
WINDOW_MS: Final = 52_000_000
"""The simulation begins in the middle of such a window, and ends long before the window does."""


async def _runs(args: Deed, ctx: Context) -> None:
    await jobs.on_loop(args, ctx)


def _in_thread(args: Deed, ctx: Context) -> None:
    jobs.in_thread(args, ctx)


def _elsewhere(args: Deed, ctx: Context) -> None:
    raise NotImplementedError((args, ctx))  # Played by the executor of the simulation.


_job = partial(app.job, queue=mail, retry=RETRY, timeout=jobs.TIMEOUT_S)

RULED: Final[dict[str, Job[Deed, Any]]] = {
    job.name: job
    for job in (
        _job(
            name="once",
            unique=Unique(by="account"),
            breaker=PARTNER,
        )(_runs),
        _job(
            name="newest",
            unique=Unique(by="account", on_conflict="keep_latest"),
            limits=[Limit(rate="1/2s", per="account")],
        )(_in_thread),
        _job(
            name="burst",
            debounce=Debounce(by="account", wait="2s", wait_max="8s"),
            fair_by="tenant",
        )(_runs),
        _job(
            name="waits_once",
            unique=Unique(by="account", until="start"),
            limits=[Limit(concurrency=2, per="account")],
            fair_by="tenant",
        )(_runs),
        _job(
            name="paced",
            limits=[
                Limit(rate="2/4s", burst=2, per="account"),
                Limit(concurrency=2, per="account"),
                Limit(concurrency=6),
            ],
            fair_by="tenant",
            breaker=PARTNER,
        )(_runs),
        _job(
            name="pinned",
            limits=[Limit(concurrency=2)],
        )(_in_thread),
        _job(
            name="child",
            executor="process",
            unique=Unique(by="account"),
            limits=[Limit(concurrency=2, per="account")],
            fair_by="tenant",
        )(_elsewhere),
        _job(
            name="keyed",
            order_by="tenant",
            on_failure="hold_key",
            limits=[Limit(rate="2/3s", burst=1, per="tenant")],
            breaker=PARTNER,
        )(_runs),
        _job(
            name="everything",
            order_by="tenant",
            unique=Unique(by=("tenant", "account")),
            limits=[
                Limit(rate="1/s", burst=2, per="tenant"),
                Limit(concurrency=1, per="tenant"),
            ],
            fair_by="tenant",
            breaker=PARTNER,
        )(_runs),
        _job(
            name="shared",
            fair_by="tenant",
        )(_runs),
        _job(
            name="windowed",
            unique=Unique(by="account", within=WINDOW_MS / 1_000),
        )(_runs),
    )
}
for _schema in app.schemas():
    CATALOGUE.register(_schema)


def ruled_scripts(rng: Random, count: int, length_s: float, *, later: bool = False) -> list[Script]:
    """What `count` jobs are to do, of one type, or of several, enqueued over `length_s`."""
    kinds = rng.sample(sorted(RULES), rng.choice((1, 1, 2, 4)))
    if later:
        kinds = [*kinds, *rng.sample(sorted(LATER), rng.choice((0, 1)))]
    accounts = [f"account-{number}" for number in range(rng.choice((1, 2, 5)))]
    tenants = [f"tenant-{number}" for number in range(rng.choice((1, 2, 3)))]
    failing = rng.choice((0.0, 0.2, 0.5, 0.9))
    long, burst = rng.random() < 0.5, rng.random() < 0.4
    delayed, snoozing = rng.choice((0.0, 0.2, 0.6)), rng.choice((0.0, 0.0, 0.2))
    made: list[Script] = []
    for number in range(count):
        kind, tenant = rng.choice(kinds), rng.choice(tenants)
        script = Script(
            number,
            kind,
            _lives(rng, failing, long=long),
            snoozes=rng.choice((1, 3)) if rng.random() < snoozing else 0,
            at_s=0.5 + rng.random() * (2.0 if burst else length_s),
            delay_s=rng.choice((0.5, 3.0, 8.0, 33.0)) if rng.random() < delayed else 0.0,
            key=f"{kind} of {tenant}" if rules_of(kind).ordered else None,
            expires_s=30.0 if rng.random() < 0.05 else None,
            twice=rng.random() < 0.1,
            cancelled_at_s=rng.random() * length_s if rng.random() < 0.05 else None,
            args=Deed(number, rng.choice(accounts), tenant),
        )
        script.ends = jobs.ends_of(script)
        if rules_of(kind).unique:
            script.ends |= {"duplicate"}
        made.append(script)
    return _once_a_window(made)


def _once_a_window(made: list[Script]) -> list[Script]:
    """The first of each key in its window; it is enqueued once more instead of the others."""
    found: list[Script] = []
    known: dict[str, Script] = {}
    for script in made:
        args = script.args
        assert isinstance(args, Deed), "all jobs of these types have them"
        if not rules_of(script.kind).within:
            found.append(script)
        elif (first := known.get(args.account)) is not None:
            first.twice = True
        else:
            known[args.account] = script
            keys = RULED[script.kind].kind.keys
            assert keys is not None, "it declares one"
            key = keys.of(args, None)[1]
            script.job_id = from_window(script.kind, str(key), WINDOW_MS, EPOCH_US // 1_000)
            found.append(script)
    for number, script in enumerate(found):
        assert isinstance(script.args, Deed), "all jobs of these types have them"
        script.number, script.args = number, replace(script.args, number=number)
        if not rules_of(script.kind).within:
            script.job_id = from_caller(script.kind, str(number))
    return found


def rules_of(kind: str) -> Rules:
    """What is promised of a type."""
    return RULES.get(kind) or LATER.get(kind) or Rules()


def _lives(rng: Random, failing: float, *, long: bool) -> tuple[Run, ...]:
    runs: list[Run] = []
    while rng.random() < failing and len(runs) < RETRY.attempts:
        runs.append(Run(rng.choices((FAIL, PERMANENT), (20, 1))[0], _seconds(rng, long=long)))
        if runs[-1].end == PERMANENT:
            return tuple(runs)
    return (*runs, Run(OK, _seconds(rng, long=long)))


def _seconds(rng: Random, *, long: bool) -> float:
    if long and rng.random() < 0.4:
        return rng.choice((3.0, 6.0, 12.0))
    return rng.choice((0.0, 0.05, 0.3, 1.0))


def value_of(script: Script, field: str) -> str:
    """What the jobs are told apart by, for a rule by that field; "" for one of the whole type."""
    return getattr(script.args, field) if field else ""


def unique_of(script: Script) -> tuple[str, ...] | None:
    """The unique key of a job, as it is judged."""
    rules, args = rules_of(script.kind), script.args
    if not rules.unique or not isinstance(args, Deed):
        return None
    return (script.kind, args.account, args.tenant if rules.ordered else "")
