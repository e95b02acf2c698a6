"""From the URL of a database to an engine: for the relay, the store of keys, and the read side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from jobstream.sql.errors import WrongDatabase
from jobstream.sql.handles import known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine
    from sqlalchemy.engine import URL


def database_url(text: str) -> URL:
    """The URL with the driver that is used here; raises WrongDatabase.

    A service's own URL does, whatever driver it names, sync or async.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        # It is not shown: it may have a password in it.
        message = (
            "that URL is no database: write postgresql://user:password@host/name or "
            "sqlite:////folder/file"
        )
        raise WrongDatabase(message) from error
    if known(url.get_backend_name()) == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if not url.database or url.database == ":memory:":
        message = "a database in memory is seen by no other process: give a file"
        raise WrongDatabase(message)
    return url.set(drivername="sqlite+pysqlite")


def made_engine(url: URL, connect_args: Mapping[str, Any], **options: Any) -> Engine:  # noqa: ANN401 - of create_engine
    """An engine, which connects at first use. Raises WrongDatabase where the driver is missing.

    What the URL says itself goes before `connect_args`.
    """
    try:
        return create_engine(url, connect_args=beside(url, connect_args), **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        message = f"{url.drivername} needs a driver: pip install 'jobstream[postgres]'"
        raise WrongDatabase(message) from error


def shown(url: URL) -> str:
    """The URL for a message: as users write it, without its passwords, those of the query too."""
    secret = {name: "***" for name in url.query if "password" in name}
    plain = url.set(drivername=url.get_backend_name()).update_query_dict(secret)
    return plain.render_as_string(hide_password=True).replace("%2A", "*")


def file_of(url: URL) -> Path:
    """The file of a URL of SQLite, whichever of its names the URL has."""
    named = url.database or ""
    if named.startswith("file:") and "uri" in url.query:
        named = unquote(urlsplit(named).path)
    return Path(named).resolve()


def open_existing(engine: Engine) -> None:
    """Let connections to SQLite never make a file: an empty one would hide a name that is wrong."""

    def connect(_d: object, _r: object, place: list[str], options: dict[str, Any]) -> None:
        if not options.get("uri"):
            place[0], options["uri"] = f"{Path(place[0]).as_uri()}?mode=rw", True

    event.listen(engine, "do_connect", connect)


def beside(url: URL, connect_args: Mapping[str, Any]) -> dict[str, Any]:
    """What a driver is given beside the URL.

    Settings of the server are added to those of the URL, which are said last and so count.
    """
    found = {name: given for name, given in connect_args.items() if name not in url.query}
    if "options" in connect_args and "options" in url.query:
        found["options"] = f"{connect_args['options']} {server_settings(url)}"
    return found


def server_settings(url: URL) -> str:
    """What the URL has for the server of PostgreSQL, as `-c name=value`; "" if nothing."""
    said = url.query.get("options", "")
    return said if isinstance(said, str) else " ".join(said)
