"""A tenant starts very many exports, and another's few do not wait for them.

Runs in memory: `python -m examples.rules.fair_turns`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from jobstream import App
from jobstream.testing import memory

app = App("shop", size="small", concurrency=4)
ran: list[str] = []


@dataclass(frozen=True)
class Export:
    """One row of a tenant's export."""

    tenant_id: str
    row: int


@app.job(fair_by="tenant_id")
async def export(args: Export) -> None:
    """Write the row."""
    await asyncio.sleep(0.001)  # work
    ran.append(args.tenant_id)


def main() -> None:
    """Let one tenant come with 1,000 rows, and another after it with ten."""
    with memory(app) as jobs:
        for row in range(1_000):
            export.enqueue(Export("loud", row))
        for row in range(10):
            export.enqueue(Export("quiet", row))
        jobs.run_until_idle()
    last = max(at for at, tenant in enumerate(ran, 1) if tenant == "quiet")
    print(f"{len(ran)} rows are written; the last of the ten was number {last}")


if __name__ == "__main__":
    main()
