"""A role is one file and one line: the list has them all, and whoever chooses reads the list."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

from jobstream import roles
from jobstream.cli.commands import dev, worker
from jobstream.observe.observed import DELAYER, WORKER, Observed
from jobstream.roles.every_role import ROLES, role_called
from jobstream.roles.ground import Role


def test_every_module_of_a_role_is_in_the_list() -> None:
    modules = {found.name for found in pkgutil.iter_modules(roles.__path__)}

    assert {name for name in modules if name.endswith("_role")} - {"every_role"} == {
        f"{name}_role" for name in ROLES
    }


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_found_by_its_name(name: str) -> None:
    assert issubclass(role_called(name), Role)


def test_the_commands_choose_among_all_of_them() -> None:
    only = next(each for each in worker.command.params if each.name == "only")

    assert list(only.type.choices) == list(ROLES)  # type: ignore[attr-defined] # it is a Choice
    assert (*ROLES, "exporter", "relay", "views", "web") == dev.PROCESSES


def test_a_process_has_the_name_of_its_first_role() -> None:
    for taken in ([WORKER, DELAYER], [DELAYER], ["ticker"]):
        assert Observed("shop", taken, {}, {}, 1.0).role == taken[0]


def test_a_role_that_nothing_is_known_of_is_ready_and_has_a_status() -> None:
    seen = Observed("shop", ["ticker"], {}, {}, 1.0)
    seen.verified = True

    assert all(check.ok for check in seen.probes().started())
    assert seen.probes().status() == {}


def test_the_list_is_read_without_a_role() -> None:
    script = (
        "import sys, jobstream.roles.every_role\n"
        "print([m for m in sys.modules if m.endswith('_role') or m == 'confluent_kafka'])"
    )

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert found.stdout.decode().strip() == "['jobstream.roles.every_role']"
