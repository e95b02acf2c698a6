"""What an app refuses where it is written: names, options, handlers and args, each by name."""

from __future__ import annotations

import asyncio
import functools
import time
import traceback
from collections.abc import AsyncIterator, Iterator  # noqa: TC003 - read by get_type_hints
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from jobstream import (
    App,
    Backoff,
    ConfigError,
    EnqueueTimeout,
    InvalidOption,
    JobstreamError,
    WrongArgs,
)
from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream import Context

NOBODY = "127.0.0.1:1"
"""An address where no broker listens."""


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass(frozen=True)
class Tree:
    left: Tree | None


@dataclass(frozen=True)
class Half:
    left: int
    right: int


@dataclass(frozen=True)
class Loose:
    anything: Any


@dataclass(frozen=True)
class Bag:
    words: set[str] = field(default_factory=set)


@pytest.fixture
def app() -> Iterator[App]:
    app = App("shop", bootstrap_servers=NOBODY, enqueue_timeout="300ms")
    yield app
    app.close()


async def adopted(args: Mail) -> None: ...


def test_types_without_a_handler_are_told_for_the_queues_that_are_served(app: App) -> None:
    mail, other = app.queue("mail"), app.queue("other")
    app.declare("orphan", Mail, queue=mail)
    app.declare("elsewhere", Mail, queue=other)
    app.job(queue=mail)(adopted)
    assert app.without_handler(app.plans(["mail"])) == ["orphan"]
    assert app.without_handler(app.plans()) == ["orphan", "elsewhere"]


@pytest.mark.parametrize("name", ["", "Shop", "a.b", "a b", "a_b", "x" * 61, None, 5])
def test_app_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="app name"):
        App(name)


def no_args() -> None: ...
def not_annotated(args) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - wrong on purpose
def no_dataclass(args: str) -> None: ...
def the_class(args: type[Mail]) -> None: ...
def unknown_class(args: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821 - wrong on purpose
def three(args: Mail, ctx: Context, more: int) -> None: ...
def keyword_needed(args: Mail, *, more: int) -> None: ...
def second_annotated(args, ctx: Mail) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - wrong on purpose
def yields(args: Mail) -> Iterator[int]:  # noqa: ARG001 - a handler has args
    yield 1


async def yields_on_loop(args: Mail) -> AsyncIterator[int]:  # noqa: ARG001 - likewise
    yield 1


class Acts:
    def __call__(self, args: Mail) -> None: ...


HANDLERS: dict[str, tuple[Callable[..., object], str]] = {
    "no args": (no_args, "first parameter with a dataclass, a pydantic model or a msgspec struct$"),
    "not annotated": (
        not_annotated,
        "first parameter with a dataclass, a pydantic model or a msgspec struct$",
    ),
    "no dataclass": (no_dataclass, "annotate its first parameter .*, not <class 'str'>"),
    "a class of classes": (the_class, "annotate its first parameter"),
    "unknown class": (unknown_class, "name 'Nowhere' is not defined"),
    "three": (three, r"takes \(args\) or \(args, ctx\)"),
    "keyword needed": (keyword_needed, r"takes \(args\) or \(args, ctx\)"),
    "second annotated": (second_annotated, "annotate its first parameter"),
    "yields": (yields, "the handler yields"),
    "yields on the loop": (yields_on_loop, "the handler yields"),
    "partial": (functools.partial(no_args), "is not a function"),
    "object": (Acts(), "is not a function"),
}


@pytest.mark.parametrize(("handler", "told"), HANDLERS.values(), ids=HANDLERS.keys())
def test_handler_is_refused_at_registration(
    app: App, handler: Callable[..., Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        app.job(handler)

    assert not app.specs()


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (Tree, "Tree contains itself"),
        (Loose, r"Loose\.anything"),
        (Bag, r"Bag\.words: type set\[str\] is not supported"),
        (str, "can't hold a job's args"),
    ],
)
def test_args_are_refused_by_name(app: App, cls: type[Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        app.declare("job", cls)

    assert str(caught.value).startswith("job 'job'")
    assert "job" not in app.jobs


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"retries": 3}, "no job option 'retries'"),
        ({"retry": 3}, "is not a Backoff"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "25h"}, "outside 1ms .. 1d"),
        ({"timeout": "soon"}, "is not a duration"),
        ({"on_failure": "drop"}, "choose 'ladder' or 'hold_key'"),
        ({"executor": "fiber"}, "choose 'async', 'thread' or 'process'"),
        ({"executor": "async"}, "needs an `async def` handler"),
        ({"name": "two words"}, "job name 'two words'"),
        ({"name": ""}, "job name ''"),
        ({"name": 5}, "job name 5"),
        ({"aliases": ["ok", ""]}, "job name ''"),
        ({"aliases": [5]}, "job name 5"),
        ({"aliases": "old"}, "aliases='old' is not a list of names"),
        ({"aliases": 5}, "aliases=5 is not a list of names"),
        ({"queue": ""}, "queue '' is not one of this app's: give a Queue"),
        ({"queue": 0}, "queue 0 is not one of this app's: give a Queue"),
        ({"queue": "mail"}, r"give what app\.queue\('mail'\) returned"),
        ({"retry": 0}, "is not a Backoff"),
        ({"retry": Backoff(cap="2d")}, "longer than the dedup window"),
    ],
)
def test_option_is_refused_at_registration(app: App, options: dict[str, Any], told: str) -> None:
    def handler(args: Mail) -> None: ...

    with pytest.raises(ConfigError, match=told):
        app.job(**options)(handler)


def test_what_a_plain_value_refuses_is_of_the_one_package_that_users_see() -> None:
    with pytest.raises(InvalidOption) as refused:
        Backoff(attempts=0)

    told = traceback.format_exception_only(refused.value)
    assert told[-1].startswith("jobstream.InvalidOption: attempts=0")


