"""`jobstream schemas`: the contract of an app's job types as files, and holding a deploy to it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.hints import typed
from jobstream.cli.options import json_option
from jobstream.cli.output import print_json, print_table, say
from jobstream.exits import DIFFERS, OK, UNSAFE

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName

folder_argument = click.argument(
    "folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER"
)


@click.group(cls=AppGroup)
def command() -> None:
    """Export the Avro schemas of job types; check that queued jobs will decode."""


@command.command("export")
@folder_argument
@json_option
def export_command(app: AppName, folder: Path, *, as_json: bool) -> int:
    """Write the schema of every job type of MODULE:APP to FOLDER, one .avsc file each."""
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream_schemas import export  # noqa: PLC0415 - as above

    paths = export(load_app(app).schemas(), folder)
    if as_json:
        print_json([str(path) for path in paths])
    else:
        for path in paths:
            say(str(path))
    return OK


@command.command("check")
@folder_argument
@json_option
def check_command(app: AppName, folder: Path, *, as_json: bool) -> int:
    """Check that jobs queued with the schemas in FOLDER decode with the code of MODULE:APP.

    The exit code is 0 if they decode, 2 if FOLDER lacks a job type, and 3 if jobs would not decode.
    """
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream_schemas import check_folder  # noqa: PLC0415 - as above

    schemas = load_app(app).schemas()
    found = check_folder(schemas, folder)
    if as_json:
        print_json([{**asdict(each), "breaking": each.is_breaking} for each in found])
    elif found:
        rows = [(e.job_type, e.path, e.kind, typed(e.message, app)) for e in found]
        print_table(("job type", "field", "kind", "what"), rows)
    else:
        fit = "job type fits" if len(schemas) == 1 else "job types fit"
        say(f"{len(schemas)} {fit} the schemas in {folder}")
    if any(each.is_breaking for each in found):
        return UNSAFE
    return DIFFERS if found else OK
