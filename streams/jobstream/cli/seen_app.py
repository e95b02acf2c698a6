"""An app as one is to look at it and to act on it, for commands that show its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobstream.cli.options import name_and_settings

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream.cli.app_name import AppName

database_option = click.option(
    "--database",
    metavar="URL",
    envvar="JOBSTREAM_VIEWS_DATABASE",
    help="Database of `jobstream views`, asked where it is fresh.  "
         "[default: its file in the state folder]",
)  # fmt: skip


def site_of(app: AppName, database: str | None = None) -> Site:
    """The app; its code only for MODULE:APP."""
    from jobstream.answers.app_site import Site  # noqa: PLC0415 - loads the Kafka client

    if app.has_code:
        from jobstream.cli.loading import load_app  # noqa: PLC0415 - only where code is named

        return Site.of(load_app(app), database)
    return Site.named(*name_and_settings(app), database)
