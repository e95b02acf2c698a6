"""Values of options that are refused as they are read, before any broker is asked: exit code 2."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from jobstream.cli.options import moment
from jobstream.errors import ConfigError
from jobstream_processors.core.duration import DURATION_MS_MAX, to_ms
from jobstream_processors.core.limit_rule import rate_of
from jobstream_processors.core.orders import LASTS_MS_MAX, LASTS_MS_MIN
from jobstream_processors.errors import InvalidOption
from jobstream_schemas.wire_names import is_id

if TYPE_CHECKING:
    from typing import Any

_ORIGIN = "@"


class _Text(click.ParamType):
    """A text that is passed on as it stands once it was found to be of the right form."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's signature
        """The text; fails with the option, the value and the fix."""
        text, option = str(value), param.opts[0] if param is not None else self.name
        try:
            self.check(option, text)
        except (ConfigError, InvalidOption) as error:
            self.fail(str(error), param, ctx)
        return text

    def check(self, option: str, text: str) -> None:
        """Raise ConfigError or InvalidOption, naming the option, for a text of another form."""
        raise NotImplementedError


class Moment(_Text):
    """A moment such as 2026-01-31T12:00, or 2h for that long ago; or a whole number."""

    def __init__(self, *words: str) -> None:
        """Let these words pass, too."""
        self._words = words

    def check(self, option: str, text: str) -> None:
        """Raise ConfigError."""
        if text not in self._words:
            moment(option, text, lambda: 0)


class Length(_Text):
    """A length of time such as 10m, within limits."""

    def __init__(self, least_ms: int = 0, most_ms: int = DURATION_MS_MAX) -> None:
        self._limits = least_ms, most_ms

    def check(self, option: str, text: str) -> None:
        """Raise InvalidOption."""
        least_ms, most_ms = self._limits
        to_ms(text, name=option, least_ms=least_ms, most_ms=most_ms)


class RunAt(_Text):
    """A moment to come, such as 2026-01-31T12:00:00+01:00."""

    def check(self, option: str, text: str) -> None:
        """Raise ConfigError."""
        try:
            datetime.fromisoformat(text).astimezone()
        except (ValueError, OverflowError) as error:
            message = f"{option}={text!r:.100} is not a time: write 2026-01-31T12:00:00+01:00"
            raise ConfigError(message) from error


class LimitRate(_Text):
    """The rate of a limit, such as 50/m."""

    def check(self, option: str, text: str) -> None:  # noqa: ARG002 - the message names it
        """Raise InvalidOption."""
        rate_of(text)


class RedriveRate(_Text):
    """So many in a time, such as 50/s."""

    def check(self, option: str, text: str) -> None:  # noqa: ARG002 - the message needs no name
        """Raise ConfigError."""
        from jobstream.operate.redrive import read_rate  # noqa: PLC0415 - with this option only

        read_rate(text)


class JobId(_Text):
    """The id of a job, or its beginning."""

    def check(self, option: str, text: str) -> None:  # noqa: ARG002 - the message needs no name
        """Raise ConfigError for what no id can be: a look through the whole log would find none."""
        if is_id(text) is None and not text.startswith(_ORIGIN):
            message = (
                f"{text[:200]!r} can't be the id of a job: an id has 1 to 128 letters, digits, "
                "'.', '_' or '-'; copy it from `jobstream jobs` or the log"
            )
            raise ConfigError(message)


MOMENT, LENGTH, RUN_AT, JOB_ID = Moment(), Length(), RunAt(), JobId()
RATE, LIMIT_RATE = RedriveRate(), LimitRate()
LASTS = Length(LASTS_MS_MIN, LASTS_MS_MAX)
"""How long a control entry may last."""
