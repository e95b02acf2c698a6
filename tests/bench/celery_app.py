"""The no-op job on Celery; `python -m tests.bench.celery_app COUNT` enqueues that many."""

from __future__ import annotations

import os
import sys

from celery import Celery  # type: ignore[import-untyped]

app = Celery("bench", broker=os.environ["BENCH_REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "4")),
    broker_connection_retry_on_startup=True,
)


@app.task  # type: ignore[untyped-decorator] # Celery has no types
def noop(n: int, text: str) -> None:
    """Do nothing."""


def main() -> None:
    """Enqueue."""
    with app.producer_pool.acquire() as producer:
        for n in range(int(sys.argv[1])):
            noop.apply_async((n, "hello"), producer=producer)


if __name__ == "__main__":
    main()
