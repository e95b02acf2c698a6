"""Schedules that wait for the end of a job whose row is gone, with the log that it was in."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from fastavro import schemaless_writer

from jobstream import App, Context
from jobstream.testing import MemoryBroker, VirtualClock, memory
from jobstream_processors.ports import Outgoing
from jobstream_schemas import PlaceRecord, decode_schedule, encode_schedule, key_of
from jobstream_schemas.avro_json import plain
from jobstream_schemas.framing import frame_of
from jobstream_schemas.packaged import packaged_before
from jobstream_schemas.schedule_records import PLACE_EARLIER

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.testing import MemoryJobs

ROWS = "shop.orders.dedup"
HISTORY = 50


@dataclass(frozen=True)
class Parcel:
    number: int = 0


class Shop:
    """An app with a schedule of a minute, whose rows stand among those of other jobs."""

    def __init__(self) -> None:
        self.app = App("shop", size="small")
        self.ticks = 0
        queue = self.app.queue("orders", partitions=1)

        @self.app.every("1m")
        @self.app.job(queue=queue)
        async def report(_args: Parcel, _ctx: Context) -> None:
            self.ticks += 1

        @self.app.job(queue=queue)
        async def ship(_args: Parcel) -> None:
            """Nothing."""

        self.ship = ship

    def sent(self, jobs: MemoryJobs, count: int) -> None:
        """So many other jobs, done."""
        self.ship.enqueue_many([Parcel(number) for number in range(count)])
        jobs.run_for("1s")


def place_of(broker: MemoryBroker) -> PlaceRecord:
    """How far the schedule has come."""
    records = broker.records("shop.schedules")
    (*_, last) = [each for each in records if each.key() == b"place:report"]
    place = decode_schedule(last.key() or b"", last.value() or b"")
    assert isinstance(place, PlaceRecord)
    return place


def ten_minutes(shop: Shop, jobs: MemoryJobs) -> int:
    """The ticks that fire in them."""
    before = shop.ticks
    jobs.run_for("10m")
    return shop.ticks - before


@pytest.fixture
def shop() -> Shop:
    return Shop()


def made_anew(broker: MemoryBroker) -> None:
    broker.recreate_topic(ROWS)


def cut(broker: MemoryBroker) -> None:
    """The last rows are gone, as after an unclean election."""
    broker.cut(ROWS, 0, 5)


@pytest.mark.parametrize("befalls", [made_anew, cut])
def test_rows_that_are_gone_stop_no_schedule(
    shop: Shop, befalls: Callable[[MemoryBroker], None]
) -> None:
    with memory(shop.app) as jobs:
        jobs.run_for("2m")
        shop.sent(jobs, HISTORY)
        jobs.run_for("2m")
        befalls(jobs.broker)

        # The job that was waited for may have been one of those.
        assert ten_minutes(shop, jobs) >= 9
        assert ten_minutes(shop, jobs) == 10
        (listed,) = shop.app.schedules.list()

    assert listed.counts["skipped"] <= 1


def test_a_later_owner_does_not_look_in_the_new_log_where_the_old_one_ended(shop: Shop) -> None:
    broker = MemoryBroker(VirtualClock())
    with memory(shop.app, broker) as jobs:
        shop.sent(jobs, HISTORY)
        jobs.run_for("2m")
    rows, place = broker.records(ROWS), place_of(broker)
    made_anew(broker)
    # Rows of other jobs, so that the new log goes on beyond the offset that was noted, too.
    others = [row for row in rows if place.job_id.encode() not in (row.key() or b"")]
    broker.publish([Outgoing(ROWS, row.key(), row.value(), 0) for row in (*others, *others)])
    assert broker.span((ROWS, 0))[1] > place.looked > 0

    later = Shop()
    with memory(later.app, broker) as jobs:
        assert ten_minutes(later, jobs) == 10


def test_a_place_tells_the_log_that_its_offset_is_of(shop: Shop) -> None:
    with memory(shop.app) as jobs:
        jobs.run_for("2m")
        place = place_of(jobs.broker)

        assert (place.topic, place.topic_id) == (ROWS, jobs.broker.topic_id(ROWS))


def test_a_place_of_the_earlier_form_is_read() -> None:
    place = PlaceRecord("report", 60_000, 60_000, "id", ROWS, 0, 17, fired=3)
    ((fingerprint, since),) = PLACE_EARLIER.items()
    stream = BytesIO()
    fields = {name: value for name, value in place._asdict().items() if name not in since}
    schemaless_writer(stream, plain(packaged_before("schedule_place", since)), fields, strict=True)

    assert decode_schedule(key_of(place), frame_of(fingerprint) + stream.getvalue()) == place
    assert decode_schedule(key_of(place), encode_schedule(place)) == place
