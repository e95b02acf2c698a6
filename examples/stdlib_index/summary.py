"""Prints what came of the run: one table of counts, the dead letters, the largest packages."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.stdlib_index import watch
from examples.stdlib_index.store import PackageReport
from rich import box
from rich.table import Table

from jobstream.testing.audit import Audit
from jobstream.testing.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

TOLD_MAX = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is known at the end."""

    audit: Audit
    entries: list[Entry]
    letters: list[dict[str, object]]
    packages: list[PackageReport]
    modules_read: int
    kills: int
    seconds: float
    """From the first enqueue to the last row."""


def show(console: Console, outcome: Outcome) -> None:
    """Print the tables."""
    console.print(_counts(outcome))
    console.print(_letters(outcome.letters))
    console.print(_packages(outcome.packages))
    for finding in outcome.audit.findings:
        console.print(f"fault: {finding}", style="bold red")


def last_line(outcome: Outcome) -> str:
    """The line that scripts read."""
    audit = outcome.audit
    return (
        f"demo: enqueued={audit.enqueued} done={audit.done} dead={audit.dead} "
        f"lost={audit.lost} doubled={audit.doubled} seconds={outcome.seconds:.0f}"
    )


def _counts(outcome: Outcome) -> Table:
    audit, failed = outcome.audit, watch.failures(outcome.entries)
    waits = watch.waits_ms(outcome.entries)
    table = _table("Jobs", "what", "how many", "")
    rows = {
        "enqueued": (audit.enqueued, "files, and a report for each package"),
        "done": (audit.done, f"{outcome.modules_read} modules in the index"),
        "retried": (watch.retries(outcome.entries), "runs that found the database locked"),
        "snoozed": (failed["Snooze"], "reports that waited for modules"),
        "dead": (audit.dead, "no valid Python"),
        "re-runs": (audit.reruns, f"cut off by {outcome.kills} kill -9"),
        "lost": (audit.lost, "neither done nor dead"),
        "doubled": (audit.doubled, "started again after their end, or for no reason"),
        "jobs/s": (round(audit.enqueued / outcome.seconds), f"in {outcome.seconds:.1f} s"),
        "wait p50": (_percentile(waits, 50), "enqueued all at once, so this is the queue"),
        "wait p99": (_percentile(waits, 99), "the killed worker's partitions among them"),
    }
    for name, (value, told) in rows.items():
        bad = name in {"lost", "doubled"} and value
        table.add_row(name, str(value), told, style="bold red" if bad else "")
    return table


def _letters(letters: Sequence[dict[str, object]]) -> Table:
    table = _table("Dead letters", "reason", "error", "said", "letters")
    told = Counter((str(x["reason"]), str(x["error"]), _short(x["message"])) for x in letters)
    for (reason, error, message), count in sorted(told.items()):
        table.add_row(reason, error.rpartition(".")[2], message, str(count))
    return table


def _packages(packages: Sequence[PackageReport]) -> Table:
    names = ("package", "modules", "lines", "functions", "classes", "imports")
    table = _table("The ten largest packages", *names)
    for package in packages:
        numbers = (
            package.modules,
            package.lines,
            package.functions,
            package.classes,
            package.imports,
        )
        table.add_row(package.package, *(f"{number:,}" for number in numbers))
    return table


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD)


def _percentile(waits: Sequence[int], percent: int) -> str:
    """The nearest-rank percentile."""
    if not waits:
        return "-"
    rank = -(-len(waits) * percent // 100)
    return f"{waits[rank - 1] / 1000:.2f} s"


def _short(message: object) -> str:
    text = str(message).partition(" (")[0]
    return text if len(text) <= TOLD_MAX else f"{text[: TOLD_MAX - 1]}…"


def parse_letters(output: str) -> list[dict[str, object]]:
    """The letters that `jobstream dlq list --json` printed, one a line."""
    return [json.loads(line) for line in output.splitlines()]
