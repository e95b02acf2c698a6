"""Reads what an app's code declares in a process of its own, so that `dev` can read it again.

Run as a program it prints one JSON object. Whatever the code prints goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_name import app_name
from jobstream.cli.hints import typed
from jobstream.exits import FAILURE, OK, UNSAFE, leave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.app import App
    from jobstream.cli.app_name import AppName

ROLES_MAX = 7
_APPLY, _DEBUG = "--apply", "--debug"


@dataclass(frozen=True, slots=True)
class Declared:
    """What `dev` has to know of the code."""

    servers: str
    ports: Sequence[str]
    """`--metrics-port` of each role."""
    leave_s: float
    examples: Sequence[str]
    """How to enqueue each job type."""
    schedules: bool = False
    """Whether it has schedules, which a role more fires."""
    created: int | None = None
    """Topics that were created; None if none were asked for."""
    unchanged: int = 0


class Unsound(click.ClickException):
    """The code can't be imported, or what it declares can't be applied; nothing was changed."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


async def read_declared(app: AppName, *, apply: bool) -> Declared:
    """Import the code in a process, and apply its topics if `apply`; raises Unsound.

    A cancel ends the process.
    """
    debug = [_DEBUG] if _DEBUG in sys.argv else []
    words = [*debug, *app.words, *([_APPLY] if apply else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "jobstream.cli.declared_app", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # A Ctrl-C of the terminal is for the parent.
    )
    try:
        text, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        code = process.returncode
        message = f"the process that imports your code ended without an answer (exit code {code})"
        raise Unsound(message, FAILURE) from None
    if "error" in found:
        raise Unsound(found["error"], found["code"])
    return Declared(**found)


def main(words: Sequence[str]) -> None:
    """Print what the app named by the words declares, or the error."""
    from jobstream.cli.log_output import configure  # noqa: PLC0415 - in the process that reads
    from jobstream.cli.root import code_of, told  # noqa: PLC0415 - as above

    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    configure("plain", "warning")
    named = app_name(next((word for word in words if not word.startswith("--")), None))
    document: dict[str, Any]
    try:
        assert named is not None  # noqa: S101 - `dev` was given one
        document = _document(named, apply=_APPLY in words)
    except Exception as error:
        if _DEBUG in words:
            raise
        document = {"error": told(error), "code": code_of(error)}
    if "error" in document:
        document["error"] = typed(document["error"], named)
    with answer:
        json.dump(document, answer)
    # User code may have started threads that do not end.
    leave(OK)


def _document(named: AppName, *, apply: bool) -> dict[str, Any]:
    from jobstream.cli.commands.worker import leave_s, port_of  # noqa: PLC0415 - as above
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream.kafka.client.green_threads import refuse_green_threads  # noqa: PLC0415 - as above

    app = load_app(named)
    refuse_green_threads()  # The worker would, again and again.
    document = {
        "servers": app.settings.bootstrap_servers,
        "ports": [port_of(app.settings, number) for number in range(ROLES_MAX)],
        "leave_s": leave_s(app.settings),
        "examples": [*_examples(app, named)],
        "schedules": app.has_schedules,
    }
    return document | _apply_topics(app) if apply else document


def _examples(app: App, named: AppName) -> Iterator[str]:
    from jobstream.cli.args_json import sample_args  # noqa: PLC0415 - in the process that reads

    enqueue = typed("jobstream enqueue MODULE:APP", named)
    for job in app.jobs.values():
        text = json.dumps(sample_args(job.codec.cls), ensure_ascii=False)
        yield f"{enqueue} {job.name} {shlex.quote(text)}"


def _apply_topics(app: App) -> dict[str, Any]:
    """Create what is missing; an error if something unsafe is in the way."""
    from jobstream.cli.commands.topics import survey_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream.kafka.client.admin import Admin  # noqa: PLC0415 - as above
    from jobstream.topics.apply import apply  # noqa: PLC0415 - as above
    from jobstream.topics.topic_rules import alike  # noqa: PLC0415 - as above

    admin = Admin(app.settings)
    planned = survey_app(app, admin)
    if planned.refused:
        lines = "\n".join(f"! {difference}" for difference in alike(planned.refused))
        return {"error": f"topics can't be applied:\n{lines}", "code": UNSAFE}
    apply(planned, admin)
    return {"created": len(planned.create), "unchanged": len(planned.unchanged)}


if __name__ == "__main__":
    main(sys.argv[1:])
