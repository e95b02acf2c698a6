"""Commands about an app: each lets it be named in the same ways, and gets it as an AppName."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from jobstream.cli.app_name import VARIABLE, WAYS, AppName, app_name, is_module_app

_NOT_GIVEN = ""
"""Stands in front of the other arguments where no MODULE:APP does."""


@dataclass(slots=True)
class Asked:
    """Which app the command was about, for what is said after its end."""

    app: AppName | None = None


class AppCommand(click.Command):
    """A command with `[MODULE:APP]` before its arguments, and `--app`; its function gets `app`."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **options)
        self.params = [
            click.Argument(["target"], metavar="[MODULE:APP]", required=False),
            click.Option(
                ["--app"],
                metavar="NAME",
                help=f"Name of the app, or MODULE:APP.  [default: {VARIABLE}, or pyproject.toml]",
            ),
            *self.params,
        ]

    def placed(self, ctx: click.Context, words: list[str]) -> list[str]:
        """The words with every argument in its place, MODULE:APP given or not.

        Raises UsageError for words too many.
        """
        first = self.make_parser(ctx).parse_args(list(words))[0].get("target")
        if isinstance(first, str) and is_module_app(first):
            return words
        placed = [_NOT_GIVEN, *words]
        if isinstance(first, str) and self.make_parser(ctx).parse_args(list(placed))[1]:
            message = f"{first!r} is not of the form MODULE:APP: {WAYS}"
            raise click.UsageError(message, ctx)
        return placed

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the app in `ctx.params`; raises UsageError if none is named, or two are."""
        left = super().parse_args(ctx, self.placed(ctx, args))
        target, option = ctx.params.pop("target"), ctx.params.pop("app")
        if option is not None and not option:
            message = f"--app is empty: {WAYS}"
            raise click.UsageError(message, ctx)
        if target and option:
            message = f"the app is named twice: {target!r} and --app {option!r}; name it once"
            raise click.UsageError(message, ctx)
        named = app_name(target or option)
        if named is None and not ctx.resilient_parsing:
            message = f"which app? {WAYS[0].upper()}{WAYS[1:]}"
            raise click.UsageError(message, ctx)
        ctx.params["app"] = named
        if isinstance(ctx.obj, Asked):
            ctx.obj.app = named
        return left


class AppGroup(click.Group):
    """A group of such commands."""

    command_class = AppCommand
