"""Dead letters worked off by cause, on a real Kafka: grouped, tried, redriven, discarded."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until
from tests.integration.terminal import Terminal

from jobstream import App, Backoff
from jobstream.operate.errors import CannotFix, NotThere, TrialFailed
from jobstream.operate.filters import LetterFilter
from jobstream_processors.core.identity import from_letter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka
    from jobstream.operate.letter_groups import LetterGroup

pytestmark = pytest.mark.kafka
MENDED: set[str] = set()
"""Kinds of orders that the handler can handle by now."""
LOST, FRAUD, KEPT = 5, 2, 2
LIMIT_S = 120.0


@dataclass(frozen=True)
class Receipt:
    order_id: str
    kind: str = "lost"


async def send_receipt(args: Receipt) -> None:
    if args.kind in MENDED:
        return
    if args.kind == "lost":
        message = f"no order {args.order_id}"
        raise LookupError(message)
    message = f"order {args.order_id} is refused"
    raise ValueError(message)


@dataclass(frozen=True)
class Shop:
    served: Served
    terminal: Terminal
    lost: tuple[str, ...]
    fraud: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def app(self) -> App:
        return self.served.app

    def cause(self, pattern: str) -> str:
        (found,) = [g for g in self.app.dead_letters.groups() if g.pattern == pattern]
        return found.fingerprint

    def cause_or_none(self, fingerprint: str) -> LetterGroup | None:
        groups = self.app.dead_letters.groups()
        return next((group for group in groups if group.fingerprint == fingerprint), None)

    def done(self, job_id: str) -> bool:
        return bool(self.terminal.json("job", "show", job_id)["state"] == "done")


@pytest.fixture(scope="module")
def shop(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    app = App(
        f"causes-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path_factory.mktemp("causes"),
        replication=1,
        release="2026.1",
    )
    mail = app.queue("mail", partitions=1)
    send = app.job(queue=mail, retry=Backoff(attempts=1))(send_receipt)
    with Served(app) as served:
        lost = tuple(send.enqueue(Receipt(f"o-{n}")).job_id for n in range(LOST))
        fraud = tuple(send.enqueue(Receipt(f"f-{n}", "fraud")).job_id for n in range(FRAUD))
        kept = tuple(send.enqueue(Receipt(f"k-{n}", "fraud")).job_id for n in range(KEPT))
        assert {served.end_of(job_id) for job_id in (*lost, *fraud, *kept)} == {"dead"}
        yield Shop(served, Terminal(app), lost, fraud, kept)
    app.close()


def test_letters_are_grouped_by_what_their_jobs_died_of(shop: Shop) -> None:
    groups = shop.terminal.lines("dlq", "groups")

    assert [(g["count"], g["message"]) for g in groups] == [
        (LOST, "no order o-*"),
        (KEPT, "order k-* is refused"),
        (FRAUD, "order f-* is refused"),
    ]
    lost = groups[0]
    assert (lost["type"], lost["error"]) == ("send_receipt", "builtins.LookupError")
    assert lost["place"].endswith("test_dlq_causes:send_receipt")
    assert lost["sample"] == shop.lost[-1]
    assert lost["releases"] == [{"release": "2026.1", "count": LOST, "share": 1.0}]
    listed = shop.terminal.lines("dlq", "list", "--fingerprint", lost["fingerprint"][:6])
    assert [letter["id"] for letter in listed] == list(shop.lost)
    assert {letter["fingerprint"] for letter in listed} == {lost["fingerprint"]}
    shown = shop.terminal.json("dlq", "show", shop.lost[0])
    assert shown["headers"]["js-fingerprint"] == lost["fingerprint"]
    assert "2026.1 100%" in shop.terminal.run("dlq", "groups")


def test_a_trial_that_fails_holds_the_rest_back_until_one_succeeds(shop: Shop) -> None:
    lost = shop.cause("no order o-*")

    told = shop.terminal.run("dlq", "try", lost, code=10)

    assert "dead again" in told
    assert "of the same cause: builtins.LookupError: no order" in told
    (group,) = [g for g in shop.terminal.lines("dlq", "groups") if g["fingerprint"] == lost]
    assert group["count"] == LOST
    assert group["failed_trial"]["id"] == shop.lost[-1]
    refused = shop.terminal.run("dlq", "redrive", lost, code=3)
    assert f"the last redrive of cause {lost} failed: job {shop.lost[-1]} died again" in refused
    assert f"jobstream dlq try --app {shop.app.name} {lost}" in refused
    with pytest.raises(TrialFailed):
        shop.app.dead_letters.redrive(lost)
    assert len(shop.terminal.lines("dlq", "redrive", lost, "--force", "--dry-run")) == LOST

    MENDED.add("lost")
    trial = shop.app.dead_letters.try_one(lost)

    assert (trial.outcome, trial.job_id, trial.redrive) == ("done", shop.lost[-1], 2)
    said = shop.terminal.said("dlq", "redrive", lost[:5], "--rate", "100/s")
    assert f"{LOST - 1} redriven" in said
    for job_id in shop.lost:
        wait_until(partial(shop.done, job_id), f"{job_id} done", limit_s=LIMIT_S)
    assert shop.terminal.lines("dlq", "redrive", lost) == [], "a repeat has nothing to do"
    with pytest.raises(NotThere, match="no open letter of cause"):
        shop.app.dead_letters.try_one(lost)


def test_a_redriven_job_carries_no_fingerprint(shop: Shop) -> None:
    records = shop.served.records(shop.app.plans()["mail"].topic, 1)

    copies = [dict(record.headers() or ()) for record in records]
    redriven = [headers for headers in copies if "js-redrive" in headers]
    assert len(redriven) >= LOST
    assert not [h for h in redriven if {"js-fingerprint", "js-release"} & h.keys()]


def test_a_corrected_job_takes_the_place_of_a_dead_one(shop: Shop) -> None:
    dead = shop.fraud[0]
    no_field = shop.terminal.run("dlq", "fix", dead, "--set", "kindd=lost", code=1)
    assert "send_receipt has no field 'kindd'; it has: order_id, kind" in no_field
    assert "nothing is changed" in shop.terminal.run("dlq", "fix", dead, code=1)
    wrong = shop.terminal.run("dlq", "fix", dead, "--set-json", "kind=7", code=1)
    assert "kind: the value does not fit its type, string" in wrong

    told = shop.terminal.json("dlq", "fix", dead, "--set", "kind=lost", "--why", "no fraud")

    assert (told["fixes"], told["still_open"]) == (dead, None)
    assert told["job_id"] == from_letter(dead, 0)
    wait_until(lambda: shop.done(told["job_id"]), "the corrected job done", limit_s=LIMIT_S)
    new = shop.terminal.json("job", "show", told["job_id"])
    assert new["meta"]["parent_id"] == dead
    assert new["args"] == {"order_id": "f-0", "kind": "lost"}
    old = shop.terminal.json("job", "show", dead)
    (closed,) = [entry for entry in old["timeline"] if entry["what"] == "letter closed"]
    assert (closed["closed"], closed["fixed_by"]) == ("fixed", told["job_id"])
    assert closed["why"] == "no fraud"
    with pytest.raises(NotThere):
        shop.app.dead_letters.fix(dead, {"kind": "lost"})


def test_the_class_corrects_where_the_code_is_there(shop: Shop) -> None:
    dead = shop.fraud[1]
    with pytest.raises(CannotFix, match="kind"):
        shop.app.dead_letters.fix(dead, {"kind": 7})

    kept = list(shop.app.dead_letters.export(where=LetterFilter(ids=(dead,))))
    fixed = shop.app.dead_letters.fix(dead, {"order_id": "f-9"}, texts={"kind": "lost"})

    assert (fixed.job_id, fixed.closed) == (from_letter(dead, 0), "")
    wait_until(lambda: shop.done(fixed.job_id), "the corrected job done", limit_s=LIMIT_S)
    assert shop.terminal.json("job", "show", fixed.job_id)["args"]["order_id"] == "f-9"

    # As if the command had been killed before it closed the letter.
    assert shop.app.dead_letters.import_(kept).written == 1
    again = shop.app.dead_letters.fix(dead, {"order_id": "f-9"}, texts={"kind": "lost"})
    assert (again.job_id, again.closed) == (fixed.job_id, "")


def test_letters_go_to_a_file_and_back_as_they_were(shop: Shop, tmp_path: Path) -> None:
    mark = shop.cause("order k-* is refused")
    file = tmp_path / "letters.jsonl"
    file.write_text(shop.terminal.run("dlq", "export", "--fingerprint", mark))
    before = shop.served.letters()
    assert "0 letters written, 2 were open" in shop.terminal.run("dlq", "import", str(file))
    shop.terminal.run("dlq", "discard", mark, "--why", "kept in a file")
    assert shop.cause_or_none(mark) is None

    spoilt = tmp_path / "spoilt.jsonl"
    spoilt.write_text(file.read_text() + "{}\n" + "\xff\x00[" * 9)
    refused = shop.terminal.run("dlq", "import", str(spoilt), code=1)
    assert "2 lines are no letters of this app, so nothing was written" in refused
    assert "line 3: it is no letter" in refused
    assert "line 4: it is no JSON" in refused
    assert shop.cause_or_none(mark) is None
    skipped = shop.terminal.run("dlq", "import", str(spoilt), "--skip-bad", code=1)
    assert "2 letters written" in skipped

    found = shop.cause_or_none(mark)
    assert found is not None
    assert found.count == KEPT
    written = [each for each in shop.served.letters() if each.value and each not in before]
    assert written == [], "byte for byte, header for header"


def test_a_discard_says_why_for_as_long_as_its_tombstone_stands(shop: Shop) -> None:
    fraud = shop.cause("order k-* is refused")

    said = shop.terminal.said("dlq", "discard", fraud, "--why", "known frauds")

    assert f"{KEPT} discarded" in said
    told = shop.terminal.json("job", "show", shop.kept[0])
    closed = [entry for entry in told["timeline"] if entry["what"] == "letter closed"][-1]
    assert (closed["closed"], closed["why"]) == ("discarded", "known frauds")
    assert "@" in closed["who"]
    died = next(entry for entry in told["timeline"] if entry["what"] == "dead letter")
    assert (died["fingerprint"], died["release"]) == (fraud, "2026.1")
    assert "why=known frauds" in shop.terminal.run("job", "show", shop.kept[1])
    assert shop.app.dead_letters.groups() == []
