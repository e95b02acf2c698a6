"""The App that a service names: itself, or by `module:app`."""

from __future__ import annotations

import importlib
import re
from typing import Any

from jobstream.app import App
from jobstream.errors import ConfigError

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def app_of(given: Any, source: str) -> App:  # noqa: ANN401 - whatever a setting holds
    """The App that `given` is or names; imports its module. `source` says who gave it.

    `shop.jobs:app` and, as Django writes it, `shop.jobs.app` name the same. Raises ConfigError that
    names the value, and passes on what the module raises while it is imported.
    """
    if isinstance(given, App):
        return given
    if given is None or given == "":
        message = f"{source} names no app: set it to where your App is, as in 'shop.jobs:app'"
        raise ConfigError(message)
    text = given if isinstance(given, str) else ""
    if ":" not in text:
        text = ":".join(text.rsplit(".", 1))
    if not _PATH.fullmatch(text):
        message = f"{source} = {given!r}: give an App, or where it is, as in 'shop.jobs:app'"
        raise ConfigError(message)
    module_name, _, attribute = text.partition(":")
    found: Any = _module(module_name, given, source)
    for name in attribute.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, App):
        what = "nothing" if found is None else f"of type {type(found).__name__}"
        message = f"{source} = {given!r}: {attribute!r} in module {module_name} is {what}, no App"
        raise ConfigError(message)
    return found


def _module(name: str, given: object, source: str) -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            message = f"{source} = {given!r}: there is no module {error.name!r} to import"
            raise ConfigError(message) from error
        raise
