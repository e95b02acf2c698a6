"""The page of failure modes names alerts, files and tests that exist, and leaves no alert out."""

from __future__ import annotations

import re
from pathlib import Path

from grafana.src.alerts import ALERTS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "failure-modes.md").read_text()
PARTS = [
    "Worker",
    "Delayer",
    "Broker",
    "Coordinator",
    "Exporter",
    "HTTP side",
    "Services that enqueue",
    "Idempotency keys",
    "Read side",
    "Outbox and inbox",
    "State disk",
    "Clock",
    "Network between them",
]
HEAD = ["what breaks", "users see", "safe", "alert", "proof"]
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
UNPROVEN = {"Prometheus is away"}
"""Nothing here could tell of it."""


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_part_has_its_table() -> None:
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE)[:-1] == PARTS
    assert rows().count(HEAD) == len(PARTS)


def test_each_row_says_who_is_told_and_what_proves_it() -> None:
    for row in rows():
        assert len(row) == len(HEAD), row
        assert all(row[:4]), row
        if row != HEAD and row[0] not in UNPROVEN:
            assert PROOF.search(row[4]), row


def test_named_tests_exist() -> None:
    named = PROOF.findall(PAGE)

    assert named
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"


def test_every_alert_is_named_and_no_other() -> None:
    named = set(re.findall(r"\bJobs[A-Z]\w+", PAGE))

    assert named == {alert.name for alert in ALERTS}
