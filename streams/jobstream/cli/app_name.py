"""Which app a command is about: what the command line, the environment or the folder says."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobstream.errors import ConfigError

VARIABLE = "JOBSTREAM_APP"
PROJECT_FILE = "pyproject.toml"
WAYS = (
    f"give MODULE:APP, as in shop:app; or --app NAME; or set {VARIABLE}, or "
    f'app = "shop:app" under [tool.jobstream] in {PROJECT_FILE}'
)
"""How an app can be named; part of every error that says that none was."""
CODE = (
    "give MODULE:APP, as in shop:app, in front or with --app, or set it in "
    f"{VARIABLE}, or as app under [tool.jobstream] in {PROJECT_FILE}"
)
"""The same where a bare name is not enough."""
_MODULE_APP = re.compile(r"[^\s:\"'{}\[\]]+:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class AppName:
    """An app as it was named: `shop:app`, which leads to its code, or its bare name."""

    text: str
    source: str = "the command line"
    """Where the name was found, for messages."""
    folder: Path = field(default_factory=Path.cwd)
    """Where its module is looked for."""
    in_folder: bool = False
    """Whether this folder says it, so that another command typed here finds it as well."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words that name the same app in another command typed in this folder."""
        if self.in_folder:
            return ()
        return (self.text,) if self.has_code else ("--app", self.text)

    @property
    def has_code(self) -> bool:
        """Whether it leads to the app's code."""
        return ":" in self.text


def is_module_app(word: str) -> bool:
    """Whether a word has the form MODULE:APP.

    No job id, job type, queue, JSON or HOST:PID has it, so it is known in front of them.
    """
    return _MODULE_APP.fullmatch(word) is not None


def app_name(given: str | None) -> AppName | None:
    """The app that was given, else that of JOBSTREAM_APP, else of pyproject.toml; None for none.

    Raises ConfigError for a pyproject.toml that can't be read.
    """
    if given:
        return AppName(given)
    if told := os.environ.get(VARIABLE):
        return AppName(told, VARIABLE)
    return _of_project(Path.cwd())


def _of_project(here: Path) -> AppName | None:
    """The app in the nearest pyproject.toml with [tool.jobstream], from `here` upwards."""
    for folder in (here, *here.parents):
        file = folder / PROJECT_FILE
        table = _table(file) if file.is_file() else None
        if table is None:
            continue
        app = table.get("app") if isinstance(table, dict) else None
        if not isinstance(app, str) or not app:
            message = f'[tool.jobstream] in {file} names no app: write app = "shop:app"'
            raise ConfigError(message)
        return AppName(app, str(file), folder, in_folder=True)
    return None


def _table(file: Path) -> Any:  # noqa: ANN401 - whatever stands there
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("jobstream")
    except (OSError, ValueError) as error:
        message = f"{file} can't be read for the app's name: {error}; or {WAYS}"
        raise ConfigError(message) from error
