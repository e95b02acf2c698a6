"""A start that refuses: jobs wait that the deployed code cannot read, and nobody has seen."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from tests.contract.versions import New, Old, enqueue, thing, version

from jobstream import App, JobsUndecodable
from jobstream.testing import memory
from jobstream_schemas import Secret

if TYPE_CHECKING:
    from jobstream.testing import MemoryJobs

PASSWORD = Annotated[str, Secret()]


@dataclass(frozen=True)
class Line:
    item: str


LONGER: Any = make_dataclass("Line", [("item", str), ("count", int)], frozen=True)
BROKEN: dict[str, tuple[type[Any], type[Any], tuple[Any, ...], str]] = {
    "fields added": (
        thing(("a", int)),
        thing(("a", int), ("b", str), ("c", str)),
        (1,),
        "args.b: was not written, and has no default; args.c: was not",
    ),
    "in a list": (
        thing(("a", list[Line])), thing(("a", list[LONGER])), ([Line("x")],), "args.a[].count: was"
    ),
    "in an optional": (
        thing(("a", Line | None)), thing(("a", LONGER | None)), (Line("x"),), "args.a.count: was"
    ),
    "beside a secret": (
        thing(("a", PASSWORD)), thing(("a", PASSWORD), ("b", int)), ("hunter2",), "args.b: was not"
    ),
    "retyped": (thing(("a", int)), thing(("a", str)), (1,), "args.a: was written as long"),
    "member gone": (
        thing(("a", New.Size)), thing(("a", Old.Size)), (New.Size.LARGE,), "args.a: is not a member"
    ),
}  # fmt: skip


def left_by(old: App, *args: Any) -> MemoryJobs:  # noqa: ANN401 - of any version
    """A broker on which these jobs wait that nobody has run."""
    with memory(old) as jobs:
        for each in args:
            old.jobs["send"].enqueue(each)
    return jobs


@pytest.mark.parametrize("change", BROKEN)
def test_a_start_is_refused_with_the_field_and_the_fix(change: str) -> None:
    before, after, values, said = BROKEN[change]
    (old, _), (new, _) = version(before), version(after, refuses=True)
    jobs = left_by(old, before(*values), before(*values))

    with pytest.raises(JobsUndecodable) as refused, memory(new, jobs.broker):
        pass

    assert said in str(refused.value)
    assert "2 of the 2 jobs looked at: send:" in str(refused.value)
    assert "give each new field a default" in str(refused.value)
    assert "JOBSTREAM_ALLOW_UNDECODABLE=on" in str(refused.value)
    assert not any(each in str(refused.value) for each in ("hunter2", "LARGE", "'y'"))


@pytest.mark.parametrize("change", BROKEN)
def test_nothing_is_refused_once_the_old_code_has_run_its_jobs(change: str) -> None:
    before, after, values, _ = BROKEN[change]
    (old, ran), (new, _) = version(before), version(after, refuses=True)
    with memory(old) as jobs:
        old.jobs["send"].enqueue(before(*values))
        jobs.run_until_idle()
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
    assert len(ran) == 1


def test_nothing_is_refused_of_what_this_code_can_read() -> None:
    before, after = thing(("a", New.Size), ("b", Line | None)), thing(("a", Old.Size), ("b", Line))
    (old, _), (new, ran) = version(before), version(after, refuses=True)
    jobs = left_by(old, before(New.Size.SMALL, Line("x")))
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
    assert ran == [after(Old.Size.SMALL, Line("x"))], "another value of its schema would not do"


def test_a_default_lets_it_start() -> None:
    after = thing(("a", int), ("b", str, field(default="de")))
    (old, _), (new, ran) = version(thing(("a", int))), version(after, refuses=True)
    jobs = left_by(old, old.jobs["send"].codec.cls(1))
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
    assert ran == [after(1, "de")]


def test_what_a_worker_sent_to_wait_for_other_code_refuses_no_restart() -> None:
    before, after, values, _ = BROKEN["fields added"]
    (old, _), (new, _) = version(before), version(after)
    jobs = left_by(old, before(*values))
    with memory(new, jobs.broker) as later:
        later.run_for("1m")
    again, ran = version(after, refuses=True)
    with memory(again, jobs.broker) as restarted:
        enqueue(again, restarted, after(1, "x", "y"))
        restarted.run_for("1m")
    assert ran == [after(1, "x", "y")]


def test_a_delayed_job_waits_too() -> None:
    before, after, values, said = BROKEN["fields added"]
    (old, _), (new, _) = version(before), version(after, refuses=True)
    with memory(old) as jobs:
        old.jobs["send"].enqueue(before(*values), delay="2h")
        jobs.run_for("1h")
    with pytest.raises(JobsUndecodable, match=said), memory(new, jobs.broker):
        pass


def test_a_renamed_type_is_refused_for_its_fields_alone() -> None:
    ran: list[Any] = []

    def post(args: Any) -> None:  # noqa: ANN401 - declared below
        ran.append(args)

    def shop(args: type[Any]) -> App:
        app = App("shop")
        queue = app.queue("mail", partitions=1)
        app.declare("post", args, queue=queue, aliases=["send"]).handler(post)
        return app

    before = thing(("a", int))
    old, _ = version(before)
    jobs = left_by(old, before(1))
    with memory(shop(thing(("a", int), ("b", str, "de"))), jobs.broker) as later:
        later.run_until_idle()
        assert [job.state for job in later.seen()] == ["done"]
    with memory(old, jobs.broker) as again:
        enqueue(old, again, before(2))
    with (
        pytest.raises(JobsUndecodable, match=r"args\.b: was not"),
        memory(shop(thing(("a", int), ("b", str))), jobs.broker),
    ):
        pass
