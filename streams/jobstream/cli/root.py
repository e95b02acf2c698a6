"""The command `jobstream`: imports a subcommand when it is called, and turns errors into lines."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from jobstream.build_kind import build_kind
from jobstream.cli.app_command import Asked
from jobstream.cli.hints import typed
from jobstream.cli.output import take_any_text
from jobstream.exits import DIFFERS, FAILURE, INTERRUPTED, OK, UNSAFE, leave_threads
from jobstream.roles.stop_signals import SIGNALS, StopAsked

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "worker": "Run the jobs of an app, and move its delayed jobs on.",
    "dev": "Run a broker, the topics and every role of an app in one terminal.",
    "enqueue": "Enqueue jobs of one type, with their args as JSON.",
    "jobs": "List the newest jobs: running, waiting, retrying, dead, done.",
    "job": "Show the timeline of one job.",
    "explain": "Say in one sentence why a job does not run, or how it ended.",
    "dlq": "List, try, redrive, fix and discard dead letters, by cause.",
    "status": "Show the processes of an app on this machine, and their health.",
    "top": "Show queues, running jobs and dead letters in the terminal, and act on them.",
    "lag": "Show how far the workers are behind, in records and in seconds.",
    "canary": "Enqueue test jobs at an interval, and measure when they are done.",
    "exporter": "Serve lag, dead letters and consumer groups as Prometheus metrics.",
    "web": "Serve the HTTP API of an app, and make tokens for it.",
    "views": "Keep a database of the jobs of an app, for pages and queries.",
    "relay": "Publish the jobs that services wrote with their own transactions.",
    "control": "Pause queues and job types, cancel jobs, quiet or drain workers, hold breakers.",
    "schedules": "List, add, pause, run and backfill schedules.",
    "topics": "Create and check the topics of an app.",
    "offsets": "Show and move the offsets of a consumer group.",
    "schemas": "Export the schemas of job types; check that queued jobs will decode.",
    "broker": "Run Kafka on this machine, without Docker and without a system Java.",
}
"""Every subcommand with its line in `--help`; each is `command` of the module of its name."""


class Root(click.Group):
    """The top of the command line. Importing it imports no subcommand, so start-up is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The subcommands in the order of `--help`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the subcommand's module; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"jobstream.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(  # type: ignore[override] # click's has more options, not used here
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **extra: Any,  # noqa: ANN401 - click's signature
    ) -> NoReturn:
        """Run, turn every error into one line and an exit code, and end the process."""
        given = list(sys.argv[1:] if args is None else args)
        # Understood before and after the subcommand: it is added to a line that just failed.
        debug = "--debug" in given
        words = [word for word in given if word != "--debug"]
        take_any_text()
        code = self._run(words, prog_name, extra, debug=debug)
        if SIGNALS.number is not None or "jobstream.roles.run_loop" in sys.modules:
            # This was a worker, or was to be one: no thread that hangs must keep it, nor one that
            # the user's code has started, after an error either.
            leave_threads(code)
        sys.exit(code)

    def _run(
        self, words: list[str], prog_name: str | None, extra: dict[str, Any], *, debug: bool
    ) -> int:
        extra.pop("standalone_mode", None)
        asked = extra.setdefault("obj", Asked())
        try:
            code = super().main(words, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()
        except StopAsked:
            return OK
        except click.UsageError as error:
            error.show()
            return DIFFERS
        except (KeyboardInterrupt, click.Abort):
            click.echo("jobstream: interrupted", err=True)
            return INTERRUPTED
        except BrokenPipeError:
            # The reader of our output has left: print nothing, now and at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILURE
        except Exception as error:
            if debug:
                raise
            click.echo(f"jobstream: {typed(told(error), asked.app)}", err=True)
            return code_of(error)
        return code if isinstance(code, int) else OK


def told(error: Exception) -> str:
    """The text of an error: our own by their message, others with their class in front."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    ours = any(cls.__module__.startswith("jobstream") for cls in type(error).__mro__)
    text = " ".join(str(error).split("\n")) if not ours else str(error)
    return text if ours else f"{type(error).__name__}: {text} (more with --debug)"


def code_of(error: Exception) -> int:
    """The exit code of a failed command."""
    from jobstream import errors  # noqa: PLC0415 - on failure only
    from jobstream.operate.errors import TrialFailed  # noqa: PLC0415 - as above

    unsafe = (errors.TopicMismatch, errors.UnsafeTopic, errors.JobsUndecodable, TrialFailed)
    return UNSAFE if isinstance(error, unsafe) else FAILURE


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    package_name="jobstream", message=f"%(prog)s, version %(version)s, {build_kind()} build"
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def root() -> None:
    """Background jobs on Kafka.

    Most commands are about one app. Name it as MODULE:APP, the App in a Python module, as in
    shop:app. Commands that need none of its code also take --app NAME, its bare name. With neither,
    a command reads the variable JOBSTREAM_APP, then `app` in [tool.jobstream] of pyproject.toml.
    """
    from jobstream.cli.log_output import configure  # noqa: PLC0415 - not needed for --help

    configure("plain", "warning")