def test_a_method_is_no_handler(app: App) -> None:
    class Mailer:
        def send(self, args: Mail) -> None: ...

    with pytest.raises(ConfigError, match="a method can't be a handler; write a function"):
        app.job(Mailer.send)  # type: ignore[arg-type]


def test_an_unknown_option_of_a_queue_is_named_with_those_there_are(app: App) -> None:
    options: dict[str, Any] = {"priority": 5}

    says = "no queue option 'priority'; there are age_max, .*partitions.*, weight$"
    with pytest.raises(ConfigError, match=says):
        app.queue("mail", **options)


def test_a_refusal_is_told_once(app: App) -> None:
    """A traceback with the same sentence twice hides the line of the user between both."""

    @dataclass(frozen=True)
    class Odd:
        x: complex

    with pytest.raises(ConfigError, match="type complex is not supported") as refused:
        app.declare("odd", Odd)
    mail = app.declare("mail", Mail)
    with memory(app), pytest.raises(WrongArgs) as wrong:
        mail.enqueue(Mail(7))  # type: ignore[arg-type]

    for error in (refused.value, wrong.value):
        assert "direct cause" not in "".join(traceback.format_exception(error))


def test_args_that_are_imported_for_type_checkers_alone_are_told_of(app: App) -> None:
    def handler(args: Elsewhere) -> None: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(ConfigError, match="import it outside `if TYPE_CHECKING:`"):
        app.job(handler)


def test_executor_process_needs_a_handler_that_others_can_import(app: App) -> None:
    def inside(args: Mail) -> None: ...

    with pytest.raises(ConfigError, match="at module level"):
        app.job(executor="process")(inside)


def test_name_is_taken_once_aliases_included(app: App) -> None:
    app.declare("mail", Mail, aliases=["letter"])

    for name in ("mail", "letter"):
        with pytest.raises(ConfigError, match="is taken by"):
            app.declare(name, Mail)


@pytest.mark.parametrize("name", ["_canary", "_unknown", "_mine", "", "1st", "a b", "x" * 129])
def test_job_name_is_refused(app: App, name: str) -> None:
    with pytest.raises(ConfigError, match="names that begin with '_' are jobstream's own"):
        app.declare(name, Mail)


def test_queue_of_another_app_is_refused(app: App) -> None:
    other = App("other").queue("mail", partitions=3)

    with pytest.raises(ConfigError, match="is not one of this app's"):
        app.declare("mail", Mail, queue=other)


def test_second_handler_is_refused(app: App) -> None:
    mail = app.declare("mail", Mail)

    @mail.handler
    def first(args: Mail) -> None: ...

    with pytest.raises(ConfigError, match="has a handler already"):
        mail.handler(first)


def test_context_may_be_imported_for_type_checkers_alone(app: App) -> None:
    @app.job
    def handler(args: Mail, ctx: Context) -> str:
        return f"{args.to} {ctx.attempt}"

    assert handler(Mail("a")) == "a 1"


def test_calling_a_job_without_a_handler_says_so(app: App) -> None:
    with pytest.raises(ConfigError, match="without a handler here"):
        app.declare("mail", Mail)(Mail("a"))


def test_wrong_args_name_field_and_value(app: App) -> None:
    mail = app.declare("mail", Mail)

    with pytest.raises(WrongArgs, match=r"Mail\.to: got 5 \(int\)") as caught:
        mail.enqueue(Mail(5))  # type: ignore[arg-type] # wrong on purpose
    assert not caught.value.may_be_written

    with pytest.raises(
        WrongArgs, match=r"(?s)2 fields.*Half\.left: got.*Half\.right: got.*\nthe job"
    ):
        app.declare("half", Half).enqueue(Half("1", "2"))  # type: ignore[arg-type] # likewise

    with pytest.raises(WrongArgs, match="Mail"):
        mail.enqueue("a@b.example")  # type: ignore[arg-type] # wrong on purpose


def test_delay_and_run_at_exclude_each_other(app: App) -> None:
    mail = app.declare("mail", Mail)
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - wrong on purpose

    with pytest.raises(ConfigError, match="both given"):
        mail.enqueue(Mail("a"), delay="5s", run_at=naive)
    with pytest.raises(ConfigError, match="time zone"):
        mail.enqueue(Mail("a"), run_at=naive)


def test_enqueue_without_a_broker_ends_within_its_wait(app: App) -> None:
    mail = app.declare("mail", Mail)

    for enqueue in (mail.enqueue, lambda args: asyncio.run(mail.aenqueue(args))):
        begun_s = time.monotonic()
        with pytest.raises(EnqueueTimeout, match=r"at 127\.0\.0\.1:1 within") as caught:
            enqueue(Mail("a"))
        assert time.monotonic() - begun_s < 60
        assert not caught.value.may_be_written
        assert isinstance(caught.value, JobstreamError)


@pytest.mark.parametrize("option", ["key", "idempotency_key"])
def test_enqueue_many_takes_a_function_for_keys(app: App, option: str) -> None:
    mail = app.declare("mail", Mail)

    with pytest.raises(ConfigError, match=f"^{option}='k'.*{option}=lambda args"):
        mail.enqueue_many([Mail("a")], **{option: "k"})  # type: ignore[arg-type] # the mistake


def test_enqueue_many_without_a_broker_gives_up_at_the_first(app: App) -> None:
    mail = app.declare("mail", Mail)
    asked = iter(range(1_000_000))

    with pytest.raises(EnqueueTimeout, match="no broker answers"):
        mail.enqueue_many(Mail(f"{n}") for n in asked)

    assert next(asked) == 1
