"""`--queues A:8,B:3` and `--strict`: what they name, and what is refused."""

from __future__ import annotations

import click
import pytest

from jobstream.cli.queue_shares import QueueShares, check_strict, shares, shares_option

OPTION = click.Option(["--queues"])


def read(text: str) -> QueueShares:
    found = shares(click.Context(click.Command("worker")), OPTION, text)
    assert found is not None
    return found


def test_names_and_weights_in_their_order() -> None:
    assert read("critical:8, default:3,low") == QueueShares(
        ("critical", "default", "low"), {"critical": 8, "default": 3}
    )
    assert read("mail,reports,mail:2") == QueueShares(("mail", "reports"), {"mail": 2})
    assert shares(click.Context(click.Command("worker")), OPTION, None) is None
    assert callable(shares_option)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "holds no name"),
        (":8", "holds no name"),
        ("mail:", "weight of 'mail'='': give a whole number from 1 to 100"),
        ("mail:0", "weight of 'mail'=0"),
        ("mail:0.5,low:1", "such a share rounds to nothing and would starve"),
        ("mail:-1", "weight of 'mail'=-1.0"),
        ("mail:1000", "weight of 'mail'=1000"),
        ("mail:lots", "weight of 'mail'='lots'"),
        ("mail:8,mail:3", "'mail' has two weights, 8 and 3"),
    ],
)
def test_what_cannot_work_is_refused_by_name(text: str, part: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        read(text)

    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("found", "part"),
    [
        (None, "name two or more"),
        (QueueShares(("mail",), {}), "name two or more"),
        (QueueShares(("mail", "low"), {"mail": 8}), "knows no weights"),
    ],
)
def test_a_strict_order_needs_queues_without_weights(found: QueueShares | None, part: str) -> None:
    with pytest.raises(click.UsageError, match=part):
        check_strict(found)
    check_strict(QueueShares(("mail", "low"), {}))
