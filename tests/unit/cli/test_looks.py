"""What looks at an app say where there is nothing to see, and where nobody draws in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.cli.app_name import AppName
from jobstream.cli.commands import lag
from jobstream.cli.commands.canary import chosen
from jobstream.cli.options import tell_missing
from jobstream.operate.errors import NotThere
from jobstream.operate.lag import QueueLag
from jobstream.operate.offsets import places_of
from jobstream.operate.view import AppView
from jobstream.settings import Settings
from jobstream.topics.names import dedup_topic, dlq_topic, rung_topic
from jobstream_processors.core.ladder import RUNGS

if TYPE_CHECKING:
    from pathlib import Path

OF_THE_APP = ("shop.offsets", "shop.schemas", "shop.control")
LOOKS = 2
SHOP = AppName("shop", "--app")


@pytest.fixture
def view(tmp_path: Path) -> AppView:
    """An app of two queues, of which every topic exists."""
    view = AppView("shop", Settings.load({}, state_dir=tmp_path))
    queues = ("bulk", "mail")
    topics = [*OF_THE_APP, *(f"shop.{queue}" for queue in queues)]
    for queue in queues:
        topics += [dlq_topic("shop", queue), dedup_topic("shop", queue)]
        topics += [rung_topic("shop", queue, rung) for rung in RUNGS]
    view.__dict__["counts"] = dict.fromkeys(topics, 1)
    return view


def test_topics_that_are_not_there_are_told(
    view: AppView, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_missing(SHOP, view)
    assert capsys.readouterr().err == ""

    for topic in ("shop.mail.dlq", "shop.control", "shop.bulk"):
        del view.__dict__["counts"][topic]
    tell_missing(SHOP, view)
    assert "missing here: shop.bulk, shop.control, shop.mail.dlq; create" in capsys.readouterr().err
    tell_missing(SHOP, view, "mail")
    assert "missing here: shop.control, shop.mail.dlq; create" in capsys.readouterr().err


def test_a_canary_needs_queues_and_their_rows(view: AppView) -> None:
    del view.__dict__["counts"]["shop.mail.dlq"]
    assert [queue.name for queue in chosen(view, None)] == ["bulk", "mail"]

    del view.__dict__["counts"]["shop.mail"]
    with pytest.raises(NotThere, match=r"do not exist: shop\.mail; create"):
        chosen(view, None)
    assert [queue.name for queue in chosen(view, ["bulk"])] == ["bulk"]


def test_the_offsets_of_a_queue_that_is_gone_have_no_partitions(view: AppView) -> None:
    del view.__dict__["counts"]["shop.mail"]
    (mail,) = view.queues("mail")

    with pytest.raises(NotThere, match=r"do not exist: shop\.mail; create"):
        places_of(mail, "workers")
    assert places_of(mail, "delay")


class Left(Exception):
    """Whoever watches has seen enough."""


class Looks:
    """Sees an empty queue so often, then whoever watches leaves."""

    def __init__(self) -> None:
        self.left = LOOKS

    def look(self) -> list[QueueLag]:
        if not self.left:
            raise Left
        self.left -= 1
        return [QueueLag("mail", (), 0, None, LOOKS - self.left)]


def test_a_watch_that_is_piped_prints_each_look(
    view: AppView, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "_lag", lambda *_: Looks())

    with pytest.raises(Left):
        vars(lag)["_watch"](view, None, 0.01, partitions=False, as_json=False)

    assert capsys.readouterr().out.count("committed") == LOOKS
