"""The app of the footprint measurement, as `jobstream worker` finds it. It starts nothing."""

from __future__ import annotations

import os

from tests.bench.jobs import Bench

bench = Bench(os.environ["FOOTPRINT_APP"], int(os.environ["FOOTPRINT_PARTITIONS"]))
app = bench.app
