"""What `jobstream status` tells of one process, by what the process says of itself."""

from __future__ import annotations

import pytest

from jobstream.cli.commands import status


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({}, "-"),
        ({"paused": [{"partition": "shop.mail:0", "reasons": ["quiet"]}]}, "1 (quiet)"),
        ({"paused": [], "guarded": ["shop.mail:0"]}, "1 (flood guard)"),
        (
            {
                "paused": [
                    {"partition": "shop.mail:0", "reasons": ["operator", "window"]},
                    {"partition": "shop.mail:1", "reasons": ["operator"]},
                ],
                "guarded": ["shop.mail:0", "shop.mail:2"],
            },
            "3 (flood guard, operator, window)",
        ),
    ],
)
def test_the_column_paused_has_whatever_holds_a_partition(
    answer: dict[str, object], shown: str
) -> None:
    row = vars(status)["_row"]({"role": "worker", "pid": 1, "address": "127.0.0.1:1", **answer})

    assert dict(zip(status.COLUMNS, row, strict=True))["paused"] == shown


@pytest.mark.parametrize(
    ("breakers", "shown"),
    [
        ([], "-"),
        ([("smtp", "closed", ""), ("ftp", "closed", "")], "2 closed"),
        ([("smtp", "open", ""), ("ftp", "closed", "")], "smtp open"),
        (
            [("smtp", "half_open", ""), ("ftp", "closed", "by ann")],
            "smtp half_open, ftp closed (held)",
        ),
    ],
)
def test_the_column_breakers_names_those_that_are_not_simply_closed(
    breakers: list[tuple[str, str, str]], shown: str
) -> None:
    told = [{"name": name, "state": state, "held": held} for name, state, held in breakers]
    row = vars(status)["_row"](
        {"role": "worker", "pid": 1, "address": "127.0.0.1:1", "breakers": told}
    )

    assert dict(zip(status.COLUMNS, row, strict=True))["breakers"] == shown


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (None, "-"),
        ({"owned": 0, "paused": 0, "paused_names": [], "broken": []}, "-"),
        ({"owned": 3, "paused": 0, "paused_names": [], "broken": []}, "3"),
        (
            {
                "owned": 9,
                "paused": 2,
                "paused_names": ["a"],
                "broken": [{"name": "b", "why": "args", "reason": "as it is"}],
            },
            "9, b is broken (args), a is paused, 1 more are paused",
        ),
    ],
)
def test_the_column_schedules_names_those_that_do_not_fire(
    told: dict[str, object] | None, shown: str
) -> None:
    answer = {"role": "worker", "pid": 1, "address": "127.0.0.1:1", "schedules": told}
    row = vars(status)["_row"](answer)

    assert dict(zip(status.COLUMNS, row, strict=True))["schedules"] == shown
