"""A group of commands that runs one of them where none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.cli.app_command import AppGroup

if TYPE_CHECKING:
    import click


class RunsByDefault(AppGroup):
    """Takes `run` for what is no subcommand: `jobstream views shop:app` is `views run shop:app`."""

    default_command = "run"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of anything that names no subcommand."""
        if not args or (args[0] not in self.commands and args[0] not in {"-h", "--help"}):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)
