"""What a deploy can no longer read: it waits for a roll-back, and then dies by its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from tests.contract.versions import New, Old, enqueue, thing, version

from jobstream.testing import memory
from jobstream_schemas import Secret

WANTED: dict[str, tuple[type[Any], type[Any], tuple[Any, ...], str]] = {
    "fields added": (
        thing(("a", int)), thing(("a", int), ("b", str), ("c", str)), (1,),
        "args.b: was not written, and has no default; args.c: was not written",
    ),
    "field added, one is secret": (
        thing(("a", Annotated[str, Secret()])), thing(("a", Annotated[str, Secret()]), ("b", str)),
        ("hunter2",), "args.b: was not written, and has no default",
    ),
    "symbol of a secret": (
        thing(("a", Annotated[New.Size, Secret()])), thing(("a", Annotated[Old.Size, Secret()])),
        (New.Size.LARGE,), "args.a: is not a member of Size",
    ),
    "text that is no UTF-8": (
        thing(("a", bytes)), thing(("a", str)), (b"\xff",), "args.a: UnicodeDecodeError",
    ),
    "no float holds it": (
        thing(("a", list[int])), thing(("a", list[float])), ([2**53 + 1],), "args.a[]: 90071992",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", WANTED)
def test_a_roll_back_within_the_hour_saves_what_new_code_cannot_read(change: str) -> None:
    before, after, values, _ = WANTED[change]
    (old, ran), (new, ran_new) = version(before), version(after)
    with memory(old) as jobs:
        enqueued = enqueue(old, jobs, before(*values))
    with memory(new, jobs.broker) as later:
        later.run_for("30m")
        assert [job.state for job in later.seen(enqueued)] == ["waiting"]
    with memory(old, jobs.broker) as back:
        back.run_for("15m")
        (done,) = back.assert_done(enqueued)
    assert (ran, ran_new, done.attempt) == ([before(*values)], [], 1)


@pytest.mark.parametrize("change", WANTED)
def test_what_new_code_cannot_read_dies_with_its_fields_named_and_no_secret(
    change: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, after, values, said = WANTED[change]
    (old, _), (new, ran) = version(before), version(after)
    with memory(old) as jobs:
        enqueued = enqueue(old, jobs, before(*values))
    with memory(new, jobs.broker) as later:
        later.run_for("61m")
        (dead,) = later.assert_dead(enqueued, why=said)
    assert (dead.reason, ran) == ("schema_mismatch", [])
    (told,) = [each for each in caplog.records if each.message == "job_waits_for_code"]
    assert said in told.reason  # type: ignore[attr-defined] # an extra
    if "secret" in change:
        assert not any(each in dead.message + str(told.__dict__) for each in ("hunter2", "LARGE"))


def test_what_the_class_refuses_now_waits_for_the_code_that_took_it() -> None:
    strict = False

    @dataclass(frozen=True)
    class Cup:
        size: int

        def __post_init__(self) -> None:
            if strict and self.size > 1:
                message = "too large"
                raise ValueError(message)

    app, ran = version(Cup)
    with memory(app) as jobs:
        enqueued = app.jobs["send"].enqueue(Cup(2))
        strict = True
        jobs.run_for("30m")
        (waits,) = jobs.seen(enqueued)
        strict = False
        jobs.run_for("15m")
        jobs.assert_done(enqueued)
    assert (waits.state, ran) == ("waiting", [Cup(2)])
