"""Settlement, exhaustively: every interleaving of one job's life with every trouble in the budget.

The rules as they are hold in every world; each rule taken out by itself breaks one, so the
properties can see.
"""

from __future__ import annotations

import pytest
from tests.model.explore import explore
from tests.model.mutations import MUTATIONS, Mutation
from tests.model.rules import RULES
from tests.model.scenarios import SCENARIOS, Scenario


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_rules_hold_in_every_world(scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    report = explore(scenario.first, RULES, scenario.outcomes)

    with capsys.disabled():
        print(f" [{report.states:,} states, {report.at_rest:,} at rest] ", end="")  # noqa: T201 - the size of the claim
    assert not report.violation, " > ".join((*report.trace, report.violation))
    assert report.at_rest > 0


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_rule_taken_out_is_missed(mutation: Mutation) -> None:
    report = explore(mutation.scenario.first, mutation.rules, mutation.scenario.outcomes)

    assert mutation.breaks in report.violation, " > ".join((*report.trace, report.violation))
