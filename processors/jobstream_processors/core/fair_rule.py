"""What a job type says about taking turns: by which fields, with which weights. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from jobstream_processors.core.field_names import Fields, field_names
from jobstream_processors.core.stride import check_weight
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Fair:
    """Jobs that differ in these fields take turns, so that nobody's many jobs delay another's few.

    `by` names fields of the args, such as "tenant_id". `weights` gives single values of the field a
    larger share, as in {"acme": 4}, or of several fields, {("acme", "eu"): 4}; others have 1. A
    weight is a whole number from 1 to 100, and there are 1,000 at most. Raises ValueError for
    anything else.
    """

    by: Fields
    weights: Mapping[Any, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse what can't work; the message names the value and the fix."""
        object.__setattr__(self, "by", field_names("fair_by", self.by))
        if not isinstance(self.weights, Mapping):
            message = f"weights={self.weights!r}: give a mapping, as in {{'acme': 4}}"
            raise InvalidOption(message)
        if len(self.weights) > WEIGHTS_MAX:
            message = (
                f"weights has {len(self.weights):,} entries, more than {WEIGHTS_MAX:,}: name those "
                "that differ from 1 only"
            )
            raise InvalidOption(message)
        for value, weight in self.weights.items():
            check_weight(weight, f"weights[{value!r}]")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that make the key."""
        return field_names("fair_by", self.by)

    def keyed(self, key: Callable[[tuple[Any, ...]], str]) -> dict[str, int]:
        """The weights by fair key; raises InvalidOption for a value that the fields can't have."""
        found: dict[str, int] = {}
        for value, weight in self.weights.items():
            values = value if len(self.fields) > 1 and isinstance(value, tuple) else (value,)
            if len(values) != len(self.fields):
                message = (
                    f"weights[{value!r}] does not give a value for each of {', '.join(self.fields)}"
                )
                raise InvalidOption(message)
            try:
                found[key(values)] = weight
            except Exception as error:
                message = (
                    f"weights[{value!r}] is no value of {', '.join(self.fields)}: write it as the "
                    "args hold it, of the class that they declare"
                )
                raise InvalidOption(message) from error
        return found


def fair_rule(given: Any) -> Fair | None:  # noqa: ANN401 - checked here
    """What `fair_by=` says: a `Fair`, or the fields alone; raises InvalidOption."""
    return given if given is None or isinstance(given, Fair) else Fair(given)
