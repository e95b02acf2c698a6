"""The OPTIONS of a backend in TASKS, read and checked before anything is enqueued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobstream.errors import ConfigError
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.retry import Backoff
from jobstream_processors.errors import InvalidOption

KNOWN = ("APP", "DATABASE", "ENQUEUE_ON_COMMIT", "OUTBOX", "PRIORITIES", "RETRY", "TIMEOUT")
_RETRY = ("attempts", "cap", "factor", "first", "jitter", "max_age")


@dataclass(frozen=True, slots=True)
class TasksOptions:
    """What one backend was given."""

    app: Any
    """An App, or where it is; None: the setting JOBSTREAM_APP says it."""
    database: str | None
    """The URL of the database of `jobstream views`."""
    on_commit: str | None
    """The database after whose commit tasks are sent; None: they are sent at once."""
    has_outbox: bool
    """Write tasks into the transaction, for the relay of `jobstream.sql`."""
    has_priorities: bool
    retry: Backoff
    timeout: Duration | None


def options_of(alias: str, params: Mapping[str, Any]) -> TasksOptions:
    """The options of the backend `alias`; raises ConfigError that names the value and the fix."""
    given = dict(params.get("OPTIONS") or {})
    where = f"TASKS[{alias!r}]['OPTIONS']"
    if "." in alias:
        message = f"TASKS[{alias!r}]: names of job types are made of it, so it has no '.'"
        raise ConfigError(message)
    if unknown := sorted(given.keys() - set(KNOWN)):
        message = f"{where} has no {unknown[0]!r}; there are {', '.join(KNOWN)}"
        raise ConfigError(message)
    on_commit = given.get("ENQUEUE_ON_COMMIT", params.get("ENQUEUE_ON_COMMIT", False))
    if not isinstance(on_commit, bool | str):
        message = f"{where}['ENQUEUE_ON_COMMIT'] = {on_commit!r}: give True, False or a database"
        raise ConfigError(message)
    outbox = _switch(where, given, "OUTBOX", default=False)
    if outbox and not on_commit:
        message = f"{where}['OUTBOX'] writes tasks into a transaction: set ENQUEUE_ON_COMMIT, too"
        raise ConfigError(message)
    return TasksOptions(
        app=given.get("APP"),
        database=given.get("DATABASE"),
        on_commit=("default" if on_commit else None) if isinstance(on_commit, bool) else on_commit,
        has_outbox=outbox,
        has_priorities=_switch(where, given, "PRIORITIES", default=True),
        retry=_retry(where, given.get("RETRY", {})),
        timeout=_timeout(where, given.get("TIMEOUT")),
    )


def _switch(where: str, given: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        message = f"{where}[{name!r}] = {value!r}: give True or False"
        raise ConfigError(message)
    return value


def _retry(where: str, given: Any) -> Backoff:  # noqa: ANN401 - whatever the setting holds
    if not isinstance(given, Mapping) or not set(given) <= set(_RETRY):
        message = f"{where}['RETRY'] = {given!r}: give a dict with some of {', '.join(_RETRY)}"
        raise ConfigError(message)
    try:
        return Backoff(**given)
    except (InvalidOption, TypeError) as error:
        message = f"{where}['RETRY'] = {given!r}: {error}"
        raise ConfigError(message) from error


def _timeout(where: str, given: Any) -> Duration | None:  # noqa: ANN401 - as above
    if given is None:
        return None
    try:
        to_ms(given, name="TIMEOUT")
    except InvalidOption as error:
        message = f"{where}['TIMEOUT'] = {given!r}: {error}"
        raise ConfigError(message) from error
    return given  # type: ignore[no-any-return] # it was read as a duration
