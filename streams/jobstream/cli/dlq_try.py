"""`jobstream dlq try`: one job of a cause redriven, and what became of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.options import json_option, queue_option, view_of
from jobstream.cli.output import print_json, remark, say
from jobstream.cli.printable import printable
from jobstream.exits import FAILURE, OK

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.trial import Trial

DEAD_AGAIN, RETRYING, WAITING, ENDED = 10, 11, 12, 13
CODES = {
    "done": OK,
    "failed": FAILURE,
    "dead": DEAD_AGAIN,
    "retrying": RETRYING,
    "waiting": WAITING,
    "ended": ENDED,
}


@click.command("try", cls=AppCommand)
@queue_option
@click.argument("fingerprint", metavar="FINGERPRINT")
@click.option("--timeout", metavar="DURATION", default="60s", show_default=True,
              help="Wait this long for the end of the job.")  # fmt: skip
@json_option
def try_command(
    app: AppName, *, queue: str | None, fingerprint: str, timeout: str, as_json: bool
) -> int:
    r"""Redrive one job of a cause, the newest that died of it, and wait for how it ends.

    The job runs as after any redrive, with all its effects. Stopping the command does not stop it.

    The exit code is 0 if the job is done, 10 if it is dead again, 11 if it failed or put itself off
    and comes back by itself, 12 if no worker has settled it yet, 13 if it ended otherwise
    (cancelled, expired, a duplicate), and 1 if it was not redriven.
    """
    from jobstream.operate.dead_letters import DeadLetters  # noqa: PLC0415 - with the command only

    letters = DeadLetters(view_of(app))
    trial = letters.try_one(
        fingerprint, timeout=timeout, queue=queue, told=lambda text: remark(printable(text))
    )
    if as_json:
        print_json(asdict(trial))
    else:
        say(printable(trial_words(trial)))
    return CODES[trial.outcome]


def trial_words(trial: Trial) -> str:
    """How a trial ended, in a sentence."""
    named = f"job {trial.job_id} (redrive {trial.redrive})"
    after = f"after {trial.waited_s:.1f} s"
    match trial.outcome:
        case "done":
            return f"{named} is done {after}"
        case "dead":
            cause = "the same cause" if trial.same_cause else f"cause {trial.new_fingerprint}"
            return f"{named} is dead again {after}, of {cause}: {trial.detail}"
        case "retrying":
            return f"{named} is not through {after}: {trial.detail}"
        case "waiting":
            return f"{named} waits still {after}: no worker has settled it"
        case "ended":
            return f"{named} ended {after}: {trial.detail}"
        case _:
            return f"{named} was not redriven: {trial.detail}"
