"""While one partition has no leader, jobs of the others are run, settled and committed."""

from __future__ import annotations

from dataclasses import dataclass

from jobstream import App, Backoff
from jobstream.testing import memory
from jobstream.topics.names import worker_group

app = App("elections")
queue = app.queue("mail", partitions=2)


@dataclass(frozen=True)
class Mail:
    number: int


@app.job(queue=queue, retry=Backoff(attempts=3, first="1s"))
def send(args: Mail) -> None:
    if args.number % 5 == 4:
        message = "not at first"
        raise OSError(message)


def test_the_rows_of_one_partition_wait_and_the_other_goes_on() -> None:
    with memory(app) as jobs:
        plan = app.plans()["mail"]
        group, places = worker_group("elections"), [(plan.topic, 0), (plan.topic, 1)]

        def committed(partition: int) -> int:
            position = jobs.broker.committed(group, places[partition])
            return position.offset if position is not None else 0

        # Given jobs in both partitions, and no leader for the rows of one
        jobs.run_until_idle()
        jobs.broker.hold_publishes(lambda r: r.topic == plan.dedup and r.partition == 0)
        for number in range(40):
            send.enqueue(Mail(number), key=f"key-{number}")
        assert all(jobs.broker.span(place)[1] for place in places), "both have jobs"

        # When time passes, then the other partition is through with all of them
        jobs.run_for("10s")
        ends = [jobs.broker.span(place)[1] for place in places]
        assert (committed(0), committed(1)) == (0, ends[1])
        assert not jobs.broker.records(plan.dedup, 0)[1:], "a claim, and nothing else"

        # And the first one follows once it has a leader
        jobs.broker.heal()
        for _ in range(10):  # watermarks are shown every so many turns
            jobs.run_for("1s")
        ends = [jobs.broker.span(place)[1] for place in places]
        assert [committed(0), committed(1)] == ends
        dead = [job.args.number for job in jobs.seen(send) if job.state == "dead"]
        assert dead == [number for number in range(40) if number % 5 == 4]
        assert {job.state for job in jobs.seen(send)} == {"done", "dead"}
