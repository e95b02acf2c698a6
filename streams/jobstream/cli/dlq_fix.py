"""`jobstream dlq fix`: a corrected job in place of a dead one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.hints import typed
from jobstream.cli.options import json_option, queue_option, view_of
from jobstream.cli.output import print_json, remark, say
from jobstream.cli.value_types import JOB_ID
from jobstream.errors import ConfigError
from jobstream.exits import FAILURE, OK

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.dead_letters import DeadLetters


@click.command("fix", cls=AppCommand)
@queue_option
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option("--set", "texts", multiple=True, metavar="FIELD=VALUE",
              help="Give the field this value, as in order_id=o-7; repeatable.")  # fmt: skip
@click.option("--set-json", "values", multiple=True, metavar="FIELD=JSON",
              help="The same for lists, null and the like, as in items='[1, 2]'.")  # fmt: skip
@click.option("--why", default="", metavar="TEXT", help="Reason, kept with the closed letter.")
@json_option
def fix_command(
    app: AppName,
    *,
    queue: str | None,
    job_id: str,
    texts: tuple[str, ...],
    values: tuple[str, ...],
    why: str,
    as_json: bool,
) -> int:
    """Enqueue a corrected job in place of a dead one, and close its letter.

    The new job has the args of the dead one but for what is set, and names it as its parent. Its id
    comes of the letter, so the same command may be repeated. With --app NAME its schema checks the
    values, which is enough for jobs without keys and for texts, numbers, truth values, enums and
    lists of them; with MODULE:APP the class of the job type does, as at an enqueue.
    """
    letters = _letters(app)
    done = letters.fix(
        job_id,
        {name: _json(name, text) for name, text in _pairs("--set-json", values).items()},
        texts=_pairs("--set", texts),
        queue=queue,
        why=why,
    )
    if as_json:
        print_json({"job_id": done.job_id, "fixes": done.fixes, "still_open": done.closed or None})
    else:
        say(done.job_id)
        look = typed(f"jobstream job show MODULE:APP {done.job_id}", app)
        remark(f"acknowledged, in place of {done.fixes}; see: {look}")
    if done.closed:
        remark(f"jobstream: {done.closed}; repeat the same command")
    return FAILURE if done.closed else OK


def _letters(app: AppName) -> DeadLetters:
    if not app.has_code:
        from jobstream.operate.dead_letters import DeadLetters  # noqa: PLC0415 - with the command

        return DeadLetters(view_of(app))
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - only where code is named

    return load_app(app).dead_letters


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name or name in found:
            why = "is given twice" if name in found else "is not FIELD=VALUE"
            message = f"{option} {name!r} {why}"
            raise ConfigError(message)
        found[name] = text
    return found


def _json(name: str, text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"--set-json {name}: it is no JSON: {error}; quote it for the shell"
        raise ConfigError(message) from error
    return value
