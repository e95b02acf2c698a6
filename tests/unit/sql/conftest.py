"""A shop with an outbox for tests of the relay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.sql.ledger import shop, sqlite
from tests.unit.sql.relay_bench import Bench, Clock

from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    engine = sqlite(tmp_path / "shop.db")
    app, job = shop()
    with memory(app) as jobs:
        yield Bench(app, job, engine, jobs, Clock())
    engine.dispose()
