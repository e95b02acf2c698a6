"""The loop around looks: what stays when one fails, and what the probes say then."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from jobstream.errors import BrokerUnavailable
from jobstream.observe.exporter import Exporter
from jobstream.observe.health import holds
from jobstream.operate.sight import LettersOpen, Sight

if TYPE_CHECKING:
    import pytest

GOOD = Sight(
    taken_ms=0,
    queues=("mail", "bills"),
    partitions=(),
    groups={},
    letters={"mail": LettersOpen(), "bills": LettersOpen()},
    retention_ms={},
)


class Script:
    """Looks as they come out one after the other, and a clock that is set by hand."""

    def __init__(self, *looks: Sight | Exception) -> None:
        self.looks = deque(looks)
        self.reconnected = 0
        self.now = 1_000.0

    def look(self) -> Sight:
        self.now += 2.0
        found = self.looks.popleft()
        if isinstance(found, Exception):
            raise found
        return found

    def reconnect(self) -> None:
        self.reconnected += 1


def exporter(script: Script, interval_s: float = 15.0) -> Exporter:
    return Exporter(
        script,
        interval_s=interval_s,
        objectives_s={"bills": 60.0},
        monotonic=lambda: script.now,
    )


def scraped(of: Exporter) -> dict[str, float]:
    """The last value of each metric."""
    return {s.name: s.value for family in of.collect() for s in family.samples}


AWAY = BrokerUnavailable("no answer from kafka:9092")


def test_before_the_first_look_nothing_is_claimed() -> None:
    made = exporter(Script())

    assert "jobs_collect_last_success_timestamp_seconds" not in scraped(made)
    assert not holds(made.probes.started())
    assert not holds(made.probes.ready())
    assert holds(made.probes.live())


def test_a_good_look_is_shown_with_the_objectives() -> None:
    made = exporter(Script(GOOD))
    made.look()

    objectives = {
        sample.labels["queue"]: sample.value
        for family in made.collect()
        for sample in family.samples
        if sample.name == "jobs_queue_objective_seconds"
    }
    assert objectives == {"mail": 300.0, "bills": 60.0}
    assert scraped(made)["jobs_collect_duration_seconds"] == 2.0
    assert holds(made.probes.ready())


def test_an_objective_of_a_queue_that_is_not_there_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(GOOD, GOOD)
    made = Exporter(
        script,
        interval_s=15.0,
        objectives_s={"bills": 60.0, "post": 9.0},
        monotonic=lambda: script.now,
    )

    made.look()
    made.look()

    (told,) = [r for r in caplog.records if r.message == "objective_of_no_queue"]
    assert (told.__dict__["queues"], told.__dict__["there_are"]) == (["post"], ["bills", "mail"])


def test_a_failed_look_keeps_the_values_and_their_time() -> None:
    script = Script(GOOD, AWAY, GOOD)
    made = exporter(script)
    made.look()
    before = scraped(made)
    made.look()
    after = scraped(made)
    made.look()

    stamp = "jobs_collect_last_success_timestamp_seconds"
    assert after.keys() == before.keys()
    assert after[stamp] == before[stamp]
    assert after["jobs_collect_failures_total"] == 1
    assert scraped(made)["jobs_collect_failures_total"] == 1
    assert scraped(made)[stamp] > before[stamp]
    assert script.reconnected == 1


def test_lost_brokers_make_it_unready_and_never_dead() -> None:
    script = Script(GOOD, AWAY, AWAY)
    made = exporter(script)
    made.look()
    made.look()
    assert holds(made.probes.ready())  # one look that failed: the values are fresh enough

    script.now += 60.0
    made.look()

    (check,) = made.probes.ready()
    assert not check.ok
    assert "no answer from kafka:9092" in check.why
    assert holds(made.probes.live())
    assert holds(made.probes.started())


def test_brokers_that_were_never_there_are_told_by_name() -> None:
    made = exporter(Script(AWAY))
    made.look()

    (check,) = made.probes.ready()
    assert not check.ok
    assert "no answer from kafka:9092" in check.why
    assert holds(made.probes.started())


def test_looks_that_do_not_end_are_death() -> None:
    script = Script(GOOD)
    made = exporter(script)
    made.look()
    script.now += 3_600.0

    assert not holds(made.probes.live())


def test_the_same_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    made = exporter(Script(AWAY, AWAY, GOOD, AWAY))
    for _ in range(4):
        made.look()

    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == ["look_failed"] * 2


def test_it_looks_until_it_is_closed() -> None:
    script = Script(*[GOOD] * 100)
    made = exporter(script, interval_s=0.0)
    looks = script.look

    def look() -> Sight:
        if len(script.looks) == 50:
            made.close()
        return looks()

    script.look = look  # type: ignore[method-assign]
    made.run()

    assert len(script.looks) == 49
