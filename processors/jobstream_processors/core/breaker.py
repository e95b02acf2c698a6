"""The circuit breaker of a dependency, as job types declare it.

How it opens and closes is told in `circuit.py`; what one process knows of it, in
`breaker_guard.py`.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import Final

from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.errors import InvalidOption

WINDOW_MS_MIN, WINDOW_MS_MAX = 1_000, to_ms("1d")
OPEN_MS_MIN, OPEN_MS_MAX = 1_000, to_ms("1d")
LEAST_MAX = 1_000_000
PROBES_MAX = 1_000
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker, by the name of the dependency that its job types call.

    It opens when at least `least` runs ended within `window` and at least the share `ratio` of
    them failed. Then no job of its types begins for `open`: jobs wait on the delay ladder and lose
    no attempt. After that `probes` jobs are let through. If all succeed the breaker closes. If one
    fails it opens for twice as long as before, `open_max` at most. Types that name the same
    breaker share it. Each worker process counts for itself, and tells the others when it opens.
    """

    name: str
    _: KW_ONLY
    ratio: float = 0.5
    window: Duration = "1m"
    least: int = 10
    open: Duration = "30s"
    open_max: Duration = "10m"
    probes: int = 3

    def __post_init__(self) -> None:
        """Refuse what can't be meant; raises InvalidOption."""
        if not (isinstance(self.name, str) and NAME.fullmatch(self.name)):
            message = (
                f"breaker name {self.name!r:.200}: 1 to 100 letters, digits, '_', '.' and '-', "
                "beginning with a letter or digit"
            )
            raise InvalidOption(message)
        _check_number(f"breaker {self.name!r}: ratio", self.ratio, "more than 0, up to 1.0")
        for option, most in (("least", LEAST_MAX), ("probes", PROBES_MAX)):
            value = getattr(self, option)
            if not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most):
                message = f"breaker {self.name!r}: {option}={value!r} is outside 1 .. {most}"
                raise InvalidOption(message)
        _ = self.window_ms
        if self.open_ms > self.open_ms_max:
            message = (
                f"breaker {self.name!r}: open={self.open!r} is longer than "
                f"open_max={self.open_max!r}: raise open_max"
            )
            raise InvalidOption(message)

    @property
    def window_ms(self) -> int:
        """How long a run counts."""
        return self._ms("window", WINDOW_MS_MIN, WINDOW_MS_MAX)

    @property
    def open_ms(self) -> int:
        """How long it is open at first."""
        return self._ms("open", OPEN_MS_MIN, OPEN_MS_MAX)

    @property
    def open_ms_max(self) -> int:
        """The longest time that it is open by itself."""
        return self._ms("open_max", OPEN_MS_MIN, OPEN_MS_MAX)

    def _ms(self, option: str, least_ms: int, most_ms: int) -> int:
        name = f"breaker {self.name!r}: {option}"
        return to_ms(getattr(self, option), name=name, least_ms=least_ms, most_ms=most_ms)


def _check_number(name: str, value: float, allowed: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        message = f"{name}={value!r} is outside its bounds: {allowed}"
        raise InvalidOption(message)
