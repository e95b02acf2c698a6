"""`make chaos`: play many seeds, or one with its whole trace.

make chaos                        # 2,000 seeds
make chaos SEEDS=100000 FROM=5000
make chaos SEED=4711              # one, told line by line
"""

from __future__ import annotations

import argparse
import sys
from multiprocessing import get_context

from tests.simulation.judging import SEEDS
from tests.simulation.world import Verdict, play


def main() -> int:
    """Play as the command line says; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    asked = parser.parse_args()
    if asked.seed is not None:
        verdict = play(asked.seed)
        print(verdict.trace.text())
        print(f"seed {asked.seed}: trace {verdict.digest}, {len(verdict.wrong)} wrong")
        return int(bool(verdict.wrong))
    return _many(range(asked.first, asked.first + asked.seeds), asked.jobs)


def _many(seeds: range, jobs: int) -> int:
    broken = 0
    with get_context("fork").Pool(jobs) as pool:
        for number, told in enumerate(pool.imap_unordered(_told, seeds, chunksize=10), 1):
            if told:
                broken += 1
                print(told, flush=True)
            if sys.stderr.isatty():
                print(f"\r{number} of {len(seeds)}", end="", file=sys.stderr)
    print(f"{len(seeds)} seeds, {broken} of them broke a promise")
    return int(bool(broken))


def _told(seed: int) -> str:
    verdict: Verdict = play(seed)
    return verdict.told() if verdict.wrong else ""


if __name__ == "__main__":
    sys.exit(main())
