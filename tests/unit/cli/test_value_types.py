"""What can't be a value: refused as the command line is read, with exit code 2, at no broker."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from jobstream.cli.root import root

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = ("--app", "shop")
NO_MOMENT, NO_LENGTH, NO_ID = "is not a moment", "is not a duration", "can't be the id of a job"


@pytest.fixture
def broker() -> Iterator[socket.socket]:
    """It takes connections, and would keep whoever asks it waiting."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("jobs", "--since", ""), f"--since='' {NO_MOMENT}"),
        (("job", "show", "id", "--since", ""), f"--since='' {NO_MOMENT}"),
        (("explain", "id", "--since", "yesterday"), f"--since='yesterday' {NO_MOMENT}"),
        (("dlq", "list", "--since", ""), f"--since='' {NO_MOMENT}"),
        (("dlq", "discard", "--until", ""), f"--until='' {NO_MOMENT}"),
        (("dlq", "redrive", "--all", "--rate", ""), "'' is not a rate"),
        (("offsets", "reset", "mail", "--to", ""), f"--to='' {NO_MOMENT}"),
        (("offsets", "reset", "mail", "--to", "\u00b2"), f"--to='\u00b2' {NO_MOMENT}"),
        (("offsets", "reset", "mail", "--to", "9" * 30), NO_MOMENT),
        (("control", "cancel", "id", "--since", ""), f"--since='' {NO_MOMENT}"),
        (("schedules", "backfill", "n", "--from", ""), f"--from='' {NO_MOMENT}"),
        (("schedules", "backfill", "n", "--from", "1h", "--to", ""), f"--to='' {NO_MOMENT}"),
        (("schedules", "preview", "n", "--after", ""), f"--after='' {NO_MOMENT}"),
        (("schedules", "preview", "n", "--after", "9" * 16), f"--after='{'9' * 16}' {NO_MOMENT}"),
        (("jobs", "--since", "9" * 5_000), f"--since='{'9' * 90}"),
        (("schedules", "pause", "n", "--for", ""), f"--for='' {NO_LENGTH}"),
        (("schedules", "pause", "n", "--for", "10ms"), "--for='10ms' is outside 1s"),
        (("control", "pause", "--queue", "mail", "--for", ""), f"--for='' {NO_LENGTH}"),
        (("control", "pause", "--queue", "mail", "--timeout", "1"), f"--timeout='1' {NO_LENGTH}"),
        (("control", "limit", "set", "send/rate", "--rate", ""), "rate='': write a count"),
        (("canary", "--once", "--interval", "0s"), "--interval='0s' is outside 1s"),
        (("exporter", "--stalled-after", "0s"), "--stalled-after='0s' is outside 100ms"),
        (("job", "show", ""), f"'' {NO_ID}"),
        (("explain", ""), f"'' {NO_ID}"),
        (("explain", "order 1"), f"'order 1' {NO_ID}"),
        (("dlq", "show", ""), f"'' {NO_ID}"),
        (("control", "cancel", ""), f"'' {NO_ID}"),
        (("control", "cancel", "", "--no-look"), f"'' {NO_ID}"),
        (("control", "resume", ""), f"'' {NO_ID}"),
    ],
)
def test_what_can_not_be_read_is_refused_before_anything_is_asked(
    words: tuple[str, ...], told: str, broker: socket.socket
) -> None:
    environ = {"JOBSTREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{broker.getsockname()[1]}"}
    ran = CliRunner().invoke(root, [*words, *APP], env=environ)

    assert ran.exit_code == 2, ran.output
    assert told in " ".join(ran.output.split())
    with pytest.raises(BlockingIOError):  # nobody has asked it
        broker.accept()


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59:59-12:00", "soon"])
def test_a_time_to_run_that_no_calendar_has_is_refused(text: str) -> None:
    ran = CliRunner().invoke(root, ["enqueue", "shop:app", "send", "{}", "--run-at", text])

    assert ran.exit_code == 2, ran.output
    assert f"--run-at={text!r} is not a time" in " ".join(ran.output.split())
