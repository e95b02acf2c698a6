"""Every alert has a page that says what to type, and every page an alert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from grafana.src.alerts import ALERTS

from jobstream.cli.root import root

if TYPE_CHECKING:
    from grafana.src.alerts.alert import Alert

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "runbooks"
SECTIONS = [
    "Meaning",
    "Impact",
    "First five minutes",
    "What you see, and what it means",
    "Mitigation",
    "Verify",
]
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUERY = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"jobstream ((?:[a-z]+ )*[a-z]+)")
EACH = pytest.mark.parametrize("alert", [pytest.param(a, id=a.name) for a in ALERTS])


def page(alert: Alert) -> str:
    return (ROOT / alert.runbook).read_text()


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"README"}

    assert pages == {alert.name for alert in ALERTS}


@EACH
def test_page_has_what_people_look_for_in_the_night(alert: Alert) -> None:
    text = page(alert)

    assert text.startswith(f"# {alert.name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert ("Pages." if alert.severity == "page" else "A ticket.") in text
    assert (f" For {alert.lasts}." in text) is (alert.lasts != "0s")
    assert any(block.startswith("# drill\n") for block in SHELL.findall(text))


@EACH
def test_page_shows_the_expression_that_is_evaluated(alert: Alert) -> None:
    (shown,) = QUERY.findall(page(alert))

    assert " ".join(shown.split()) == alert.expr


@EACH
def test_commands_of_the_page_exist(alert: Alert) -> None:
    context = click.Context(root)
    typed = TYPED.findall(" ".join(re.findall(r"`([^`]+)`", page(alert))))
    typed += TYPED.findall("\n".join(SHELL.findall(page(alert))))

    assert typed
    for words in typed:
        command: click.Command | None = root
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            command = command.get_command(context, word)
            assert command is not None, f"jobstream {words}"


def test_index_says_who_gets_up() -> None:
    up, later = (FOLDER / "README.md").read_text().split("working hours")

    for alert in ALERTS:
        assert (f"[{alert.name}]" in up) is (alert.severity == "page")
        assert (f"[{alert.name}]" in later) is (alert.severity == "ticket")
