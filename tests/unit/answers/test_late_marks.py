"""A field that is marked secret later is masked in jobs that were stored before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from jobstream import App, Secret
from jobstream.answers.app_site import Site
from jobstream.answers.kept import AnswerCache
from jobstream.answers.late_marks import masked_by_all, masked_by_code
from jobstream.settings import Settings


@dataclass(frozen=True)
class Card:
    number: Annotated[str, Secret]
    owner: str


@dataclass(frozen=True)
class Pay:
    card: Card
    pin: Annotated[str, Secret]
    to: str


STORED = {"card": {"number": "4111", "owner": "ann"}, "pin": "1234", "to": "bob", "old": "field"}
HIDDEN = {"card": {"number": "***", "owner": "ann"}, "pin": "***", "to": "bob", "old": "field"}


def app() -> App:
    made = App("shop", settings=Settings.load({}))
    made.declare("pay", Pay, queue=made.queue("payments"))
    return made


def told_by_log(site: Site, *types: str) -> Site:
    """The site, whose log has the class's own schema for these types."""
    codec = app().jobs["pay"].codec
    site.kept = AnswerCache(monotonic=lambda: 0.0)
    marks = {name: [(codec.schema.schema, codec.reader.secret)] for name in types}
    site.kept.get("marks", lambda: marks)
    return site


def test_marks_of_the_code_hold_for_jobs_that_were_stored_without_them() -> None:
    site = told_by_log(Site.of(app()))

    for masked in (masked_by_code, masked_by_all):
        assert masked(site, "pay", STORED) == HIDDEN
        assert masked(site, "another", STORED) == STORED
        assert masked(site, "pay", None) is None


def test_marks_of_the_log_hold_where_the_code_is_not_known() -> None:
    site = told_by_log(Site.named("shop", Settings.load({})), "pay")

    assert masked_by_all(site, "pay", STORED) == HIDDEN
    assert masked_by_all(site, "another", STORED) == STORED
