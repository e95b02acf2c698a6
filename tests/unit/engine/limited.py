"""Job types with limits, lanes without a past, and jobs that share a limit's key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobstream_processors.core.headers import Carried

if TYPE_CHECKING:
    from tests.unit.shop import Shop, Works

    from jobstream import Limit
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Record


def limited(shop: Shop, *limits: Limit, name: str = "send", pinned: bool = False) -> None:
    shop.specs[name] = replace(
        shop.specs[name], gated=True, limits=limits, partitions=2, pinned=pinned
    )


def first(works: Works, partition: int = 0) -> Lane:
    """A lane that no owner before has left anything of."""
    lane = works.shop.lane(partition)
    lane.is_first = True
    works.engine.begin(lane)
    return lane


def job(shop: Shop, job_id: str, key: str = "k", **carried: Any) -> Record:  # noqa: ANN401 - fields of Carried
    told = Carried(**carried) if carried else None
    return shop.put(shop.event(job_id, limit_key=key), told)
