"""Breakers as job types declare them: what is shared, and what is refused where it is written."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobstream import App, Breaker, ConfigError
from jobstream_processors.errors import InvalidOption


@dataclass(frozen=True)
class Mail:
    to: str


async def send(mail: Mail) -> None: ...


def declared(app: App, name: str, breaker: object, **options: object) -> None:
    app.job(name=name, breaker=breaker, **options)(send)  # type: ignore[call-overload] # wrong ones, too


def test_types_that_give_one_name_share_one_breaker_in_any_order() -> None:
    app = App("shop")
    smtp = Breaker("smtp", ratio=0.3)
    declared(app, "a", "smtp")
    declared(app, "b", smtp)
    declared(app, "c", "smtp")
    declared(app, "d", Breaker("smtp", ratio=0.3))
    declared(app, "e", None)

    assert app.breakers == {"smtp": smtp}
    specs = app.specs()
    assert {name: spec.breaker for name, spec in specs.items()} == {
        **dict.fromkeys("abcd", smtp),
        "e": None,
    }
    assert {name for name, spec in specs.items() if spec.gated} == set("abcd")


def test_a_name_alone_is_a_breaker_with_the_usual_settings() -> None:
    app = App("shop")
    declared(app, "a", "smtp")

    assert app.breakers == {"smtp": Breaker("smtp")}


def test_two_settings_under_one_name_are_refused_and_nothing_is_declared() -> None:
    app = App("shop")
    declared(app, "a", Breaker("smtp"))

    with pytest.raises(ConfigError, match=r"'smtp' has other settings in job 'b' than in 'a'"):
        declared(app, "b", Breaker("smtp", probes=1))

    assert list(app.jobs) == ["a"]


@pytest.mark.parametrize(
    ("breaker", "told"),
    [
        (3, "neither a name nor a Breaker"),
        ("", "1 to 100 letters"),
        ("mail server", "1 to 100 letters"),
        ("x" * 101, "1 to 100 letters"),
        (Breaker("smtp", open_max="20h"), "longer than the dedup window"),
    ],
)
def test_what_is_no_breaker_is_refused_with_the_reason(breaker: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        declared(App("shop"), "a", breaker)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ratio": 0}, "ratio=0 "),
        ({"ratio": 1.1}, "ratio=1.1"),
        ({"ratio": "half"}, "ratio='half'"),
        ({"ratio": True}, "ratio=True"),
        ({"least": 0}, "least=0 is outside 1"),
        ({"least": 2.5}, r"least=2\.5"),
        ({"probes": 0}, "probes=0 is outside 1"),
        ({"window": "0s"}, "window='0s' is outside 1s .. 1d"),
        ({"window": "2d"}, "window='2d' is outside 1s .. 1d"),
        ({"open": "500ms"}, "open='500ms' is outside"),
        ({"open": "20m"}, "open='20m' is longer than open_max='10m': raise open_max"),
        ({"open_max": "30h"}, "open_max='30h' is outside"),
        ({"open": "soon"}, "open='soon' is not a duration"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_with_the_value(
    settings: dict[str, object], told: str
) -> None:
    with pytest.raises(InvalidOption, match=told):
        Breaker("smtp", **settings)  # type: ignore[arg-type] # wrong ones
