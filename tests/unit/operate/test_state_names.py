"""Every place that lists the states of jobs lists all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobstream.cli.commands import jobs
from jobstream.operate.state_names import ENDS, STATES
from jobstream.views import shown
from jobstream.web.pages.words import TONES
from jobstream_processors.core.known import TERMINAL

DOCS = Path(__file__).parents[3] / "docs"


def test_every_end_that_a_row_may_tell_is_a_state() -> None:
    assert set(ENDS) == set(TERMINAL)
    assert set(STATES) <= {*shown.STATES, "running"}
    assert set(STATES) <= TONES.keys(), "each is drawn in a tone of its own"


def test_the_command_takes_every_state() -> None:
    (option,) = (each for each in jobs.command.params if each.name == "states")

    assert tuple(getattr(option.type, "choices", ())) == STATES


@pytest.mark.parametrize(
    ("page", "begins", "names"),
    [
        ("reference/cli.md", "Lists the newest jobs by state", STATES),
        ("how-to/find-a-job.md", "| state |", STATES),
        ("reference/glossary.md", "| **end** |", ENDS),
        ("explanation/guarantees.md", "**In one sentence:**", ENDS),
    ],
)
def test_pages_that_list_states_list_all(page: str, begins: str, names: tuple[str, ...]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    (told,) = (part for part in text.split("\n\n") if begins in part)
    told = told[told.index(begins) :]

    assert [name for name in names if name not in told] == []
