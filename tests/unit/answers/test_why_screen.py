"""The sentence of a job's page: the page is shown without it, too."""

from __future__ import annotations

import pytest

from jobstream import App
from jobstream.answers import why_screen
from jobstream.answers.app_site import Site
from jobstream.answers.errors import NoSuch, SourceAway
from jobstream.answers.why_screen import TIMES, short_why
from jobstream.errors import BrokerRefused
from jobstream.settings import Settings


@pytest.mark.parametrize(
    "error",
    [
        NoSuch("no trace of job"),
        SourceAway("no broker answers"),
        BrokerRefused("group: not allowed"),
    ],
)
def test_page_goes_without_the_sentence_where_it_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(why_screen, "_told", refused)

    assert short_why(Site.of(App("shop", settings=Settings.load({}))), "j-1") == ""


def test_times_are_in_utc_to_the_millisecond() -> None:
    assert TIMES.moment(1_790_000_000_007) == "2026-09-21 14:13:20.007 UTC"
    assert [TIMES.span(each) for each in (0.04, 42.0, 600.0, 7_200.0, 172_800.0)] == [
        "0.0 s", "42.0 s", "10 min", "2 h", "2 d",
    ]  # fmt: skip
