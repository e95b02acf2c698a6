"""`fair_by=`: by which fields tenants take turns, and what is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from jobstream import App, ConfigError, Fair


@dataclass(frozen=True)
class Export:
    tenant: str
    region: int
    share: float = 1.0


def declared(fair_by: Any) -> dict[str, int]:  # noqa: ANN401 - right and wrong ones
    """The weights by fair key that a worker goes by."""
    app = App("shop", size="small")
    job = app.declare("export", Export, fair_by=fair_by)
    job.handler(lambda _: None)
    (spec,) = app.specs().values()
    assert spec.fair
    assert spec.gated
    return dict(spec.fair_weights)


def test_fields_alone_and_with_weights() -> None:
    assert declared("tenant") == declared(("tenant", "region")) == {}
    assert declared(Fair("tenant", weights={"acme": 4})) == {'["acme"]': 4}
    assert declared(Fair(("tenant", "region"), weights={("acme", 7): 2})) == {'["acme",7]': 2}


@pytest.mark.parametrize(
    ("fair_by", "part"),
    [
        ("tenants", "fair_by ('tenants',): the args have no field 'tenants'; did you mean"),
        ("share", "fair_by ('share',): the field 'share'"),
        ((), "fair_by=(): give the name of a field of the args"),
        (("tenant", "tenant"), "names 'tenant' twice"),
        (frozenset({"tenant"}), "give the name of a field of the args, or a tuple of names"),
    ],
)
def test_fields_that_cannot_make_a_key_are_refused(fair_by: Any, part: str) -> None:  # noqa: ANN401 - as above
    with pytest.raises(ConfigError, match=re.escape(part)):
        declared(fair_by)


@pytest.mark.parametrize(
    ("by", "weights", "part"),
    [
        ("tenant", {"acme": 0}, "weights['acme']=0: give a whole number from 1 to 100"),
        ("tenant", {"acme": 0.1}, "such a share rounds to nothing and would starve"),
        ("tenant", ["acme"], "weights=['acme']: give a mapping"),
        ("tenant", dict.fromkeys(map(str, range(1_001)), 2), "more than 1,000"),
        ("region", {"acme": 2}, "weights['acme'] is no value of region: write it as the args hold"),
        (("tenant", "region"), {"acme": 2}, "does not give a value for each of tenant, region"),
        ("tenant", {("acme", 7): 2}, "is no value of tenant"),
        ("region", {True: 2}, "weights[True] is no value of region: write it as the args hold"),
    ],
)
def test_weights_that_cannot_count_are_refused(by: Any, weights: Any, part: str) -> None:  # noqa: ANN401 - as above
    with pytest.raises(ValueError, match=re.escape(part)):
        declared(Fair(by, weights=weights))
