"""`--queues A:8,B:3` and `--strict`: which queues a worker serves, and their shares of slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import click

from jobstream_processors.core.stride import check_weight
from jobstream_processors.errors import InvalidOption


@dataclass(frozen=True, slots=True)
class QueueShares:
    """What `--queues` names: the queues in its order, and the weights that it gives."""

    queues: tuple[str, ...]
    weights: Mapping[str, int]


def shares(_: click.Context, option: click.Parameter, text: str | None) -> QueueShares | None:
    """What "A:8,B" names; None without the option. A list without a name is refused.

    It often comes of a variable that is empty: then neither none nor all of them are meant.
    """
    if text is None:
        return None
    queues: list[str] = []
    weights: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, weight = (piece.strip() for piece in part.partition(":"))
        queues.append(name)
        try:
            given = _weight(name, weight) if colon else None
        except InvalidOption as error:
            raise click.BadParameter(str(error), param=option) from error
        if given is not None and weights.setdefault(name, given) != given:
            message = f"{name!r} has two weights, {weights[name]} and {given}: give one"
            raise click.BadParameter(message, param=option)
    if not all(queues) or not queues:
        message = f"{text!r} holds no name: write A,B or A:8,B:3, or leave the option out"
        raise click.BadParameter(message, param=option)
    return QueueShares(tuple(dict.fromkeys(queues)), weights)


def check_strict(found: QueueShares | None) -> None:
    """Refuse `--strict` where `--queues` says no order, or says weights; raises UsageError."""
    if found is None or len(found.queues) < 2:  # noqa: PLR2004 - an order needs two
        message = "--strict serves queues in the order of --queues: name two or more, as in A,B"
        raise click.UsageError(message)
    if found.weights:
        message = "--strict knows no weights: leave them out of --queues, or leave --strict out"
        raise click.UsageError(message)


def _weight(name: str, text: str) -> int:
    try:
        number: object = int(text) if text.isdecimal() else float(text)
    except ValueError:
        number = text
    return check_weight(number, f"weight of {name!r}")


shares_option = click.option(
    "--queues",
    metavar="A:8,B:3",
    callback=shares,
    help="Serve only these queues, with these shares of the slots while several have work; a "
         "weight overrides the one in the code.  [default: all queues of the app]",
)  # fmt: skip
strict_option = click.option(
    "--strict",
    is_flag=True,
    help="Serve --queues A,B in their order: jobs of B start only while none of A waits, so B may "
         "starve.",
)  # fmt: skip
