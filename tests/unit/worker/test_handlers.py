"""What a worker reckons from the handlers it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.job_types import ASYNC, PROCESS, THREAD, slots_of

if TYPE_CHECKING:
    from tests.unit.shop import Shop


@pytest.mark.parametrize(
    ("executors", "slots"),
    [((ASYNC, ASYNC), 200), ((THREAD,), 200), ((ASYNC, THREAD), 400), ((ASYNC, PROCESS), 204)],
)
def test_each_executor_in_use_has_slots_of_its_own(
    shop: Shop, executors: tuple[str, ...], slots: int
) -> None:
    shop.specs.clear()
    for number, executor in enumerate(executors):
        shop.handle(f"job-{number}", executor=executor)
    assert slots_of(shop.specs.values(), 200, 4) == slots
